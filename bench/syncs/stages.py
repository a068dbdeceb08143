"""Which part of the model is running: a label that every wait is filed under.

A model need not know it is being watched. `label_stages` puts the labels on from the outside, by
wrapping methods and submodules for as long as a `with` block lasts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import Protocol

_NO_ATTRIBUTE = object()
_stage: ContextVar[str] = ContextVar("stage", default="")


class _HasModules(Protocol):
    """The one thing `label_stages` asks of a torch module, so that torch need not be imported."""

    def named_modules(self) -> Iterator[tuple[str, object]]: ...


Label = str | Callable[..., str]
"""A stage's name. `{call}` counts the calls, `{index}` is the last number in the dotted path.

A function instead of a text gets the call number and then the call's own arguments.
"""


def current_stage() -> str:
    """The label in force here, from the outermost `stage` inwards; empty outside any."""
    return _stage.get()


@contextmanager
def stage(name: str) -> Iterator[None]:
    """File every wait inside the block under `name`; nested names read "prefill layer 3"."""
    outer = _stage.get()
    token = _stage.set(f"{outer} {name}" if outer else name)
    try:
        yield
    finally:
        _stage.reset(token)


@contextmanager
def label_calls(owner: object, method: str, label: Label) -> Iterator[None]:
    """Run every call of `owner.method` in a stage, until the block ends.

    `owner` is any object or module; the wrapper sits on the instance, so other instances of the
    class stay as they are, and whatever was there before comes back.
    """
    original: Callable[..., object] = getattr(owner, method)
    calls = 0

    @functools.wraps(original)
    def labelled(*args: object, **kwargs: object) -> object:
        nonlocal calls
        call, calls = calls, calls + 1
        name = label.format(call=call) if isinstance(label, str) else label(call, *args, **kwargs)
        with stage(name):
            return original(*args, **kwargs)

    before = vars(owner).get(method, _NO_ATTRIBUTE)
    setattr(owner, method, labelled)
    try:
        yield
    finally:
        if before is _NO_ATTRIBUTE:
            delattr(owner, method)
        else:
            setattr(owner, method, before)


@contextmanager
def label_rest(owner: object, method: str, name: str) -> Iterator[None]:
    """File what follows each call of `owner.method` under `name`, until its next call or the end.

    For the tail of a function that cannot be wrapped by itself.
    """
    original: Callable[..., object] = getattr(owner, method)
    outer = _stage.get()

    @functools.wraps(original)
    def followed(*args: object, **kwargs: object) -> object:
        _stage.set(outer)
        try:
            return original(*args, **kwargs)
        finally:
            _stage.set(f"{outer} {name}" if outer else name)

    before = vars(owner).get(method, _NO_ATTRIBUTE)
    setattr(owner, method, followed)
    try:
        yield
    finally:
        _stage.set(outer)
        if before is _NO_ATTRIBUTE:
            delattr(owner, method)
        else:
            setattr(owner, method, before)


@contextmanager
def label_stages(model: _HasModules, labels: Mapping[str, Label]) -> Iterator[None]:
    """Label submodules and methods of `model` by dotted path.

    A key names the last parts of a submodule's path (`"vision_tower"`, `"language_model.layers.*"`,
    a `*` for each part that varies; every call of its `forward` gets the label), or else a method
    of `model` itself (`"prefill"`, `"decode"`).

    Raises:
        LookupError: a key matches nothing, since a label nobody wears hides a renamed method.
    """
    with ExitStack() as undo:
        for pattern, label in labels.items():
            matches = [pair for pair in model.named_modules() if _ends_with(pair[0], pattern)]
            for path, module in matches:
                undo.enter_context(label_calls(module, "forward", _with_index(label, path)))
            if not matches:
                if not callable(getattr(model, pattern, None)):
                    raise LookupError(f"no submodule or method matches the stage key {pattern!r}")
                undo.enter_context(label_calls(model, pattern, label))
        yield


def _ends_with(path: str, pattern: str) -> bool:
    wanted = pattern.split(".")
    found = path.split(".")[-len(wanted) :]
    return len(found) == len(wanted) and all(map(fnmatchcase, found, wanted))


def _with_index(label: Label, path: str) -> Label:
    numbers = [part for part in path.split(".") if part.isdigit()]
    if isinstance(label, str) and numbers:
        return label.replace("{index}", numbers[-1])
    return label


def prefill_then_decode(call: int, *_args: object, **_kwargs: object) -> str:
    """A label for a method that is called once for the prompt and then once a token."""
    return f"decode step {call}" if call else "prefill"
