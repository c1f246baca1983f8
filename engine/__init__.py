"""All of Optical Workbench that works without a screen."""
