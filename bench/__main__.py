"""`python -m bench`, and the installed command `vlm-hybrid`."""

from bench.supported import stop_elsewhere


def main() -> None:
    """Look where this runs before anything is imported that only runs there."""
    stop_elsewhere()
    from bench.cli import main as commands

    commands()


if __name__ == "__main__":
    main()
