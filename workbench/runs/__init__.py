"""The Runs screen: a table of the runs, with curves, settings and log of the one under the cursor."""
