"""Widgets that know nothing of the app: each works alone with its own data."""
