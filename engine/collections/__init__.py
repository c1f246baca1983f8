"""Test collections: one module for each collection or family, with a `CollectionReader` that declares it."""
