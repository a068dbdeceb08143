"""A golden's difference as a picture: the patch grid, with a mark where a patch went wrong."""

from collections.abc import Iterator

from bench.goldens.record import PRUNED, Record

LISTED = 6  # patches that are also spelled out below the picture


def describe(golden: Record, now: Record) -> Iterator[tuple[str, str]]:
    """One (summary, picture) for each grid or row that differs."""
    for name in dict.fromkeys([*golden.grids, *now.grids]):  # in their own order
        before, after = golden.grids.get(name, []), now.grids.get(name, [])
        yield from _grid(name, before, after, golden.columns)
    for name in dict.fromkeys([*golden.rows, *now.rows]):
        before, after = golden.rows.get(name, []), now.rows.get(name, [])
        if before != after:
            lines = f"  golden: {_numbers(before)}\n  now:    {_numbers(after)}"
            yield f"{name} position ids", lines


def _grid(name: str, golden: list[int], now: list[int], wide: int) -> Iterator[tuple[str, str]]:
    if golden == now:
        return
    if len(golden) != len(now):
        yield f"{name}: {len(now)} patches, golden has {len(golden)}", ""
        return
    wrong = [i for i, (a, b) in enumerate(zip(golden, now, strict=True)) if a != b]
    marks = ["·" if a == b else "#" for a, b in zip(golden, now, strict=True)]
    rows = ["  " + " ".join(marks[i : i + wide]) for i in range(0, len(marks), wide)]
    listed = [
        f"  patch {i} (row {i // wide}, column {i % wide}): "
        f"{_shown(now[i])}, golden says {_shown(golden[i])}"
        for i in wrong[:LISTED]
    ]
    if len(wrong) > LISTED:
        listed.append(f"  and {len(wrong) - LISTED} more")
    yield f"{name}: {len(wrong)} of {len(golden)} patches wrong", "\n".join(rows + listed)


def _shown(value: int) -> str:
    return "pruned" if value == PRUNED else str(value)


def _numbers(row: list[int]) -> str:
    return " ".join(map(str, row)) if row else "none"


def kept(record: Record) -> Iterator[str]:
    """Lines: how many patches are in tokens that stay to the end, and which."""
    *_, last = record.grids.values()
    wide = record.columns
    yield f"{sum(cell != PRUNED for cell in last)} of {len(last)} patches are in tokens that stay"
    marks = ["·" if cell == PRUNED else "#" for cell in last]
    yield from ("  " + " ".join(marks[i : i + wide]) for i in range(0, len(marks), wide))
