"""Exact search over token vectors and sentence vectors."""
