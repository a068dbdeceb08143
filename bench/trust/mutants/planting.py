"""Applies a mutant to the functions of this process; nothing on disk changes.

The file's text is changed and compiled as a whole, and every function of the module takes its code
from there: function objects stay what they are, so whoever imported one runs the new code, and
tracebacks and the sync detector see lines that match.
"""

import builtins
import dis
import inspect
import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

from bench.base.errors import UserError
from bench.trust.mutants.mutant import Named


@dataclass(frozen=True)
class Change:
    """A mutant that was found to apply: the module, its file, and the file's changed text."""

    module: str
    file: str
    text: str


def change_of(named: Named) -> Change:
    """Look a mutant's target up and change its text.

    Raises:
        UserError: the function is gone, its text does not hold `old` as often as `count` says, or
            the changed text is no Python or asks for a name that its module does not have: that
            would be caught as a crash, whatever the gates guard.
    """
    mutant = named.mutant
    module_name, _, path = mutant.target.partition(":")
    try:
        module = import_module(module_name)
    except ImportError:
        module = None
    function = None if module is None else _function(module, path)
    if function is None:
        raise _stale(named, f"there is no function {mutant.target}")
    lines, first = inspect.getsourcelines(function)
    source = "".join(lines)
    found = source.count(mutant.old)
    if not mutant.old or found != mutant.count:
        raise _stale(
            named, f"its old text occurs {found} times in {mutant.target}, not {mutant.count}"
        )
    if mutant.old == mutant.new:
        raise UserError(f"mutant {named.name} changes nothing: old and new are the same")
    file = function.__code__.co_filename
    whole = linecache.getlines(file)
    changed = source.replace(mutant.old, mutant.new)
    text = "".join([*whole[: first - 1], changed, *whole[first - 1 + len(lines) :]])
    try:
        compiled = compile(text, file, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UserError(
            f"mutant {named.name}: its new text is no Python ({error.msg}); correct it"
        ) from error
    unknown = _asked_of(compiled) - vars(module).keys() - vars(builtins).keys()
    if unknown:
        raise UserError(
            f"mutant {named.name}: its new text asks for {', '.join(sorted(unknown))}, which "
            f"{module_name} does not have; correct it"
        )
    return Change(module_name, file, text)


def changes_of(mutants: Sequence[Named]) -> list[Change]:
    """All changes, in their order; raises `UserError` if one does not apply."""
    return [change_of(named) for named in mutants]


def plant(change: Change) -> None:
    """Put a change in force, for good: call it in a process that ends soon."""
    module = import_module(change.module)
    compiled = compile(change.text, change.file, "exec", dont_inherit=True)
    # An overloaded function is there several times, and its implementation comes last.
    for name, code in {code.co_qualname: code for code in _codes(compiled)}.items():
        function = _function(module, name)
        if function is not None:
            function.__code__ = code
    lines = change.text.splitlines(keepends=True)
    linecache.cache[change.file] = (len(change.text), None, lines, change.file)


def _stale(named: Named, reason: str) -> UserError:
    return UserError(
        f"mutant {named.name} no longer applies: {reason}; the code moved on, so must the mutant"
    )


def _asked_of(module: CodeType) -> set[str]:
    """Global names that functions of a module read."""
    return {
        instruction.argval
        for code in _codes(module)
        for instruction in dis.get_instructions(code)
        if instruction.opname == "LOAD_GLOBAL"
    }


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _function(module: ModuleType, path: str) -> FunctionType | None:
    """The plain function behind decorators, properties and methods, if it is of this module."""
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, "__dict__") or part not in vars(found):
            return None
        found = vars(found)[part]
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, cached_property):
        found = found.func
    elif isinstance(found, classmethod | staticmethod):
        found = found.__func__
    found = inspect.unwrap(found) if callable(found) else None
    own = isinstance(found, FunctionType) and found.__module__ == module.__name__
    return found if own else None
