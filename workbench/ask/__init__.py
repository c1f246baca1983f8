"""The Ask screen: search with one run or two."""
