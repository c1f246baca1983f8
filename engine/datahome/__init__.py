"""The data home: what is published and where, fetching it, recognising and importing what people bring."""
