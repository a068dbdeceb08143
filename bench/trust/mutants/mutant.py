"""What a mutant is, and where all of them are."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import get_args

from bench.base.errors import UserError
from bench.trust.mutants.families import Family

MADE = "made when touching this code"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One defect, as a change of one function's text.

    Attributes:
        target: the function, `hybrid.rope:layout` or `hybrid.model:HybridLlava.decode`.
        old: a piece of its source, to the space.
        new: what stands there instead.
        count: how often `old` occurs, all of which are replaced.
        source: whose bug it is: a repository and its file or issue, or `MADE`.
        expected: the gates that should see it; with `hang`, running out of time counts, too.
    """

    target: str
    old: str
    new: str
    source: str
    expected: tuple[str, ...]
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Named:
    """A mutant with what its file says about it.

    Attributes:
        name: `model/kept-in-order-of-score`.
        what: the first line of the file's docstring.
    """

    name: str
    family: Family
    what: str
    mutant: Mutant


def load_mutants(names: Sequence[str] = ()) -> list[Named]:
    """All mutants, or those named, in order of their names.

    Raises:
        UserError: a name that no mutant has, or a file without a `MUTANT` or a docstring.
    """
    found = [_load(path, family) for family in get_args(Family) for path in _files(family)]
    unknown = [name for name in names if name not in {known.name for known in found}]
    if unknown:
        raise UserError(f"no mutant {unknown[0]!r}: python -m bench mutants --list names them")
    return [known for known in found if not names or known.name in names]


def folder_of(family: Family) -> Path:
    """Where the files of a family are."""
    return Path(__file__).parent / family


def _files(family: Family) -> list[Path]:
    return sorted(p for p in folder_of(family).glob("*.py") if p.stem != "__init__")


def _load(path: Path, family: Family) -> Named:
    module = import_module(f"bench.trust.mutants.{family}.{path.stem}")
    mutant = getattr(module, "MUTANT", None)
    if not isinstance(mutant, Mutant) or not module.__doc__:
        raise UserError(f"{path}: needs a docstring and MUTANT = Mutant(...)")
    what = module.__doc__.partition("\n")[0].rstrip(".")
    name = f"{family}/{path.stem.replace('_', '-')}"
    return Named(name=name, family=family, what=what, mutant=mutant)
