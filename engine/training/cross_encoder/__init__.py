"""Training a cross-encoder on bitext, and ranking finished runs' best documents anew with it."""
