"""Documents whose JSON is sound and whose types are not: whatever stands at whatever place, its
reader reads it as documented or says in one line what it is not."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench.base.errors import UserError
from bench.evaluation.comparison.same import demand_comparable, demand_same_model
from bench.evaluation.comparison.side import load_side
from bench.evaluation.references.captions import add_captions
from bench.evaluation.references.store import print_references, read_reference
from bench.evaluation.runs.identity import demand_same
from bench.evaluation.runs.rescore import read_answers
from bench.evaluation.runs.status import find_runs
from bench.report import pull_request
from bench.report.history.series import all_series, series_cells
from bench.report.history.spent import all_spent
from bench.report.history.store import append, read_history, read_report
from bench.report.kept import _values
from bench.report.plots.style import plain_svg
from bench.report.plots.sweep import accuracy_against_latency, accuracy_over
from bench.report.sweep.result import Sweep
from bench.timing.ratio import paired_ratio
from bench.timing.samples import Samples
from bench.trust.gatecheck.record import read_manifest
from bench.trust.gatecheck.recording import SHIPPED
from tests.commands import Typed
from tests.compare_runs import keep_letters, run_folder
from tests.reports import samples, sweep
from tests.test_history import SPENT, entry
from tests.test_timing_samples import BUSY, QUIET

WRONG: tuple[Any, ...] = (
    None, True, "x", "a\nb", "$^$", [], {}, -1, 0, 1.5, 1e308, 10**299, "x" * 100_000
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A document: its file's name, what stands there, and all that is done with it.

    lay: lays what belongs beside it.
    """

    file: str
    document: Callable[[], Any]
    use: Callable[[Path], object]
    lay: Callable[[Path], object] = Path


def _samples() -> Any:
    few = samples(2)
    arms = ("dense", "hybrid")
    blocks = [{arm: block[arm] for arm in arms} for block in few.blocks]
    gpu = replace(QUIET, sm_mhz=1980, celsius=41, throttles=("power cap",))
    conditions = [{arm: [calls.to_json() for calls in (gpu, BUSY)] for arm in arms}] * 2
    return {"setup": {"threads": 2, "clock": "c"}, "blocks": blocks, "conditions": conditions}


def _use_samples(path: Path) -> None:
    found = Samples.load(path)
    assert found.described
    assert found.too_busy is None or "\n" not in found.too_busy
    paired_ratio(*found.pair("hybrid", "dense", "answer"), confidence=0.99)


def _sweep() -> Any:
    found = asdict(replace(sweep(), points=sweep().points[:2]))
    found["points"][1]["ratio_high"] = None
    return found


def _use_sweep(path: Path) -> None:
    found = Sweep.load(path)
    plain_svg(accuracy_against_latency(found))
    accuracy_over(found, "cache")


RUN = {
    "model": "m",
    "config": {"implementation": "hybrid", "keep": "36", "merge": True, "thresholds": [0.9]},
    "checkpoint": {"config.json": "sha256:1"},
    "data": {"name": "d", "hash": "1", "prompts": "2", "images": "as they are", "weights": "3"},
    "asked": {"data": "tiny-mmbench", "prompt": "vlmevalkit"},
    "dtype": "float32",
    "device": "cpu",
    "max_new_tokens": 16,
    "samples": 2,
    "answered_before": 0,
    "started": 1.5,
    "budget": asdict(SPENT),
}


def _use_run(path: Path) -> None:
    for use in (
        lambda: [run.text() for run in find_runs(path.parent)],
        lambda: demand_same(path.parent, RUN, tuple(RUN)),
        lambda: read_answers(path.with_name("predictions.jsonl"), mend="give --data"),
        lambda: _compare(path),
    ):
        one_line(use)


def _compare(path: Path) -> None:
    before, after = load_side(str(path.parent)), load_side(str(path.parents[1] / "other"))
    demand_comparable(before, after)
    demand_same_model(before, after)


def _lay_run(folder: Path) -> None:
    for name in ("run", "other"):
        run_folder(folder / name, "AB")
        (folder / name / "run.json").write_text(json.dumps(RUN))
    lines = [json.dumps({"index": i, "prediction": "A"}) for i in (1, 2)]
    (folder / "run" / "predictions.jsonl").write_text("\n".join(lines) + "\n")


SCORES = {
    "recipe": {"prompt": "vlmevalkit", "matcher": "vlmevalkit-2025-04"},
    "values": {"1": 1.0, "2": 0.0},
    "samples": 2,
}


def _use_scores(path: Path) -> None:
    one_line(lambda: _values(path.parent))
    one_line(lambda: _compare(path))


def _history() -> Any:
    found = json.loads(entry(spent=SPENT).line())
    found["origin"]["commit"] = "ab" * 20
    return found


def _use_history(path: Path) -> None:
    entries = read_history(path).entries
    many = [replace(e, title="latency") for e in entries for _ in range(5)]
    for one in all_spent(many):
        assert one.cells
    for title in ("latency", "speed"):
        for series in all_series([replace(e, title=title) for e in many]):
            series_cells(series)


def _use_report(path: Path) -> None:
    for found in read_report(path.parent):
        append(path.with_name("h.jsonl"), found)
    _use_history(path.with_name("h.jsonl"))


def _origin() -> Any:
    return asdict(entry().origin) | {"budgets": {"hybrid": asdict(SPENT)}}


def _lay_report(folder: Path) -> None:
    (folder / "a-origin.json").write_text(json.dumps(_origin()))
    (folder / "a-verdicts.json").write_text(json.dumps(entry().verdicts))


def _recipe(kind: str) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_reference(kind, folder)
        return json.loads((folder / "mine.json").read_text())


