"""The Plan screen: transport plans as heatmaps."""
