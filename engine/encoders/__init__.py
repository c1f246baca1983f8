"""Encoders: checkpoints to token vectors and sentence vectors."""
