"""`python -m bench`, and the installed command `vlm-hybrid`."""

import sys

from bench.base.installation import how_to_install
from bench.base.supported import stop_elsewhere


def main() -> None:
    """Look where this runs before anything is imported that only runs there."""
    stop_elsewhere()
    try:
        from bench.cli import main as commands
    except ModuleNotFoundError as error:
        missing = how_to_install(error)
        if missing is None:
            raise
        print(f"error: {missing}", file=sys.stderr)
        raise SystemExit(2) from None
    commands()


if __name__ == "__main__":
    main()
