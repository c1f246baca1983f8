"""Presets, themes and reference results that ship with the product."""
