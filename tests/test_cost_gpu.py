"""GPUs are read from a file of four numbers; what is wrong with one is said in one line."""

from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.cost.gpu import load_gpu

OURS = """
[mine]
tflops = 100
bandwidth_gb_s = 500
eager_launch_us = 10
graphed_launch_us = 1
"""


@pytest.mark.parametrize("name", ["h100", "h200", "a100", "4090"])
def test_shipped_gpus_are_described(name: str) -> None:
    gpu = load_gpu(name)
    assert 1e14 < gpu.ceiling.flops_per_s < 1e15
    assert 1e12 < gpu.ceiling.bytes_per_s < 5e12
    assert gpu.graphed_launch_s < gpu.eager_launch_s


def test_a_file_describes_another(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(OURS)
    gpu = load_gpu(str(file))
    assert gpu.ceiling.name == "mine"
    assert (gpu.ceiling.flops_per_s, gpu.ceiling.bytes_per_s) == (1e14, 5e11)
    assert (gpu.eager_launch_s, gpu.graphed_launch_s) == pytest.approx((1e-5, 1e-6))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OURS.replace("tflops", "teraflops"), r"\[mine\] needs tflops, bandwidth_gb_s"),
        (OURS.replace("100", "-100"), r"tflops of \[mine\] is -100: give a positive number"),
        (OURS.replace("100", "nan"), r"tflops of \[mine\] is nan"),
        (OURS.replace("500", '"fast"'), r"bandwidth_gb_s of \[mine\] is 'fast'"),
        (OURS.replace("[mine]", "[mine"), "is not TOML"),
        (OURS + OURS.replace("mine", "yours"), "describes 2 GPUs: give a file with one table"),
        ("", "describes 0 GPUs"),
        ("tflops = 3", "needs tflops"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        load_gpu(str(file))


def test_unknown_gpus_are_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no GPU 'b200': choose one of h100, h200, a100, 4090"):
        load_gpu("b200")
    with pytest.raises(UserError, match="can't be read"):
        load_gpu(str(tmp_path / "missing.toml"))
