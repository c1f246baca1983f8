"""The built-in scorings. These modules declare them and import nothing that is slow to load."""
