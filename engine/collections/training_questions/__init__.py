"""Questions with passages to learn retrieval from: one module a format, all yield `TrainingQuestion`."""
