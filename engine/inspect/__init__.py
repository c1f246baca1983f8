"""What one does with a finished run: search with it, explain a hit, look at transport plans."""
