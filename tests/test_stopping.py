"""The end of the answers is known as soon as the device tells, and eight tokens late at most."""

from typing import Any

import pytest
import torch

import hybrid.model
from hybrid import HybridConfig, hybridize
from hybrid.state import State
from hybrid.stopping import EndWatch
from tests.late_device import play
from tests.llavas import EITHER_WAY, Longest, batch, random_llava

CUDA = torch.device("cuda")
LATE = [0, 1, 2, 6, 7, 8, 9, 10, 100]


def finished_at(end: int, token: int) -> torch.Tensor:
    """Of three samples, the last of which ends with that token."""
    return torch.tensor([True, token >= end - 1, token >= end])


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("end", [0, 1, 5, 7, 8, 9, 23])
def test_the_end_is_known_as_late_as_the_device_is_and_never_later_than_the_ring(
    monkeypatch: pytest.MonkeyPatch, end: int, late: int
) -> None:
    play(monkeypatch, late)
    watch = EndWatch(CUDA)
    known = next(t for t in range(100) if watch.all_ended(finished_at(end, t)))
    assert known == end + min(late, 7)  # the eighth flag under way waits for the first


@pytest.mark.parametrize("late", LATE)
def test_no_more_than_eight_flags_are_under_way_and_the_host_idles_for_no_less(
    monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    device = play(monkeypatch, late)
    watch = EndWatch(CUDA)
    assert not any(watch.all_ended(torch.tensor([False])) for _ in range(40))
    assert device.most == min(late + 1, 8)
    assert device.naps == (33 if late > 7 else 0)
    assert device.posted == 40


@EITHER_WAY
@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("size", [1, 4])
def test_a_late_device_changes_no_answer(
    monkeypatch: pytest.MonkeyPatch, late: int, size: int, longest: Longest
) -> None:
    model: Any = hybridize(random_llava(), HybridConfig(keep=5, aggregation_layer=1))
    given, tokens = batch(size, longest), 24
    model.end_ids = []
    start = given.input_ids.shape[1]
    free = model.generate(**vars(given), max_new_tokens=tokens)[:, start:]
    model.end_ids = sorted(set(free[:, 3].tolist()))
    expected = model.generate(**vars(given), max_new_tokens=tokens)
    steps = expected.shape[1] - start
    assert steps < tokens - 8

    decoded: list[int] = []
    decode = model.decode

    def counted(state: State) -> None:
        decoded.append(1)
        decode(state)

    model.decode = counted
    play(monkeypatch, late)
    monkeypatch.setattr(hybrid.model, "EndWatch", lambda device: EndWatch(CUDA))
    assert model.generate(**vars(given), max_new_tokens=tokens).tolist() == expected.tolist()
    assert len(decoded) == steps - 1 + min(late, 7)
