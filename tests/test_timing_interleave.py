import gc
from contextlib import closing
from itertools import islice, pairwise

import pytest
import torch

from bench.base.errors import UserError
from bench.timing.clock import CudaClock, HostClock, clock_for
from bench.timing.interleave import (
    Arm,
    Stopwatch,
    block_order,
    interleaved_blocks,
    measure,
)


class ScriptedClock:
    """Time passes only when an arm spends it; remembers in which order it was used."""

    name = "scripted"

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def wait(self) -> None:
        self.log.append("wait")

    def mark(self) -> float:
        self.log.append("mark")
        return self.now

    def seconds(self, start: float, end: float) -> float:
        self.log.append("seconds")
        return end - start


def test_a_block_goes_there_and_back_and_the_next_one_starts_elsewhere() -> None:
    names = ["a", "b", "c"]
    assert "".join(block_order(names, 0)) == "abccba"
    assert "".join(block_order(names, 1)) == "bcaacb"
    assert "".join(block_order(names, 2)) == "cabbac"
    assert block_order(names, 3) == block_order(names, 0)


def test_arms_are_called_in_that_order_after_the_warm_up() -> None:
    called: list[str] = []
    clock = ScriptedClock()

    def arm(name: str, cost: float) -> None:
        called.append(name)
        clock.now += cost

    def prefill(name: str, cost: float):  # type: ignore[no-untyped-def]
        def run(watch: Stopwatch) -> None:
            with watch("prefill"):
                arm(name, cost)

        return run

    arms = {"a": prefill("a", 1.0), "b": prefill("b", 3.0)}
    samples = measure(arms, blocks=2, clock=clock, threads=1, warmup=2)
    assert "".join(called) == "abbabaab" * 2
    assert samples.seconds("a", "prefill").tolist() == [[1, 1], [1, 1]]
    assert samples.seconds("b", "prefill").tolist() == [[3, 3], [3, 3]]


def test_a_slowing_machine_does_not_favour_the_arm_that_runs_first() -> None:
    clock = ScriptedClock()

    def spend(watch: Stopwatch) -> None:
        with watch("answer"):
            clock.now += 1 + 0.01 * clock.now  # each call is 1% slower than the one before

    samples = measure({"a": spend, "b": spend}, blocks=6, clock=clock, threads=1)
    per_block = samples.seconds("a", "answer").prod(axis=1) / samples.seconds("b", "answer").prod(
        axis=1
    )
    assert per_block == pytest.approx(1)


def test_nothing_is_read_before_the_device_is_done() -> None:
    clock = ScriptedClock()

    def arm(watch: Stopwatch) -> None:
        with watch("answer"):
            with watch("prefill"):
                clock.log.append("work")
            with watch("decode"):
                clock.log.append("work")

    measure({"a": arm}, blocks=1, clock=clock, threads=1, warmup=0)
    marks_and_work = ["mark", "mark", "work", "mark", "mark", "work", "mark", "mark"]
    one_call = ["wait", *marks_and_work, "wait", "seconds", "seconds", "seconds"]
    assert clock.log == one_call * 2


def test_arms_that_are_timed_rarely_leave_their_time_to_the_others() -> None:
    called: list[str] = []

    def prefill(name: str) -> Arm:
        def run(watch: Stopwatch) -> None:
            with watch("prefill"):
                called.append(name)

        return run

    arms = {name: prefill(name) for name in "abcd"}
    source = interleaved_blocks(arms, clock=ScriptedClock(), threads=1, warmup=0, rarely="cd")
    with closing(source):
        blocks = [taken.block for taken in islice(source, 16)]
    assert ["".join(sorted(block)) for block in blocks] == ["abcd", "ab"] * 8
    text = "".join(called)
    assert text[:24] == "abcddcba" + "abba" + "bcdaadcb" + "baab"
    # The blocks of all arms are rotated, too.
    assert [text[12 * turn] for turn in range(4)] == list("abcd")


