"""Data sets and predictions as files."""
