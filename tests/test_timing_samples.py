import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.timing.conditions import Conditions
from bench.timing.samples import Block, Samples

QUIET = Conditions(wall_s=1.0, cpu_s=1.0, cores=1, switches=0, queue_s=0.0, steal_s=0.0)
BUSY = replace(QUIET, cpu_s=0.8, queue_s=0.2)


def block(seconds: float = 0.5) -> Block:
    return {"dense": ({"prefill": seconds}, {"prefill": 2 * seconds})}


def test_seconds_are_one_row_a_block() -> None:
    samples = Samples(setup={}, blocks=[block(1), block(3)])
    assert samples.seconds("dense", "prefill").tolist() == [[1, 2], [3, 6]]


@pytest.mark.parametrize(("arm", "stage"), [("hybrid", "prefill"), ("dense", "decode")])
def test_what_was_not_measured_is_an_error(arm: str, stage: str) -> None:
    with pytest.raises(UserError, match=f"arm '{arm}', stage '{stage}'.*was not measured"):
        Samples(setup={}, blocks=[block()]).seconds(arm, stage)


def test_no_samples_is_an_error() -> None:
    with pytest.raises(UserError, match="no latency samples"):
        Samples(setup={}, blocks=[]).seconds("dense", "prefill")


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0, -1.0])
def test_a_sample_that_is_no_duration_is_an_error(bad: float) -> None:
    with pytest.raises(UserError, match="no duration"):
        Samples(setup={}, blocks=[block(), block(bad)]).seconds("dense", "prefill")


def test_samples_survive_the_disk_bit_for_bit(tmp_path: Path) -> None:
    gpu = replace(QUIET, sm_mhz=1980, celsius=41, throttles=("power cap",))
    samples = Samples(
        setup={"threads": 2, "clock": "c"},
        blocks=[block(0.1), block(1 / 3)],
        conditions=[{"dense": (QUIET, gpu)}, {}],
    )
    samples.save(tmp_path / "samples.json")
    assert Samples.load(tmp_path / "samples.json") == samples


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", json.dumps({"setup": {}, "blocks": [{"dense": [{}]}]})]
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "samples.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"samples\.json: no latency samples") as error:
        Samples.load(path)
    assert "\n" not in str(error.value)


def test_a_disturbed_call_throws_out_its_block_for_every_arm_and_keeps_it_on_record() -> None:
    blocks: list[Block] = [
        {"dense": ({"answer": 1.0}, {"answer": 1.0}), "off": ({"answer": 2.0}, {"answer": 2.0})},
        {"dense": ({"answer": 9.0}, {"answer": 1.0}), "off": ({"answer": 3.0}, {"answer": 3.0})},
        {"dense": ({"answer": 4.0}, {"answer": 4.0}), "off": ({"answer": 5.0}, {"answer": 5.0})},
    ]
    quiet = {"dense": (QUIET, QUIET), "off": (QUIET, QUIET)}
    conditions = [quiet, {**quiet, "dense": (BUSY, QUIET)}, quiet]
    samples = Samples(setup={}, blocks=blocks, conditions=conditions)
    assert samples.seconds("dense", "answer").tolist() == [[1, 1], [4, 4]]
    assert samples.seconds("off", "answer").tolist() == [[2, 2], [5, 5]]
    assert samples.thrown_out == 1
    assert len(samples.blocks) == 3
    assert samples.too_busy is None


def with_loads(*loads: float) -> Samples:
    """A block for each load, which its second call meets."""
    met = [replace(QUIET, cpu_s=1 - load, queue_s=load) for load in loads]
    conditions = [{"dense": (call, call)} for call in met]
    return Samples(setup={}, blocks=[block()] * len(loads), conditions=conditions)


def test_a_load_that_is_always_there_disturbs_nothing_but_more_of_it_does() -> None:
    assert with_loads(0.0, 0.001, 0.15).thrown_out == 1
    assert with_loads(0.08, 0.10, 0.12, 0.09, 0.30).thrown_out == 1
    assert with_loads(0.08, 0.10, 0.12, 0.09, 0.30).usual_load == pytest.approx(0.10)


