"""From DICOM and DXA tables to WebDataset shards, with every exclusion counted."""
