"""Defects of what scores, compares, times and judges."""
