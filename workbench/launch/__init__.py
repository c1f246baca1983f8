"""The Launch screen: a form that starts a run."""
