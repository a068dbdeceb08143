"""What `python -m bench compare` reads and shows; `bench.comparison.compare` is what it counts."""
