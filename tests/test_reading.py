"""Files from outside that nobody can mean: each is one line that names the file, and none is waited
for, whoever reads it."""

import json
import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from unittest import mock

import pytest

from bench.arms.checkpoint.config import checked_config
from bench.arms.needs import needs_of
from bench.arms.profiles import load_profile
from bench.arms.profiles.thresholds import load_schedule, load_thresholds
from bench.base.errors import UserError
from bench.base.strict_json import LEVELS
from bench.cost.gpu import load_gpu
from bench.evaluation.comparison.side import load_side
from bench.evaluation.references.store import read_reference
from bench.evaluation.runs.identity import demand_same, read_document
from bench.evaluation.runs.margins import read_margins
from bench.evaluation.runs.predictions import SEAL, demand_sealed, read_predictions
from bench.evaluation.runs.status import find_runs
from bench.gates.gpucheck.check import _earlier
from bench.gates.sync.ledger import load_ledger
from bench.gates.sync.lint import lint_paths
from bench.goldens import store
from bench.report import pull_request
from bench.report.demo import _open as open_image
from bench.report.history.store import append, read_history, read_report
from bench.report.kept import _values
from bench.report.sweep.result import Sweep, saved_sweep
from bench.tasks import load_task
from bench.tasks.captions.lists import parse_references
from bench.tasks.rescore import score_file
from bench.tasks.subsets import load_subset
from bench.tasks.tables.table import Table
from bench.timing.samples import Samples
from bench.trust.gatecheck.record import record
from bench.trust.gatecheck.recording import Recording
from bench.trust.gatecheck.series import Segment
from tests.compare_runs import run_folder
from tests.test_history import entry

KNOWN = frozenset(range(10))
NOTHING = object()  # what a reader gives that holds a file for none


@dataclass(frozen=True)
class Reader:
    """How a file is read.

    Attributes:
        file: its name in the folder.
        read: reads it there.
        lay: what has to lie beside it.
        unread: what `read` gives for a file that it holds for none; else it raises.
        kinds: of hostile content; all files also get what is no regular file.
    """

    file: str
    read: Callable[[Path], object]
    lay: Callable[[Path], object] = Path
    unread: object = NOTHING
    kinds: tuple[str, ...] = ("text", "json")


def _run(folder: Path) -> None:
    run_folder(folder / "run", "AA")


def _reference(folder: Path) -> None:
    (folder / "mine.csv").write_text("index,letter,hit\n1,A,1\n")
    (folder / "mine.json").write_text(json.dumps({"kind": "mmbench", "content": ROWS}))


ROWS = "9d4ce9ad1b7dd14a2b9e4ea0f0c01e8ba9a4f0b6a0fc3b1a0c7c5d5bd24c0f3d"


def _statuses(folder: Path) -> None:
    document = {"model": "m", "data": {"name": "d"}, "config": {}}
    (folder / "run.json").write_text(json.dumps(document | {"samples": 9, "answered_before": 0}))


def _report(folder: Path) -> None:
    (folder / "a-verdicts.json").write_text(json.dumps(entry().verdicts))
    (folder / "a-origin.json").write_text("{}")


def _manifest_of_goldens(folder: Path) -> object:
    with mock.patch.object(store, "FOLDER", folder):
        return store.compare()


def _cached(name: str, folder: Path) -> object:
    profile = load_profile("llava-1.5-7b")

    def find(_: str, asked: str) -> str | None:
        return str(folder / asked) if asked == name else None

    with mock.patch("bench.arms.needs.try_to_load_from_cache", find):
        return needs_of(profile)