def test_a_machine_that_has_little_time_for_the_arms_is_called_too_busy() -> None:
    assert with_loads(0.4, 0.4, 0.4).too_busy is None
    busy = with_loads(0.6, 0.6, 0.6)
    assert busy.too_busy is not None
    assert "too busy: other load took 60% of the time" in busy.too_busy


def test_a_machine_that_disturbs_nearly_every_block_is_called_too_busy() -> None:
    slowed = replace(QUIET, throttles=("thermal, hardware",))
    conditions = [{"dense": (QUIET, slowed)}] * 4 + [{"dense": (QUIET, QUIET)}]
    samples = Samples(setup={}, blocks=[block()] * 5, conditions=conditions)
    assert samples.too_busy is not None
    assert "too busy: 4 of 5 blocks" in samples.too_busy
    nothing_left = Samples(setup={}, blocks=[block()] * 2, conditions=conditions[:2])
    with pytest.raises(UserError, match="no latency samples: the machine is too busy: 2 of 2"):
        nothing_left.pair("dense", "dense", "prefill")
    assert len(nothing_left.seconds("dense", "prefill")) == 2  # to be looked at


def test_an_arm_whose_few_blocks_were_all_disturbed_has_no_ratio() -> None:
    off: Block = {"off": ({"prefill": 2.0}, {"prefill": 2.0})}
    quiet = {"dense": (QUIET, QUIET), "off": (QUIET, QUIET)}
    samples = Samples(
        setup={},
        blocks=[{**block(), **off}, block(), block()],
        conditions=[{**quiet, "off": (BUSY, QUIET)}, *[{"dense": (QUIET, QUIET)}] * 2],
    )
    assert samples.too_busy is None
    assert samples.disturbed_throughout("off", "dense")
    with pytest.raises(UserError, match="every block with both arms was disturbed"):
        samples.pair("off", "dense", "prefill")


def test_conditions_of_other_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="1 conditions of 2 blocks"):
        Samples(setup={}, blocks=[block()] * 2, conditions=[{}])


def test_arms_that_are_not_in_every_block_are_paired_where_both_are() -> None:
    dense_call = {"answer": 1.0}
    both: Block = {
        "off": ({"answer": 2.0}, {"answer": 2.0}),
        "dense": (dense_call, dense_call),
    }
    alone: Block = {"off": ({"answer": 3.0}, {"answer": 3.0})}
    samples = Samples(setup={}, blocks=[both, alone, both])
    assert samples.seconds("off", "answer").tolist() == [[2, 2], [3, 3], [2, 2]]
    assert samples.seconds("dense", "answer").tolist() == [[1, 1], [1, 1]]
    off, dense = samples.pair("off", "dense", "answer")
    assert off.tolist() == [[2, 2], [2, 2]]
    assert dense.tolist() == [[1, 1], [1, 1]]


def test_arms_that_were_never_in_one_block_have_no_ratio() -> None:
    off: Block = {"off": ({"prefill": 2.0}, {"prefill": 2.0})}
    with pytest.raises(UserError, match="'off' and 'dense': no block has both"):
        Samples(setup={}, blocks=[block(), off]).pair("off", "dense", "prefill")


def test_the_conditions_are_told_in_a_line() -> None:
    assert with_loads(0.0, 0.0, 0.4).described == (
        "3 blocks, 1 thrown out; other load 0.0% of the time"
    )
    silent = replace(QUIET, queue_s=None, steal_s=None)
    gpu = replace(silent, sm_mhz=1200, celsius=88, throttles=("thermal, hardware",))
    cool = replace(gpu, sm_mhz=1980, celsius=40, throttles=())
    conditions = [{"dense": (cool, cool)}, {"dense": (gpu, cool)}]
    assert Samples(setup={}, blocks=[block()] * 2, conditions=conditions).described == (
        "2 blocks, 1 thrown out; other load unknown: this machine does not say;"
        " GPU at 1200 to 1980 MHz, at most 88 C; clock held back in 1 of 4 calls"
    )
