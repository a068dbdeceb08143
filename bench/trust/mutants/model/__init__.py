"""Defects that change answers."""
