"""Which part of a model a wait is filed under: labels put on from the outside, and taken off."""

import pytest
import torch

from bench.syncs import (
    Label,
    detect_syncs,
    label_calls,
    label_rest,
    label_stages,
    prefill_then_decode,
    stage,
)
from bench.syncs.report import summarised_stages
from bench.syncs.stages import current_stage


class Failure(Exception):
    pass


def test_findings_are_filed_under_the_stage_they_waited_in() -> None:
    x = torch.ones(())
    with detect_syncs() as report:
        x.item()
        with stage("prefill"):
            for layer in range(3):
                with stage(f"layer {layer}"):
                    bool(x)
    first, second = report.findings
    assert first.stages == {"": 1}
    assert second.stages == {f"prefill layer {layer}": 1 for layer in range(3)}
    assert (report.in_stage("prefill"), report.in_stage("decode")) == (3, 0)
    assert "prefill layer * (3 different): 3" in report.text()


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = torch.nn.Identity()
        self.layers = torch.nn.ModuleList([Reading(), Reading()])

    def step(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(self.tower(x))
        return x


class Reading(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.sum().item()
        return x


def test_stages_are_put_on_a_model_from_the_outside() -> None:
    model, x = Model(), torch.ones(2)
    labels: dict[str, Label] = {
        "step": prefill_then_decode,
        "layers.*": "layer {index}",
        "tower": "vision",
    }
    with label_stages(model, labels), detect_syncs() as report:
        model.step(x)
        model.step(x)
    [finding] = report.findings
    assert list(finding.stages) == [
        "prefill layer 0",
        "prefill layer 1",
        "decode step 1 layer 0",
        "decode step 1 layer 1",
    ]
    assert "step" not in vars(model)
    assert all("forward" not in vars(module) for module in model.modules())


def test_labels_come_off_after_an_exception() -> None:
    model = Model()
    with pytest.raises(Failure), label_calls(model, "step", "step {call}"):
        raise Failure
    assert "step" not in vars(model)


def test_what_follows_a_call_has_a_stage_of_its_own() -> None:
    model, x = Model(), torch.ones(())
    with label_rest(model, "step", "read-back"), detect_syncs() as report:
        x.item()
        for _ in range(2):
            model.step(x)
            x.item()
    stages = [f.stages for f in report.findings if f.site.source == "x.item()"]
    assert stages == [{"": 1}, {"read-back": 2}]
    assert current_stage() == ""
    assert "step" not in vars(model)


def test_what_follows_loses_its_stage_after_an_exception() -> None:
    model = Model()
    with pytest.raises(Failure), label_rest(model, "step", "read-back"):
        model.step(torch.ones(()))
        raise Failure
    assert current_stage() == ""
    assert "step" not in vars(model)


def test_steps_and_layers_are_summed_up_in_one_word() -> None:
    stages = {f"decode step {t} layer {i}": 1 for t in range(1, 4) for i in range(2)}
    assert summarised_stages(stages) == ["decode step * layer * (6 different): 6"]


def test_a_stage_key_that_matches_nothing_is_an_error() -> None:
    with (
        pytest.raises(LookupError, match="vision_towr"),
        label_stages(Model(), {"vision_towr": ""}),
    ):
        pass
