"""What is recorded beside predictions, margins and forced merges: the files survive what
predictions survive."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import UserError
from bench.evaluation.runs import forced, margins
from bench.evaluation.runs.margins import Tops


@dataclass(frozen=True)
class Beside:
    """One of the files: its name, how it is written and read, and two values for a sample."""

    file: str
    line: Callable[[int, Any], str]
    read: Callable[..., Mapping[int, Any]]
    merge: Callable[[Path, list[int]], None]
    one: Any
    two: Any


MARGINS = Beside(
    margins.FILE,
    margins.line,
    margins.read_margins,
    margins.merge,
    Tops((7, 2), ((20.0, 12.5), (30.0, 1.0))),
    Tops((8, 2), ((9.25, 9.0), (30.0, 1.0))),
)
FORCED = Beside(forced.FILE, forced.line, forced.read_forced, forced.merge, 0, 9)
BOTH = pytest.mark.parametrize("kind", [MARGINS, FORCED], ids=lambda kind: kind.file)


@BOTH
def test_lines_stand_in_the_order_of_the_data_whatever_wrote_them(
    kind: Beside, tmp_path: Path
) -> None:
    one, two = kind.one, kind.two
    file, line = tmp_path / kind.file, kind.line
    file.write_text(line(3, two) + line(1, two))
    file.with_suffix(".rank-1.jsonl").write_text(line(1, one) + line(2, one))
    kind.merge(tmp_path, [1, 2, 3])
    assert file.read_text() == line(1, one) + line(2, one) + line(3, two)
    assert list(tmp_path.iterdir()) == [file]
    assert kind.read(tmp_path, {1, 3}) == {1: one, 3: two}


@BOTH
def test_the_later_of_two_lines_holds_and_a_torn_one_is_dropped(
    kind: Beside, tmp_path: Path
) -> None:
    lines = kind.line(1, kind.one) + kind.line(1, kind.two)
    (tmp_path / kind.file).write_text(lines + '{"index": 2, "id')
    assert kind.read(tmp_path, {1, 2}, repair=True) == {1: kind.two}
    assert (tmp_path / kind.file).read_text() == lines


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        *[(kind, text) for kind in (MARGINS, FORCED) for text in ("rubbish", '{"index": 1}', "[]")],
        (MARGINS, '{"index": 1, "ids": [true], "logits": [[2, 1]]}'),
        (FORCED, '{"index": 1, "forced": -1}'),
        (FORCED, '{"index": 1, "forced": true}'),
    ],
    ids=lambda part: part.file if isinstance(part, Beside) else part,
)
def test_a_damaged_line_is_named(kind: Beside, damage: str, tmp_path: Path) -> None:
    (tmp_path / kind.file).write_text(f"{kind.line(1, kind.one)}{damage}\n")
    with pytest.raises(UserError, match=rf"{kind.file}: line 2 is damaged; delete that line"):
        kind.read(tmp_path, {1})
