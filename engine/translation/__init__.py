"""Translate queries with sequence-to-sequence checkpoints, and cache the translations."""
