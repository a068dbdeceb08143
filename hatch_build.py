"""What the wheel carries: one package, `vlm_hybrid`, with `bench` and `hybrid` inside of it.

In the repository both lie at the top, and an editable install imports them from there. At the top
of other people's environments they would collide with folders of the same names; so the wheel's
copies lie below `vlm_hybrid`, and import each other by that name. What was moved is the text of
imports, of module names in strings, and of commands; tests/test_wheel.py looks that none is left.
"""

import ast
import re
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HOME = "vlm_hybrid"
PACKAGES = ("bench", "hybrid")
SKIPPED = shutil.ignore_patterns("__pycache__", ".*")
INIT = '''"""As it is installed: `vlm_hybrid.hybrid` is the model, `vlm_hybrid.bench` the suite.

    from vlm_hybrid.bench.syncs import forbid_syncs
    from vlm_hybrid.hybrid import HybridConfig, HybridLlava
"""
'''
MAIN = '''"""`python -m vlm_hybrid`, the same as `vlm-hybrid`."""

from vlm_hybrid.bench.__main__ import main

if __name__ == "__main__":
    main()
'''
_EITHER = "|".join(PACKAGES)
_CODE = (
    (re.compile(rf"^( *)from ({_EITHER})(?=[. ])", re.M), rf"\1from {HOME}.\2"),
    (re.compile(rf"^( *)import ({_EITHER})(?=\s*(?:#.*)?$)", re.M), rf"\1from {HOME} import \2"),
    (re.compile(rf"^( *)import ({_EITHER})(?=[\w.]* as )", re.M), rf"\1import {HOME}.\2"),
)
_COMMANDS = (
    (re.compile(rf"python -m ({_EITHER})(?=\.)"), rf"python -m {HOME}.\1"),
    (re.compile(r"python -m bench\b(?!\.)"), "vlm-hybrid"),
)
# Judges commits that are checked out, and in a checkout `bench` lies at the top.
_IN_CHECKOUTS = "bench/gates/bisect/"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the moved packages in place of the repository's; hatchling finds it by its base."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the tree that goes into the wheel; an editable install stays as it is."""
        if version == "editable":
            return
        self._folder = Path(mkdtemp(prefix="vlm-hybrid-wheel-"))
        move(Path(self.root), self._folder)
        build_data["force_include"][str(self._folder)] = HOME
        core = self.metadata.core
        for entries in (core.scripts, *core.entry_points.values()):
            entries.update({name: f"{HOME}.{value}" for name, value in entries.items()})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what `initialize` made."""
        if version != "editable":
            shutil.rmtree(self._folder)


def move(repository: Path, folder: Path) -> None:
    """Copy both packages and the goldens into `folder`, under the names that they have there.

    Raises:
        ValueError: an import that can't be moved.
    """
    for package in PACKAGES:
        shutil.copytree(repository / package, folder / package, ignore=SKIPPED)
    shutil.copytree(repository / "golden", folder / "bench" / "golden", ignore=SKIPPED)
    modules = {_top(file.relative_to(folder)) for file in folder.rglob("*.py")}
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".py", ".toml", ".md", ".j2"):
            name = file.relative_to(folder).as_posix()
            text = file.read_text(encoding="utf-8")
            file.write_text(moved(text, name, modules), encoding="utf-8")
    (folder / "__init__.py").write_text(INIT, encoding="utf-8")
    (folder / "__main__.py").write_text(MAIN, encoding="utf-8")
    (folder / "py.typed").touch()


def moved(text: str, name: str, modules: set[str]) -> str:
    """A file's text as it is below `vlm_hybrid`.

    Args:
        name: of the file, `bench/cli/golden.py`.
        modules: all that move, by their first two names, `bench.cli`.

    Raises:
        ValueError: an import that can't be moved.
    """
    if not name.startswith(_IN_CHECKOUTS):
        for pattern, new in _COMMANDS:
            text = pattern.sub(new, text)
    if not name.endswith(".py"):
        return text
    for pattern, new in _CODE:
        text = pattern.sub(new, text)

    def module(found: re.Match[str]) -> str:
        return f"{HOME}.{found[0]}" if found[0] in modules else found[0]

    text = re.sub(rf"(?<=[\"'])({_EITHER})\.\w+", module, text)
    if left := unmoved(text):
        raise ValueError(f"{name}: write imports as `from package import name`, not {left}")
    return text


def unmoved(text: str) -> list[str]:
    """The imports of a file that still ask for `bench` or `hybrid` at the top."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        found += [name for name in names if name.partition(".")[0] in PACKAGES]
    return found


def _top(file: Path) -> str:
    return ".".join(file.with_suffix("").parts[:2])
