"""Defects that make the host wait for the device."""
