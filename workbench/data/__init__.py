"""The runs, the warm process, starts of runs, logs and settings, without widgets."""
