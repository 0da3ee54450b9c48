"""One file to one picture, as a person sees it and as the model does."""
