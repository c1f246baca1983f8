"""What other distributions can add: the entry types and registries, one module a subject."""
