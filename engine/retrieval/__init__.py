"""Search over token vectors, sentence vectors and words, and rankings."""
