"""A comparison of two runs as a page."""
