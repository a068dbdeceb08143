"""Plots as SVG: inline in a page, whose colours they take, or alone in a file."""

from bench.base.home import quiet_matplotlib

quiet_matplotlib()  # before any plot imports it