def test_stages_nest_and_decode_counts_per_token() -> None:
    clock = ScriptedClock()

    def arm(watch: Stopwatch) -> None:
        with watch("answer"):
            with watch("prefill"):
                clock.now += 5
            with watch("decode", per=4):
                clock.now += 8

    samples = measure({"a": arm}, blocks=1, clock=clock, threads=1)
    assert samples.seconds("a", "answer").tolist() == [[13, 13]]
    assert samples.seconds("a", "prefill").tolist() == [[5, 5]]
    assert samples.seconds("a", "decode").tolist() == [[2, 2]]


def answer(watch: Stopwatch) -> None:
    with watch("answer"):
        pass


def test_threads_and_garbage_collection_are_fixed_while_timing_and_restored_after() -> None:
    seen: list[tuple[int, bool]] = []

    def arm(watch: Stopwatch) -> None:
        answer(watch)
        seen.append((torch.get_num_threads(), gc.isenabled()))

    before = torch.get_num_threads()
    samples = measure({"a": arm}, blocks=1, clock=HostClock(), threads=before + 1, warmup=0)
    assert seen == [(before + 1, False)] * 2
    assert (torch.get_num_threads(), gc.isenabled()) == (before, True)
    assert samples.setup["threads"] == before + 1
    assert samples.setup["clock"] == HostClock.name


def test_a_failing_arm_leaves_the_process_as_it_was() -> None:
    def broken(watch: Stopwatch) -> None:
        raise RuntimeError("out of memory")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="out of memory"):
        measure({"a": broken}, blocks=1, clock=HostClock(), threads=before + 1)
    assert (torch.get_num_threads(), gc.isenabled()) == (before, True)


def test_an_arm_must_mark_the_same_stages_each_time() -> None:
    calls = iter(range(100))

    def fickle(watch: Stopwatch) -> None:
        with watch("prefill" if next(calls) < 3 else "decode"):
            pass

    with pytest.raises(UserError, match="'fickle' marked the stages"):
        measure({"fickle": fickle}, blocks=4, clock=HostClock(), threads=1, warmup=0)
    with pytest.raises(UserError, match="at least one"):
        measure({"mute": lambda watch: None}, blocks=1, clock=HostClock(), threads=1)


def test_a_stage_is_marked_once_a_call() -> None:
    def twice(watch: Stopwatch) -> None:
        answer(watch)
        answer(watch)

    with pytest.raises(ValueError, match="marked twice"):
        measure({"a": twice}, blocks=1, clock=HostClock(), threads=1)


def test_no_arms_is_an_error() -> None:
    with pytest.raises(UserError, match="no arms"):
        measure({}, blocks=1, clock=HostClock(), threads=1)


def test_progress_counts_blocks() -> None:
    told: list[tuple[int, int]] = []
    measure(
        {"a": answer},
        blocks=3,
        clock=HostClock(),
        threads=1,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_blocks_come_as_long_as_they_are_asked_for() -> None:
    with closing(interleaved_blocks({"a": answer}, clock=HostClock(), threads=1)) as source:
        assert len(list(islice(source, 25))) == 25
    assert gc.isenabled()


def test_each_device_has_its_clock() -> None:
    assert isinstance(clock_for(torch.device("cpu")), HostClock)
    assert isinstance(clock_for(torch.device("cuda")), CudaClock)
    with pytest.raises(UserError, match="device meta cannot be timed"):
        clock_for(torch.device("meta"))


def test_the_host_clock_never_goes_back() -> None:
    clock = HostClock()
    marks = [clock.mark() for _ in range(1000)]
    assert all(clock.seconds(*pair) >= 0 for pair in pairwise(marks))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_cuda_clock_times_the_kernels_and_not_their_launch() -> None:
    cycles = 100_000_000  # about 50 ms on any current card; the launch takes microseconds

    def arm(watch: Stopwatch) -> None:
        with watch("short"):
            torch.cuda._sleep(cycles)  # type: ignore[no-untyped-call]
        with watch("long"):
            torch.cuda._sleep(4 * cycles)  # type: ignore[no-untyped-call]

    samples = measure({"a": arm}, blocks=2, clock=CudaClock(), threads=1)
    short, long = samples.seconds("a", "short"), samples.seconds("a", "long")
    assert short.min() > 0.01
    assert long / short == pytest.approx(4, rel=0.05)
