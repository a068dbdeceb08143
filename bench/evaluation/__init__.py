"""What does it answer? Runs, references, and two runs side by side."""
