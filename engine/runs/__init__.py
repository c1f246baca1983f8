"""The kinds of run: one module for each, and `execute`, which carries out any of them."""
