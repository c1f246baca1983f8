"""The Results screen: per-language figures, comparisons, queries and studies."""
