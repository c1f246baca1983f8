"""Jobs: runs in processes of their own, their state, and how they are stopped and resumed."""
