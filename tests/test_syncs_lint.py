"""The static check: spellings that wait, and the comment that excuses one with a reason."""

from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.gates.sync.lint import lint_paths, lint_source
from bench.syncs.catalogue import copies, reads, shapes


@pytest.mark.parametrize(
    ("source", "spelling"),
    [
        ("x.sum().item()", ".item"),
        ("x.tolist()", ".tolist"),
        ("x.detach().cpu().numpy()", ".cpu"),
        ("mask.nonzero()", ".nonzero"),
        ("torch.nonzero(mask)", ".nonzero"),
        ("torch.unique(x)", ".unique"),
        ("torch.where(mask)", "torch.where"),
        ("torch.tensor([1], device=d)", "torch.tensor"),
        ("torch.cuda.synchronize()", ".synchronize"),
        ("F.one_hot(x)", "one_hot"),
        ("x.repeat_interleave(counts, dim=0)", "repeat_interleave"),
        ("torch.linalg.inv(a)", "linalg.inv"),
        ('x.to("cpu")', '.to("cpu")'),
    ],
)
def test_a_waiting_spelling_is_found(source: str, spelling: str) -> None:
    assert spelling in [finding.spelling for finding in lint_source(source, "a.py")]


@pytest.mark.parametrize(
    "source",
    [
        "torch.where(mask, a, b)",
        "F.one_hot(x, num_classes=4)",
        "x.repeat_interleave(2, dim=0)",
        "torch.repeat_interleave(x, counts, output_size=n)",
        "x.to(device)",
        "torch.linalg.inv_ex(a)",
        "x[rows]",
        "items.items()",
    ],
)
def test_a_clean_spelling_is_not(source: str) -> None:
    assert lint_source(source, "a.py") == ()


def test_an_excuse_needs_a_reason_and_a_need() -> None:
    source = "a.item()  # sync-ok: read back once\nb.item()  # sync-ok:\nc.sum()  # sync-ok: why\n"
    found = [(finding.line, finding.spelling) for finding in lint_source(source, "a.py")]
    assert found == [(2, "sync-ok"), (3, "sync-ok")]


def test_an_excuse_covers_a_call_over_several_lines_and_no_other() -> None:
    source = "x = (\n    a.sum()\n    .item()  # sync-ok: read back\n)\ny.item()\n"
    assert [finding.line for finding in lint_source(source, "a.py")] == [5]


def test_the_line_is_that_of_the_spelling() -> None:
    source = "x = (\n    a.sum()\n    .item()\n)\n"
    assert [str(finding) for finding in lint_source(source, "a.py")] == [
        "a.py:3: .item: reads a value"
    ]


def test_most_of_the_planted_calls_are_already_seen_in_the_source() -> None:
    """What has no spelling (`if x:`, `x[mask]`) needs the detector; that is why there are two."""
    for module, least in ((reads, 4), (shapes, 14), (copies, 13)):
        path = Path(str(module.__file__))
        marked = {
            number
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            if line.endswith("# waits")
        }
        assert len(marked & {finding.line for finding in lint_paths([path])}) >= least


def test_files_are_checked_in_order(tmp_path: Path) -> None:
    for name in ("b.py", "a.py"):
        (tmp_path / name).write_text("x.item()\n", encoding="utf-8")
    assert [Path(finding.file).name for finding in lint_paths([tmp_path])] == ["a.py", "b.py"]


@pytest.mark.parametrize("name", ["missing.py", "empty"])
def test_nothing_to_check_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no Python source"):
        lint_paths([tmp_path / name])


def test_a_file_that_does_not_parse_is_an_error() -> None:
    with pytest.raises(UserError, match=r"a\.py:2: does not parse"):
        lint_source("x = 1\ny = (\n", "a.py")
