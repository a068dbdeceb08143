"""Ranks of two nodes, played by two processes in two folders: before anything is loaded, all go on,
or each ends with a line. Forked, so that nothing is imported anew; they meet by gloo, as always."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
import torch
import torch.distributed as dist
from transformers import LlavaConfig

import bench.evaluation.runs.evaluate
import bench.report.terminal  # noqa: F401  both for the command, before it is forked
from bench.base.errors import UserError
from bench.cli import main
from bench.evaluation.runs.identity import code_files
from bench.evaluation.runs.lock import locked, sees_mark
from bench.evaluation.runs.ranks import joined
from bench.trust.mutants.forks import forked
from tests.checkpoints import FIXTURE

RUN = ("run", "--data", "tiny-mmbench", "--model", "tiny_hybrid", "--limit", "2")
LOCK = Path("out") / "tiny_hybrid" / ".tiny-mmbench.lock"
LOADED = 77  # exit code of a rank that got as far as its checkpoint
LIMIT_S = 300  # for what hangs


@dataclass(frozen=True)
class Node:
    """One rank: its working directory, options, variables, and what else is different there."""

    folder: Path
    options: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[pytest.MonkeyPatch], None] = lambda patch: None


@dataclass(frozen=True)
class Ended:
    """A rank's exit code, its notes, and its other lines on stderr."""

    code: int
    notes: list[str]
    lines: list[str]

    @property
    def error(self) -> str:
        (line,) = self.lines
        assert line.startswith("error: ")
        return line


class Play:
    """Plays nodes, one rank each, of a run of `size` ranks."""

    def __init__(self, logs: Path) -> None:
        self.logs, self.number = logs, count()

    def __call__(self, *nodes: Node, size: int | None = None) -> list[Ended]:
        # The launcher keeps the store, as torchrun does: its port is free, and nobody else's.
        store = dist.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", 0, is_master=True, wait_for_workers=False
        )
        given = {
            "WORLD_SIZE": str(size or len(nodes)),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "LOCAL_RANK": "0",
        }
        logs = [self.logs / f"{next(self.number)}" for _ in nodes]
        work = [
            _Rank(node, given | {"RANK": str(rank)} | node.environment)
            for rank, node in enumerate(nodes)
        ]
        found: dict[int, Ended] = {}
        for rank, ended in forked(work, jobs=len(nodes), limit_s=LIMIT_S, logs=logs):
            assert not ended.hung and not ended.died, f"rank {rank}: {logs[rank].read_text()}"
            lines = logs[rank].read_text().splitlines()
            notes = [line for line in lines if line.startswith("note: ")]
            found[rank] = Ended(ended.value, notes, [x for x in lines if x not in notes])
        return [found[rank] for rank in range(len(nodes))]


@dataclass(frozen=True)
class _Rank:
    node: Node
    environment: dict[str, str]

    def __call__(self) -> int:
        os.chdir(self.node.folder)
        os.environ |= self.environment
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))

        def loaded(*_: object) -> NoReturn:
            raise SystemExit(LOADED)

        patch = pytest.MonkeyPatch()  # never undone: this process ends
        patch.setattr("bench.arms.models.load_checkpoint", loaded)
        patch.setattr("bench.evaluation.runs.meeting.PATIENCE_S", 0.5)
        self.node.prepare(patch)
        sys.argv = ["bench", *RUN, "--work-dir", "out", *self.node.options]
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            sys.stderr.flush()
        return 0


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    for name in [name for name in os.environ if name.startswith("TORCHELASTIC")]:
        monkeypatch.delenv(name)
    (tmp_path / "logs").mkdir()
    return Play(tmp_path / "logs")


