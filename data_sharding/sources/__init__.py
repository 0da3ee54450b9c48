"""Sources as they come: a hospital with DXA, a face study, NIH ChestX-ray14, CheXpert."""
