"""The data home: published data sets, fetching them, recognising and importing data, and checking it."""