def _lay_reference(kind: str, folder: Path) -> None:
    if kind == "mmbench":
        keep_letters(folder, "mine", wrong=(), questions=(1, 2))
        return
    add_captions(
        "mine",
        folder,
        captions={1: "a cat"},
        truth={1: ["one cat"]},
        cider=1.0,
        source="a test",
        model="m",
        data="d",
        tokeniser="simple",
        prompt="p",
        budget=SPENT,
    )


def _use_reference(path: Path) -> None:
    read_reference("mine", path.parent)
    print_references(path.parent)
    load_side("mine", references=path.parent)


def _use_pull_request(path: Path) -> None:
    path.with_name("asked.txt").write_text("accuracy")
    told = pull_request.comment(path.parent, [], "", "success")
    assert told.startswith(pull_request.MARKER)


def _manifest() -> Any:
    return json.loads((SHIPPED / "manifest.json").read_text())


KINDS = {
    "samples": Kind("s.json", _samples, _use_samples),
    "sweep": Kind("sweep.json", _sweep, _use_sweep),
    "run.json": Kind("run/run.json", lambda: RUN, _use_run, _lay_run),
    "scores.json": Kind("run/scores.json", lambda: SCORES, _use_scores, _lay_run),
    "history": Kind("h.jsonl", _history, _use_history),
    "verdicts": Kind("a-verdicts.json", lambda: list(entry().verdicts), _use_report, _lay_report),
    "origin": Kind("a-origin.json", _origin, _use_report, _lay_report),
    "letters": Kind(
        "mine.json",
        partial(_recipe, "mmbench"),
        _use_reference,
        partial(_lay_reference, "mmbench"),
    ),
    "captions": Kind(
        "mine.json", partial(_recipe, "coco"), _use_reference, partial(_lay_reference, "coco")
    ),
    "manifest": Kind("manifest.json", _manifest, read_manifest),
    "verdicts of a change": Kind(
        "accuracy-verdicts.json", lambda: list(entry().verdicts), _use_pull_request
    ),
}


def places(document: Any) -> Iterator[tuple[str | int, ...]]:
    """The way to each value within the document, and to the document itself."""
    yield ()
    inside: Any = ()
    if isinstance(document, dict):
        inside = document.items()
    elif isinstance(document, list | tuple):
        inside = enumerate(document[:2])
    for key, value in inside:
        for rest in places(value):
            yield (key, *rest)


def put(document: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """A document with this value there."""
    if not place:
        return value
    copied: Any = dict(document) if isinstance(document, dict) else list(document)
    copied[place[0]] = put(copied[place[0]], place[1:], value)
    return copied


def one_line(use: Callable[[], object]) -> str | None:
    """What `use` says if it refuses."""
    try:
        use()
    except UserError as error:
        said = str(error)
        assert "\n" not in said and len(said) < 1000
        return said
    return None


@pytest.mark.parametrize("name", KINDS)
def test_a_sound_document_is_read(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    kind.lay(tmp_path)
    path = tmp_path / kind.file
    path.write_text(json.dumps(kind.document()) + "\n")
    assert one_line(lambda: kind.use(path)) is None


@pytest.mark.parametrize("name", KINDS)
def test_whatever_stands_anywhere_is_read_as_documented_or_one_line(
    name: str, tmp_path: Path
) -> None:
    kind = KINDS[name]
    kind.lay(tmp_path)
    path, document = tmp_path / kind.file, kind.document()
    for place in places(document):
        for value in WRONG:
            path.write_text(json.dumps(put(document, place, value)) + "\n")
            try:
                one_line(lambda: kind.use(path))
            except Exception as error:
                error.add_note(f"{str(value)[:20]!r} at {place}")
                raise


RUN_AT = ("run/run.json", RUN)
SCORES_AT = ("run/scores.json", SCORES)


@pytest.mark.parametrize(
    ("command", "at", "place", "value"),
    [
        (("score", "run/predictions.jsonl"), RUN_AT, ("asked", "data"), ["tiny-mmbench"]),
        (("status", "run"), RUN_AT, ("samples",), "2"),
        (("compare", "other", "run"), SCORES_AT, ("recipe", "matcher"), ["vlmevalkit-2025-04"]),
        (("compare", "other", "run"), RUN_AT, ("data",), ["d"]),
        (("reference", "add", "run", "--name", "r"), RUN_AT, ("model",), {}),
        (("reference", "list"), ("references/mine.json", None), ("questions",), True),
        (
            ("accuracy", "--work-dir", "out", "--reuse"),
            ("out/tiny_hybrid/tiny-mmbench/run.json", RUN),
            ("config", "keep"),
            {"count": 36},
        ),
        (
            ("history", "--file", "h.jsonl"),
            ("h.jsonl", None),
            ("verdicts", 0, "numbers", "low"),
            [0.5],
        ),
    ],
)
def test_a_command_says_it_in_one_line_and_ends_with_2(
    command: tuple[str, ...],
    at: tuple[str, Any],
    place: tuple[str | int, ...],
    value: Any,
    typed: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    _lay_run(tmp_path)
    (tmp_path / "references").mkdir()
    keep_letters(tmp_path / "references", "mine", wrong=(), questions=(1, 2))
    (tmp_path / "h.jsonl").write_text(json.dumps(_history()) + "\n")
    path = tmp_path / at[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    document = at[1] or json.loads(path.read_text())
    path.write_text(json.dumps(put(document, place, value)) + "\n")
    ended = typed(*command)
    lines = [line for line in ended.err.splitlines() if line]
    assert ended.code == 2, ended
    assert len(lines) == 1 and str(place[-1]) in lines[0] and "Traceback" not in ended.err
