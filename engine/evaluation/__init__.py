"""Scores of rankings, their statistics, and what finished runs have stored."""
