import json
import math
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.timing.samples import Block, Samples


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
    samples = Samples(setup={"threads": 2, "clock": "c"}, blocks=[block(0.1), block(1 / 3)])
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
