"""The four kinds of mutants; each is a folder."""

from typing import Literal

Family = Literal["model", "cost", "waits", "harness"]
