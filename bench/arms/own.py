"""A user's own method as an arm: `mine.py:Mine`, or a name of the entry point group
`vlm_hybrid.methods`.

Either stands for a class or a function that makes a method of a `Keep`. `known` loads it once a
process, and from then on it is an arm by the name of the class, `Mine`. Its files are a part of
what a run is, so an edited one never goes on with what it answered before.
"""

import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType, ModuleType

from bench.arms.own_files import INSTALLED, digest_of, files_of
from bench.arms.published import ARMS, MADE_OF_A_BUDGET, demand_stages
from bench.base.errors import UserError
from bench.base.home import expanded
from bench.base.reading import read_bytes
from hybrid import HybridConfig, Keep

GROUP = "vlm_hybrid.methods"
TO_OFF = "-to-off"
FORM = "FILE.py:NAME, such as mine.py:Mine"
LARGEST = 1 << 22  # bytes of a method's file
PROBED = Keep(count=36)  # what each method is made of once, to see that it can be
Factory = Callable[[Keep], object]


@dataclass(frozen=True)
class Own:
    """A user's method.

    Attributes:
        name: of the arm.
        where: as it can be typed in any folder.
        make: of a budget.
        files: what it consists of: file or module -> `sha256:...`, or a package's version.
        paths: its Python files.
    """

    name: str
    where: str
    make: Factory
    files: Mapping[str, str]
    paths: tuple[Path, ...]

    def of(self, keep: Keep) -> object:
        """The method at this budget. Raises UserError if it can't be made."""
        try:
            return self.make(keep)
        except BaseException as error:
            raise raised(self.name, error, f"making it of keep={keep}") from error

    @property
    def digest(self) -> str:
        """One short name for all that `files` says."""
        listed = "".join(f"{name} {digest}\n" for name, digest in sorted(self.files.items()))
        return digest_of(listed.encode())[: len("sha256:") + 12]


_KNOWN: dict[str, Own] = {}


def known(arm: str) -> str:
    """The arm's name: what ships as it is, and a user's own once it is loaded.

    Raises:
        UserError: there is none, its file does not load, or what stands there makes no method.
    """
    if arm in ARMS or arm in _KNOWN:
        return arm
    if is_file(arm):
        path, name = _split(arm)
        for own in _KNOWN.values():
            if own.where == f"{path}:{name}":
                return own.name
        own = _of_file(path, name)
    else:
        own = _of_entry_point(arm)
    if own.name in ARMS:
        raise UserError(f"{arm}: an arm that ships is called {own.name}, too: rename yours")
    other = _KNOWN.setdefault(own.name, own)
    if other.where != own.where:
        raise UserError(f"{own.where} and {other.where} are both called {own.name}: rename one")
    return own.name


def own_of(arm: str) -> Own | None:
    """What `known` loaded by this name; None for an arm that ships."""
    return _KNOWN.get(arm)


def demand_budgeted(arm: str) -> tuple[str, Factory]:
    """A method's name, and what makes it of a budget; loads it if it is the user's own.

    Raises:
        UserError: as `known` does, and for an arm that is more than a method.
    """
    name = known(arm)
    own = own_of(name)
    if own is not None:
        return name, own.of
    if name not in MADE_OF_A_BUDGET:
        there = ", ".join(MADE_OF_A_BUDGET)
        raise UserError(f"{name} is no method: choose from {there}, or your own as {FORM}")
    return name, MADE_OF_A_BUDGET[name]


def method_settings_of(arm: str) -> dict[str, str]:
    """What a report says of a user's own method: another text of it is another series."""
    own = own_of(arm)
    return {} if own is None else {"method": own.digest}


