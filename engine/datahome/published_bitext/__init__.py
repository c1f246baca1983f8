"""Published data sets that are bitext only, one module each."""
