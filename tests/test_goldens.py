"""Goldens hold, differences are drawn, and nothing rewrites them in CI."""

from dataclasses import replace

import pytest

from bench.base.errors import UserError
from bench.base.sealed import FOLDER
from bench.gates.goldens import regenerate_for_review
from bench.goldens.cases import cases
from bench.goldens.picture import describe
from bench.goldens.record import PRUNED, records_from_text, records_to_text
from hybrid.methods import METHODS


@pytest.mark.parametrize("name", cases())
def test_positions_owners_and_masks_are_as_recorded(name: str) -> None:
    stored = records_from_text((FOLDER / f"{name}.txt").read_text())
    made = cases()[name].run().records
    assert len(made) == len(stored)
    for golden, now in zip(stored, made, strict=True):
        for summary, picture in describe(golden, now):
            pytest.fail(f"{summary}\n{picture}", pytrace=False)


def test_every_golden_has_a_case_and_every_case_a_golden() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(cases())


def test_a_record_reads_back_as_it_was_written() -> None:
    records = cases()["batch-share-0.5"].run().records
    assert records_from_text(records_to_text(records)) == records


def test_a_moved_patch_is_marked_where_it_stands() -> None:
    golden = cases()["noise-keep-36"].run().records[0]
    grid = list(golden.grids["position_ids after pruning"])
    patch = next(i for i, cell in enumerate(grid) if cell != PRUNED)
    expected, grid[patch] = grid[patch], PRUNED
    now = replace(golden, grids=golden.grids | {"position_ids after pruning": grid})
    ((summary, picture),) = describe(golden, now)
    assert summary == "position_ids after pruning: 1 of 576 patches wrong"
    rows = picture.splitlines()
    assert rows[patch // 24].split()[patch % 24] == "#"
    assert picture.count("#") == 1
    assert f"pruned, golden says {expected}" in rows[24]


def test_goldens_are_not_rewritten_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UserError, match="not rewritten under CI"):
        regenerate_for_review()


def test_each_method_has_a_golden_and_a_fault_in_one_is_drawn_where_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert {name for name in cases() if name.startswith("method-")} == {
        f"method-{name}" for name in METHODS
    }
    monkeypatch.setattr("hybrid.methods.dart.PIVOTS", 5)
    stored = records_from_text((FOLDER / "method-dart.txt").read_text())
    made = cases()["method-dart"].run().records
    for golden, now in zip(stored, made, strict=True):
        ((summary, picture),) = describe(golden, now)
        before, after = (r.grids["position_ids after pruning"] for r in (golden, now))
        wrong = [patch for patch in range(576) if before[patch] != after[patch]]
        assert summary == f"position_ids after pruning: {len(wrong)} of 576 patches wrong"
        assert picture.count("#") == len(wrong) > 0
        assert f"patch {wrong[0]} (row {wrong[0] // 24}, column {wrong[0] % 24})" in picture
