"""What `python -m bench compare` reads and shows; `compare` is what it counts."""
