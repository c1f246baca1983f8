"""The Launch screen: a form of the settings of a run, which it starts."""
