"""The planted slowdown: real work, counted, that changes no answer."""

from typing import Any
from unittest.mock import patch

import pytest
import torch

import bench.trust.gatecheck.planted as planted
from bench.arms.models import arm_config
from bench.base.errors import UserError
from bench.timing.clock import HostClock
from bench.timing.interleave import Stopwatch
from bench.trust.gatecheck.planted import Cost, SlowedLlava, Work, planted_arm, tiny_case, work_for
from hybrid import HybridLlava


def test_the_slowed_model_does_the_counted_products_and_answers_the_same() -> None:
    case = tiny_case(1)
    config = arm_config("hybrid", case.profile, case.keep)
    assert config is not None
    batch: Any = dict(case.batch)
    slow = SlowedLlava(case.llava, config, Work(prefill=7, decode=3))
    with patch.object(planted, "linear", wraps=torch.nn.functional.linear) as linear:
        answers = slow.generate(**batch, max_new_tokens=5)
    assert linear.call_count == 7 + 3 * 4
    plain = HybridLlava(case.llava, config)
    assert torch.equal(answers, plain.generate(**batch, max_new_tokens=5))


def test_a_planted_arm_marks_the_stages_of_the_plain_one() -> None:
    case = tiny_case(1)
    for work in (None, Work(prefill=1, decode=1)):
        watch = Stopwatch(HostClock())
        planted_arm(case, work)(watch)
        assert set(watch.seconds()) == {"prefill", "decode", "answer"}


def test_the_count_follows_from_what_products_cost() -> None:
    costs = {"prefill": Cost(fixed=0.0, each=0.001), "decode": Cost(fixed=0.01, each=0.002)}
    assert work_for(0.0, costs) is None
    assert work_for(0.05, costs) == Work(prefill=50, decode=20)


@pytest.mark.parametrize("cost", [Cost(0.0, -0.001), Cost(0.0, 0.2), Cost(0.06, 0.001)])
def test_costs_that_are_noise_are_an_error(cost: Cost) -> None:
    with pytest.raises(UserError, match="calibrate again"):
        work_for(0.05, {"prefill": cost, "decode": cost})