def _config(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _pull_request(folder: Path) -> str:
    (folder / "asked.txt").write_text("accuracy")
    told = pull_request.comment(folder, [], "", "success")
    return told.splitlines()[0]


INCOMPLETE = f"{pull_request.MARKER}**INCOMPLETE**; MISSING: accuracy; asked: accuracy"
READERS = {
    "predictions": Reader(
        "predictions.jsonl", lambda f: read_predictions(f / "predictions.jsonl", KNOWN)
    ),
    "margins": Reader("margins.jsonl", lambda f: read_margins(f, KNOWN)),
    "seal": Reader(SEAL, demand_sealed, kinds=("text",)),
    "run.json": Reader("run.json", lambda f: read_document(f / "run.json")),
    "run.json, to go on": Reader("run.json", lambda f: demand_same(f, {"model": "m"}, ("model",))),
    "run.json, its state": Reader("run.json", find_runs),
    "answers, their state": Reader("predictions.jsonl", find_runs, _statuses),
    "run.json, compared": Reader("run/run.json", lambda f: load_side(str(f / "run")), _run),
    "scores.json, compared": Reader("run/scores.json", lambda f: load_side(str(f / "run")), _run),
    "scores.json, for pictures": Reader("scores.json", _values),
    "sheet, compared": Reader("run/model_data.xlsx", lambda f: load_side(str(f / "run")), _run),
    "sheet": Reader("a.xlsx", lambda f: score_file(f / "a.xlsx")),
    "answers, scored": Reader("a.jsonl", lambda f: score_file(f / "a.jsonl", data="tiny-mmbench")),
    "data": Reader("a.tsv", lambda f: load_task(f / "a.tsv")),
    "saved data": Reader("dataset_info.json", lambda f: load_task(f"hf:{f}")),
    "parquet": Reader("val.parquet", lambda f: load_task(f"hf:{f}:val")),
    "recipe": Reader("mine.json", lambda f: read_reference("mine", f), _reference),
    "rows": Reader("mine.csv", lambda f: read_reference("mine", f), _reference),
    "history": Reader("h.jsonl", lambda f: read_history(f / "h.jsonl")),
    "history, appended": Reader("h.jsonl", lambda f: append(f / "h.jsonl", entry())),
    "verdicts": Reader("a-verdicts.json", read_report, _report),
    "origin": Reader("a-origin.json", read_report, _report),
    "subset": Reader("s.txt", lambda f: load_subset(str(f / "s.txt"))),
    "profile": Reader("p.toml", lambda f: load_profile(str(f / "p.toml")), kinds=("text", "toml")),
    "gpu": Reader("g.toml", lambda f: load_gpu(str(f / "g.toml")), kinds=("text", "toml")),
    "ledger": Reader("l.toml", lambda f: load_ledger(f / "l.toml"), kinds=("text", "toml")),
    "thresholds": Reader("t.json", lambda f: load_thresholds(str(f / "t.json"))),
    "schedule": Reader("t.json", lambda f: load_schedule(str(f / "t.json"))),
    "sweep": Reader("sweep.json", lambda f: Sweep.load(f / "sweep.json")),
    "sweep, drawn": Reader("sweep.json", saved_sweep),
    "samples": Reader("s.json", lambda f: Samples.load(f / "s.json")),
    "manifest": Reader("manifest.json", Recording.load),
    "manifest, to go on": Reader(
        "manifest.json", lambda f: record(f, command="c", minutes=0, progress=print)
    ),
    "segment": Reader("000.npz", lambda f: Segment.load(f / "000.npz")),
    "goldens": Reader("manifest.json", _manifest_of_goldens),
    "config": Reader("config.json", lambda f: checked_config(str(f))),
    "shards": Reader(
        "model.safetensors.index.json", partial(_cached, "model.safetensors.index.json")
    ),
    "source": Reader("a.py", lambda f: lint_paths([f / "a.py"]), kinds=("text",)),
    "image": Reader("a.png", lambda f: open_image(f / "a.png")),
    "measured": Reader("out.json", lambda f: _earlier(f / "out.json", {}), unread={}),
    "verdicts of a change": Reader("accuracy-verdicts.json", _pull_request, unread=INCOMPLETE),
}


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def ring(path: Path) -> None:
    path.symlink_to(path.name)


def far_too_large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of zeros, which no disk holds


IRREGULAR = (fifo, unix_socket, device, folder, ring, far_too_large)
DEEP = "[" * 100_000
LEVEL = '{"a": ' * (LEVELS + 1) + "1" + "}" * (LEVELS + 1)
CONTENTS: Mapping[str, Mapping[str, bytes]] = {
    "text": {
        "not UTF-8": b"\xff\xfe{}\n",
        "UTF-16": "{}\n".encode("utf-16"),
        "NUL": b"\0\0\n",
        "half a character": b'{"a": "\xe2\x82"}\n',
    },
    "json": {
        "deep": DEEP.encode(),
        "deep and closed": f"{LEVEL}\n".encode(),
        "NaN": b'{"index": NaN, "thresholds": [NaN]}\n',
        "infinite": b'{"index": 1, "thresholds": [-Infinity], "schedule": [-Infinity]}\n',
        "1e999": b'{"index": 1e999, "thresholds": [1e999]}\n',
        "digits": b'{"index": ' + b"9" * 5000 + b"}\n",
        "400 digits": b'{"index": ' + b"9" * 400 + b', "thresholds": [' + b"9" * 400 + b"]}\n",
        "twice": b'{"index": 1, "index": 2, "thresholds": [], "thresholds": [0.5]}\n',
        "list": b"[]\n",
        "list of lists": b"[[]]\n",
        "null": b"null\n",
        "text": b'"text"\n',
        "number": b"7.5\n",
        "true": b"true\n",
    },
    "toml": {
        "deep": b"a = " + DEEP.encode(),
        "deep and closed": b"a = " + b"[" * (LEVELS + 1) + b"]" * (LEVELS + 1),
        "deep name": b".".join([b"a"] * 5000) + b" = 1",
        "digits": b"a = " + b"9" * 5000,
        "400 digits": b"a = " + b"9" * 400,
        "NaN": b"a = nan",
        "twice": b"a = 1\na = 2",
        "text": b"wait = 'text'",
        "true": b"wait = true",
        "list": b"wait = [1]",
    },
}
# A line that is not ended is one that is being written.
ENDED = ("predictions.jsonl", "margins.jsonl", "h.jsonl")


@pytest.fixture(autouse=True)
def _no_wait() -> Iterator[None]:
    """A reader that waits for ever ends here, and says so."""

    def stop(_: int, frame: FrameType | None) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 60)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def demand_refused(name: str, tmp_path: Path, lay: Callable[[Path], object]) -> None:
    reader = READERS[name]
    reader.lay(tmp_path)
    path = tmp_path / reader.file
    path.unlink(missing_ok=True)
    lay(path)
    if reader.unread is not NOTHING:
        assert reader.read(tmp_path) == reader.unread
        return
    with pytest.raises(UserError) as caught:
        reader.read(tmp_path)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 700


@pytest.mark.parametrize("lay", IRREGULAR)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_of_this_size_is_refused(
    name: str, lay: Callable[[Path], None], tmp_path: Path
) -> None:
    demand_refused(name, tmp_path, lay)


@pytest.mark.parametrize(
    ("name", "kind", "what"),
    [
        (name, kind, what)
        for name, reader in READERS.items()
        for kind in reader.kinds
        for what in CONTENTS[kind]
    ],
)
def test_what_nobody_can_mean_is_refused(name: str, kind: str, what: str, tmp_path: Path) -> None:
    content = CONTENTS[kind][what]
    if READERS[name].file in ENDED:
        content = content.rstrip(b"\n") + b"\n"
    demand_refused(name, tmp_path, lambda path: path.write_bytes(content))


def test_a_cell_of_captions_is_read_in_one_pass() -> None:
    """By a number of steps that grows with its square, this one would take minutes."""
    spaces = " " * 200_000
    table = Table("a.tsv", ("answer",), {1: {"answer": f"['a'{spaces}x"}})
    with pytest.raises(UserError, match="is not a list of captions"):
        parse_references(table, 1)
