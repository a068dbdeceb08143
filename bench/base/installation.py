"""What to do where a package is missing; imports nothing that could be missing itself."""

import sys

OWN = ("bench", "hybrid", "tests")


def how_to_install(error: ModuleNotFoundError) -> str | None:
    """One line for whoever has not installed the project; None if it lacks a part of its own."""
    package = (error.name or "").partition(".")[0]
    if not package or package in OWN:
        return None
    return (
        f"{package} is missing in {sys.prefix}: install the project, in its checkout by"
        f' {sys.executable} -m pip install -c constraints.txt -e ".[dev]"'
    )
