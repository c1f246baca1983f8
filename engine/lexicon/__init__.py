"""Words of texts, their translations, and glosses of queries."""
