"""The SQL screen: queries to the results database."""
