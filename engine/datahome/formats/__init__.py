"""Recognising data by its content."""
