"""What noxfile.py's sessions share. It needs nox and packaging, and nothing that the pins bring."""

from bench.base.supported import stop_elsewhere

stop_elsewhere()
