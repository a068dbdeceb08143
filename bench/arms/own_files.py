"""What a user's method consists of: the files that it imports by name, as far as they are the
user's, and the versions of the packages that are not.

Import statements are read, wherever they stand in a file. A module that is asked for by a text
(`importlib.import_module`), and what a method reads besides Python, are not seen.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType

from bench.base.errors import UserError

OURS = ("bench", "hybrid", "vlm_hybrid")  # a run's identity has them already
INSTALLED = {"site-packages", "dist-packages"}


def files_of(
    module: ModuleType, package: str, source: bytes | None = None
) -> tuple[Mapping[str, str], tuple[Path, ...]]:
    """Name -> `sha256:...` or version, and the paths of the Python files among them.

    Args:
        module: the method's; it is loaded.
        package: whose other modules are the method's, too, even where they are installed.
        source: of the module, if it was read already.

    Raises:
        UserError: the module has no file, or one can't be read.
    """
    path = Path(module.__file__ or "")
    if not path.is_file():
        raise UserError(f"the source of {module.__name__} is not here, so no run can name it")
    content = _read(path) if source is None else source
    found, paths = {path.name: digest_of(content)}, [path]
    within = module.__package__ or module.__name__.rpartition(".")[0] if package else ""
    left = [(content, within)]
    while left:
        for name in imported(*left.pop()):
            top = name.partition(".")[0]
            if name in found or top in OURS or top in sys.stdlib_module_names:
                continue
            file, below = _file_of(name)
            if file is None or file == path:
                continue
            if INSTALLED & set(file.parts) and top != package:
                found.setdefault(top, _version(top, file))
                continue
            content = _read(file)
            found[name] = digest_of(content)
            if file.suffix == ".py":
                paths.append(file)
                left.append((content, below))
    return found, tuple(paths)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def imported(source: bytes, package: str) -> Iterator[str]:
    """Modules that import statements name, and what may be one: `b` of `from a import b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _and_above(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = "." * node.level + (node.module or "")
            try:
                base = resolve_name(above, package) if node.level else above
            except ImportError:
                continue
            yield from _and_above(base)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _and_above(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _file_of(name: str) -> tuple[Path | None, str]:
    """A module's file and package; no file for what is none, or is not there."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None, ""
    if spec is None or not spec.origin or not spec.has_location:
        return None, ""
    return Path(spec.origin), spec.parent or ""


def _version(top: str, file: Path) -> str:
    try:
        return version(top)
    except PackageNotFoundError:  # a package is not always called as what is installed
        return digest_of(_read(file))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} can't be read ({error.strerror}): a method imports it") from error
