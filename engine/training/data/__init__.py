"""Training data: bitext of a run, its overlap with the evaluation, and its alignment."""
