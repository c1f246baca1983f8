"""The Runs screen: a table of the runs, with curves, settings and log of the run under the cursor."""