@pytest.fixture
def alone(tmp_path: Path) -> list[Path]:
    """Working directories of two nodes that share nothing."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    return folders


@pytest.fixture
def sharing(alone: list[Path]) -> list[Path]:
    """Working directories of two nodes whose `out` is one folder."""
    (alone[0] / "out").mkdir()
    (alone[1] / "out").symlink_to(alone[0] / "out")
    return alone


def test_ranks_that_share_the_folder_load_the_model(play: Play, sharing: list[Path]) -> None:
    for ended in play(*map(Node, sharing)):
        assert (ended.code, ended.lines) == (LOADED, [])


def test_ranks_that_do_not_share_it_end_with_a_line_each_and_load_nothing(
    play: Play, alone: list[Path]
) -> None:
    first, second = play(*map(Node, alone))
    assert (first.code, second.code) == (2, 2)
    assert first.error == second.error
    assert f"rank 1 on {os.uname().nodename} does not see in {alone[1] / LOCK}" in first.error
    assert f"wrote to {alone[0] / LOCK}: give a --work-dir that all nodes share" in first.error
    assert not (alone[1] / "out").exists()


def test_what_an_earlier_run_left_in_a_copy_is_not_taken_for_the_folder(
    play: Play, alone: list[Path]
) -> None:
    play(*map(Node, alone))
    shutil.copytree(alone[0] / "out", alone[1] / "out")
    assert [ended.code for ended in play(*map(Node, alone))] == [2, 2]


def test_a_link_in_a_shared_folder_that_leads_to_each_node_s_own_is_found(
    play: Play, sharing: list[Path]
) -> None:
    for folder in sharing:
        (folder / "local").mkdir()
    (sharing[0] / LOCK.parent).mkdir()
    (sharing[0] / LOCK.parent / "tiny-mmbench").symlink_to("/proc/self/cwd/local")
    first, second = play(*map(Node, sharing))
    assert first.error == second.error
    assert f"does not see in {sharing[1] / '.local.lock'}" in first.error


def test_a_mark_that_is_seen_late_is_waited_for_and_the_wait_is_said(
    play: Play, sharing: list[Path]
) -> None:
    seen: list[bool] = []

    def late(path: Path, mark: str) -> bool:
        seen.append(sees_mark(path, mark))
        return len(seen) > 3 and seen[-1]

    def prepare(patch: pytest.MonkeyPatch) -> None:
        patch.setattr("bench.evaluation.runs.meeting.PATIENCE_S", LIMIT_S)
        patch.setattr("bench.evaluation.runs.meeting.SILENCE_S", 0.0)
        patch.setattr("bench.evaluation.runs.meeting.sees_mark", late)

    first, second = play(Node(sharing[0]), Node(sharing[1], prepare=prepare))
    assert (first.code, second.code, first.notes) == (LOADED, LOADED, [])
    (note,) = second.notes
    assert note.startswith("note: rank 1 waits up to ") and str(LOCK.name) in note


def other_code(patch: pytest.MonkeyPatch) -> None:
    other = code_files() | {"hybrid/rope.py": "sha256:0"}
    patch.setattr("bench.evaluation.runs.identity.code_files", lambda: other)


def nothing_else(patch: pytest.MonkeyPatch) -> None:
    """The same code."""


@pytest.mark.parametrize(
    ("options", "prepare", "named"),
    [
        (("--limit", "3"), nothing_else, "another data.hash ("),
        (("--keep", "36"), nothing_else, "another config.keep (36) than rank 0"),
        (("--model", "tiny"), nothing_else, "another model (tiny) than rank 0"),
        (("--prompt", "llava"), nothing_else, "another data.prompts ("),
        ((), other_code, "another code.hybrid/rope.py (sha256:0) than rank 0"),
    ],
)
def test_ranks_that_would_run_different_things_are_told_which(
    play: Play,
    sharing: list[Path],
    options: Sequence[str],
    prepare: Callable[[pytest.MonkeyPatch], None],
    named: str,
) -> None:
    first, second = play(Node(sharing[0]), Node(sharing[1], options, prepare=prepare))
    assert (first.code, second.code) == (2, 2)
    assert first.error == second.error and named in first.error
    assert "start all ranks with the same options, code and data" in first.error
    assert not (sharing[0] / LOCK.parent).exists()


def with_weights(digest: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Loads a checkpoint that is nothing but its digest and its shape."""
    files = {"model.safetensors": digest}
    shape = LlavaConfig.from_pretrained(FIXTURE / "model")
    llava = SimpleNamespace(config=shape, dtype=torch.float32)
    checkpoint = SimpleNamespace(llava=llava, weights_hash=digest, processor_hash="-", files=files)
    answerer = SimpleNamespace(sizes=SimpleNamespace(demand=lambda tasks: None))

    def prepare(patch: pytest.MonkeyPatch) -> None:
        patch.setattr("bench.arms.models.load_checkpoint", lambda profile: checkpoint)
        patch.setattr("bench.evaluation.runs.evaluate.RecordingAnswerer", lambda *_, **__: answerer)

    return prepare


def test_other_weights_on_a_node_are_found_before_anything_is_answered(
    play: Play, sharing: list[Path]
) -> None:
    nodes = [Node(f, prepare=with_weights(d)) for f, d in zip(sharing, "xy", strict=True)]
    first, second = play(*nodes)
    assert first.error == second.error
    assert "another checkpoint.model.safetensors (y) than rank 0" in first.error
    assert [path.name for path in (sharing[0] / LOCK.parent).iterdir()] == [LOCK.name]


def test_of_the_ranks_on_one_node_one_says_why(play: Play, sharing: list[Path]) -> None:
    beside = Node(sharing[0], environment={"LOCAL_RANK": "1"})
    with locked(sharing[0] / "out" / "tiny_hybrid" / "tiny-mmbench"):
        first, second, third = play(Node(sharing[0]), beside, Node(sharing[1]))
    assert [ended.code for ended in (first, second, third)] == [2, 2, 2]
    assert f"process {os.getpid()} on" in first.error
    assert second.lines == []
    assert third.error == first.error.replace("error: ", "error: rank 0: ")


def test_a_rank_that_stops_before_they_meet_ends_the_others(
    play: Play, sharing: list[Path]
) -> None:
    first, second = play(Node(sharing[0]), Node(sharing[1], ("--data", "nowhere.tsv")))
    assert "nowhere.tsv" in second.error
    assert "rank 0: another rank stopped" in first.error
    assert not (sharing[0] / LOCK.parent).exists()


def test_a_rank_that_never_starts_is_waited_for_within_bounds_and_said(
    play: Play, alone: list[Path]
) -> None:
    def prepare(patch: pytest.MonkeyPatch) -> None:
        patch.setattr("bench.evaluation.runs.ranks.MEETING", timedelta(seconds=2))
        patch.setattr("bench.evaluation.runs.ranks.SILENCE_S", 0.0)

    (only,) = play(Node(alone[0], prepare=prepare), size=2)
    assert only.code == 2
    assert "rank 0 has not met all 2 ranks at 127.0.0.1:" in only.lines[-1]
    assert "rank 0 waits up to" in only.notes[0] and "for all 2 ranks" in only.notes[0]


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"RANK": "4", "WORLD_SIZE": "5", "LOCAL_RANK": "4"}
    for name, value in (given | {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    with pytest.raises(UserError, match="LOCAL_RANK=4 has no GPU, of 4 here"), joined():
        pass
