"""Pictures in files: transport plans, study plots, and the fonts for their labels."""
