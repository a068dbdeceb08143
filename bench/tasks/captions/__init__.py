"""Captions, and what they are worth."""
