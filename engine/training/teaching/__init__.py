"""Training of a teacher: a retriever that is trained on questions and passages."""
