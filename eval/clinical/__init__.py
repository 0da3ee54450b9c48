"""Clinical and combined models, reference scores, and what an image model owes to age and sex."""
