"""Plots as SVG: inline in a page, whose colours they take, or alone in a file."""
