"""Recorded series: kept whole, gone on with after a crash, refused when something is missing."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench.trust.gatecheck.record as recorder
from bench.base.errors import UserError
from bench.timing.interleave import Taken
from bench.trust.gatecheck.planted import Cost, calibrate
from bench.trust.gatecheck.record import MANIFEST, record, segment_path
from bench.trust.gatecheck.recording import Recording
from bench.trust.gatecheck.series import PLANTED, REFERENCE, STAGES, Segment
from tests.known_series import synthetic_recording, synthetic_segment


def test_a_segment_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    segment = synthetic_segment(1.05, noise="stalls", seed=1)
    segment.save(tmp_path / "000.npz")
    again = Segment.load(tmp_path / "000.npz")
    for name in (*STAGES, "wait", "cpu", "steal", "end"):
        assert np.array_equal(getattr(again, name), getattr(segment, name)), name


def test_blocks_go_into_a_segment_and_come_out_of_it() -> None:
    segment = synthetic_segment(1.05, seed=2, blocks=5)
    taken = segment.taken()
    assert taken[3].block[PLANTED][1]["prefill"] == segment.prefill[3, 1, 1] * 1e-9
    assert taken[3].block[REFERENCE][0]["decode"] == segment.decode[3, 0, 0] * 1e-9
    assert taken[0].conditions[REFERENCE][0].other_load == 0
    again = Segment.of(taken, segment.ends_s.tolist())
    assert np.array_equal(again.answer, segment.answer)
    assert again.end == pytest.approx(segment.end, abs=1)


def test_calls_of_unknown_load_are_not_recorded() -> None:
    blocks = synthetic_segment(1.0, seed=3, blocks=2).taken()
    with pytest.raises(UserError, match="record on Linux"):
        Segment.of([Taken(block.block, {}) for block in blocks], [0.0, 1.0])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 torn"])
def test_a_torn_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "000.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"000\.npz: no recorded series"):
        Segment.load(tmp_path / "000.npz")


def test_a_missing_arm_is_an_error(tmp_path: Path) -> None:
    segment = synthetic_segment(1.0, seed=4, blocks=5)
    one_arm = {name: getattr(segment, name)[:, :, :1] for name in ("prefill", "decode", "answer")}
    with pytest.raises(ValueError, match="prefill has the shape"):
        Segment(**one_arm, wait=segment.wait, cpu=segment.cpu, steal=segment.steal, end=segment.end)


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    synthetic_segment(1.0, seed=0, blocks=0).save(path)


@pytest.mark.parametrize("spoil", [remove, empty])
def test_a_truth_without_samples_is_an_error(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    synthetic_recording(tmp_path)
    spoil(segment_path(tmp_path, 8, "slower-5", 0))
    with pytest.raises(UserError, match="no samples of 'slower-5' at batch 8"):
        Recording.load(tmp_path)


def test_a_folder_without_a_manifest_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no recording"):
        Recording.load(tmp_path)


def test_a_recording_that_was_cut_off_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[tuple[Any, ...]] = []

    def instead(work: Callable[..., Any], *arguments: Any) -> Any:
        if work is calibrate:
            return {stage: Cost(fixed=0.01, each=0.002) for stage in ("prefill", "decode")}
        recorded.append(arguments)
        if len(recorded) == 4:
            raise KeyboardInterrupt
        return synthetic_segment(1.0, seed=0, blocks=3)

    monkeypatch.setattr(recorder, "in_new_process", instead)
    lines: list[str] = []
    again = partial(record, command="gate-check --record x", minutes=3.0, progress=lines.append)
    with pytest.raises(KeyboardInterrupt):
        again(tmp_path)
    assert len(lines) == 3
    again(tmp_path)
    assert len(lines) == 6
    assert len(list(tmp_path.rglob("*.npz"))) == 6
    assert recorded[3] == recorded[4]
    assert [None if a[1] is None else a[1].prefill for a in recorded[:3]] == [None, 20, 45]
    assert Recording.load(tmp_path).manifest["command"] == "gate-check --record x"


def test_another_machine_does_not_go_on_with_a_recording(tmp_path: Path) -> None:
    synthetic_recording(tmp_path)
    assert (tmp_path / MANIFEST).exists()
    with pytest.raises(UserError, match="give a new folder"):
        record(tmp_path, command="", progress=print)
