"""Results: run folders, the database made from them, and questions to it."""
