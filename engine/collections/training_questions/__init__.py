"""Training questions with passages, from which retrieval is learned: one module for each kind of format."""
