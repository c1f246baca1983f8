"""Screens: one for each mode of the app, and the dialogs they open."""
