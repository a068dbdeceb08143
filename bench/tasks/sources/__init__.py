"""Data sets that are somewhere else: downloads and the Hugging Face hub."""
