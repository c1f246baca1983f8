"""Translating queries with sequence-to-sequence checkpoints, and remembering the translations."""
