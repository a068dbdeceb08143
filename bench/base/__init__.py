"""What every wing stands on: errors, reading files from outside, progress, verdicts."""
