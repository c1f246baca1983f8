"""Telling from its content what a file or folder is."""
