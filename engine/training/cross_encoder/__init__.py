"""Training of a cross-encoder on bitext."""
