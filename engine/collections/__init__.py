"""Test collections: queries, documents and judgements, one module a collection."""
