"""The SQL screen: SQL statements on the results database."""
