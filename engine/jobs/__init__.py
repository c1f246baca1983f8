"""Jobs: runs as processes of their own, their state, and stopping them."""
