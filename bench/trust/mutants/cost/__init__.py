"""Defects that change no answer and make the model slower."""
