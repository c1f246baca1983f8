"""What a run will need: time, memory and disk, computed from parts of the run that are measured here."""