def told(method: object) -> str:
    """A method, or a configuration with some, in words that are the same in each process."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(method))


def forget() -> None:
    """As in a new process: files are read again."""
    _KNOWN.clear()


def is_file(arm: str) -> bool:
    """Whether it is meant as a file and a name in it."""
    return ":" in arm or arm.endswith(".py")


def where(arm: str) -> str:
    """An arm as it can be typed in any folder."""
    own = own_of(arm)
    return arm if own is None else own.where


def named(bounded: str) -> str:
    """The arm of a bound by the name that `known` gives it: `Mine-to-off` of `mine.py:Mine-to-off`.

    Raises UserError as `known` does.
    """
    arm = bounded.removesuffix(TO_OFF)
    return known(arm) + bounded[len(arm) :]


@cache
def installed() -> Mapping[str, EntryPoint]:
    """Entry points by name; where two packages have one of a name, the first."""
    return {point.name: point for point in reversed(tuple(entry_points(group=GROUP)))}


def of_entry_point(point: EntryPoint) -> Own:
    """Raises UserError as `known` does."""
    package = point.dist.name if point.dist is not None else point.module
    said = f"entry point {point.name} of {package}"
    try:
        made = point.load()
    except BaseException as error:
        raise raised(f"{said} ({point.value})", error, "loading it") from error
    module = sys.modules[point.module]
    own_package = point.module.partition(".")[0]
    return _checked(point.name, point.name, made, module, own_package, said)


def _of_entry_point(arm: str) -> Own:
    if arm not in installed():
        near = get_close_matches(arm, [*ARMS, *installed()], n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        there = ", ".join([*ARMS, *(name for name in installed() if name not in ARMS)])
        raise UserError(f"no arm {arm!r}: {meant}choose one of {there}, or your own as {FORM}")
    return of_entry_point(installed()[arm])


def _split(arm: str) -> tuple[Path, str]:
    path, _, name = arm.rpartition(":")
    if not path.endswith(".py") or not name.isidentifier():
        raise UserError(f"{arm!r} names no method: give {FORM}")
    return expanded(path).resolve(), name


def _of_file(path: Path, name: str) -> Own:
    said = f"{path.name}:{name}"
    source = read_bytes(path, most=LARGEST, mend=f"give your method as {FORM}")
    module = _executed(path, source)
    if not hasattr(module, name):
        there = [
            each
            for each, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise UserError(f"{path} holds no {name}: it has {', '.join(there) or 'nothing'}")
    return _checked(name, f"{path}:{name}", getattr(module, name), module, "", said, source)


def _executed(path: Path, source: bytes) -> ModuleType:
    """The file as a module; what is run is `source`, whatever becomes of the file meanwhile."""
    name = f"own_{path.stem}_{sha256(bytes(path)).hexdigest()[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look for it there
    try:
        code: CodeType = compile(source, str(path), "exec")
        exec(code, vars(module))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError) and error.filename == str(path):
            raise UserError(
                f"{path}:{error.lineno}: this is no Python ({error.msg}): mend it"
            ) from error
        raise raised(str(path), error, "importing it") from error
    return module


def _checked(
    name: str,
    place: str,
    make: object,
    module: ModuleType,
    package: str,
    said: str,
    source: bytes | None = None,
) -> Own:
    """Raises UserError for what makes no method of a Keep."""
    _demand_name(name, said)
    if not callable(make):
        raise UserError(
            f"{said} is a {type(make).__name__}: give a class or a function that takes a Keep"
        )
    demand_method(make, said)
    files, paths = files_of(module, package, source)
    return Own(name, place, make, files, paths)


def demand_method(make: Factory, said: str) -> None:
    """Raises UserError unless `make` makes a stage, or an object that lists some, of a Keep."""
    try:
        made = make(PROBED)
    except BaseException as error:
        trace = error.__traceback__
        if isinstance(error, TypeError) and trace is not None and trace.tb_next is None:
            raise UserError(
                f"{said} can't be made of a Keep alone ({error}): let it take one"
            ) from error
        raise raised(said, error, f"making it of keep={PROBED}") from error
    try:
        demand_stages(HybridConfig(method=(made,)))
    except BaseException as error:
        raise raised(said, error, "listing its stages") from error


def _demand_name(name: str, said: str) -> None:
    """Raises UserError for what can't be a folder's, a verdict's and a bound's."""
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]{0,39}", name) or TO_OFF in name:
        raise UserError(
            f"{said}: {name!r} can't be an arm's name: give it up to 40 letters from A to z,"
            " digits, _ and -, the first a letter"
        )


def raised_by_own(error: BaseException) -> UserError | None:
    """The line for an exception that came out of a method of `known`; None if it did not."""
    passed = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
    for own in _KNOWN.values():
        if passed & {str(path) for path in own.paths}:
            return raised(own.name, error, "the method")
    return None


def raised(said: str, error: BaseException, doing: str) -> UserError:
    """In one line, with the place in the user's own code; Ctrl-C goes on as what it is."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error
    text = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    if kind == "ConfigError":
        return UserError(f"{said}: {text}")
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if frame.filename != __file__
        and not frame.filename.startswith("<")
        and not INSTALLED & set(Path(frame.filename).parts)
    ]
    named = {str(path) for own in _KNOWN.values() for path in own.paths}
    theirs = [frame for frame in theirs if frame.filename in named] or theirs  # not what watches
    at = f" at {Path(theirs[-1].filename).name}:{theirs[-1].lineno}" if theirs else ""
    return UserError(f"{said}: {doing} raises {kind}{at}{f' ({text})' if text else ''}: mend it")
