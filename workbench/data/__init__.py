"""What the app reads and starts: runs, the warm process, jobs, logs. No widgets."""
