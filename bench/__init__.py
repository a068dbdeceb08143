"""The harness: runs evaluations, times them, and gates on what it measured."""
