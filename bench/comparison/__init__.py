"""What `python -m bench compare` reads and shows; `bench.compare` is what it counts."""
