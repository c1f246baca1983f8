"""The Runs screen: the table of runs, their curves, settings and log."""
