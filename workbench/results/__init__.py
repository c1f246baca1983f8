"""The Results screen: scores per language, comparisons, queries and studies."""
