"""A process that keeps encoders and document vectors warm and answers requests, a line of JSON each."""
