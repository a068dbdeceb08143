"""`python -m bench syncs`: what it prints, writes and refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import bench.gates.sync.subjects
import bench.syncs.cuda
from bench.arms.weights import Weights
from bench.base.verdict import Outcome, Verdict
from bench.cli import main
from bench.gates.sync import gpu as waits_gpu
from bench.gates.sync.subjects import STAND_IN, Subject, full_size
from bench.gates.sync.subjects import subject as real_subject
from bench.syncs.report import Report
from hybrid import HybridConfig
from hybrid.graphs import GraphedLlava
from hybrid.model import HybridLlava
from tests.llavas import VISION_BLOCKS, batch, random_llava

Syncs = Callable[..., tuple[int, str, str]]
HYBRID = HybridConfig(keep="4", aggregation_layer=1, thresholds=(0.5,) * VISION_BLOCKS)


@pytest.fixture
def syncs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Syncs:
    """Exit code, standard output and error of the command, on a model that is there at once."""
    llava: Any = random_llava()
    llava.generation_config.eos_token_id = None

    def small(
        name: str, keep: str | None = None, *, profile_file: str | None, weights: Weights, **_: str
    ) -> Subject:
        config = None if name == "tiny" else HYBRID
        return Subject(name, llava, config, vars(batch(3, "first")))

    monkeypatch.setattr(bench.gates.sync.subjects, "subject", small)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)  # for the report
        monkeypatch.setattr("sys.argv", ["bench", "syncs", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return ended.value.code or 0, printed.out, printed.err

    return run


needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@needs_no_gpu
def test_the_tier_that_was_not_run_is_named(syncs: Syncs) -> None:
    code, out, _ = syncs()
    assert code == 0
    assert "GPU tier: not run, no CUDA device\n" in out
    assert "syncs/hybrid generate" in out and "syncs/meta" in out


@needs_no_gpu
def test_requiring_a_gpu_without_one_is_an_error_of_one_line(syncs: Syncs) -> None:
    code, out, err = syncs("--require-gpu")
    assert (code, out) == (2, "")
    assert err.startswith("error: --require-gpu: torch sees no CUDA device")
    assert err.count("\n") == 1


def test_the_report_names_line_operator_count_stage_and_source(
    syncs: Syncs, tmp_path: Path
) -> None:
    file = tmp_path / "syncs.json"
    code, out, _ = syncs("--json", str(file))
    assert code == 0
    assert "Tensor.to x1 [read-back: 1]" in out
    document = json.loads(file.read_text())
    [finding] = document["cpu"]["findings"]
    assert (document["model"], document["keep"]) == ("tiny_hybrid", "4")
    assert finding["site"]["file"] == "hybrid/model.py"
    assert (finding["count"], finding["stages"]) == (1, {"read-back": 1})
    assert finding["stack"] == []
    outcomes = {verdict["gate"]: verdict["outcome"] for verdict in document["verdicts"]}
    assert outcomes["syncs/hybrid generate"] == outcomes["syncs/static"] == "PASS"


def test_a_stack_leads_from_the_wait_to_this_test(syncs: Syncs, tmp_path: Path) -> None:
    file = tmp_path / "syncs.json"
    code, out, _ = syncs("--stack", "--json", str(file))
    [finding] = json.loads(file.read_text())["cpu"]["findings"]
    assert code == 0
    assert "from bench/cli/syncs.py" in out
    assert finding["stack"][0] == finding["site"]


def test_a_wait_in_a_decode_step_fails_and_is_pinned_to_its_line(
    syncs: Syncs, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = HybridLlava.decode

    def reads(self: HybridLlava, state: Any) -> None:
        decode(self, state)
        state.step.item()

    monkeypatch.setattr(HybridLlava, "decode", reads)
    code, out, _ = syncs()
    assert code == 1
    assert "Tensor.item x7 [decode step * (7 different): 7]" in out
    assert "state.step.item()" in out
    assert "new: " in out


def test_a_comparison_counts_waits_per_generated_token(syncs: Syncs, tmp_path: Path) -> None:
    file = tmp_path / "both.json"
    code, out, _ = syncs("--compare", "tiny", "--json", str(file))
    document = json.loads(file.read_text())
    assert code == 0
    assert document["tiny_hybrid"]["count"] == 1
    assert document["tiny"]["count"] > document["tiny"]["new_tokens"] == 8
    assert "tiny_hybrid: 0.12 waits a token (1 waits for 8 tokens)" in out


def test_transformers_own_model_has_no_ledger(syncs: Syncs) -> None:
    code, _, err = syncs("--model", "tiny")
    assert code == 2
    assert "use --trace or --compare" in err and err.count("\n") == 1


def test_a_model_whose_weights_are_not_here_is_stood_in_for() -> None:
    """Which lines wait depends on the architecture: LLaVA-1.5-7B's tokens, little else."""
    hybrid = real_subject("llava_v1.5_7b_hybrid", "36")
    dense = real_subject("llava_v1.5_7b")
    assert hybrid.config is not None and dense.config is None
    assert (hybrid.config.keep, len(hybrid.config.thresholds or ())) == (
        hybrid.config.budget,
        STAND_IN.vision_layers,
    )
    assert STAND_IN.patches == 576
    assert "stands in for llava-hf/llava-1.5-7b-hf" in hybrid.note
    HybridLlava(hybrid.llava, hybrid.config)


@pytest.mark.parametrize("weights", list(Weights))
def test_on_a_gpu_random_weights_are_watched_at_full_size_too(
    syncs: Syncs, monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    def said(gate: str, outcome: Outcome) -> Verdict:
        return Verdict(gate=gate, outcome=outcome, reason="", reproduce="")

    def small(of: Subject, **_settings: object) -> tuple[list[Verdict], Report]:
        return [said("syncs/gpu reported", Outcome.PASS)], Report()

    def large(of: Subject, graphed: object, **_settings: object) -> list[Verdict]:
        assert graphed is GraphedLlava
        return [said("syncs/gpu full size reported", Outcome.FAIL)]

    monkeypatch.setattr(bench.syncs.cuda, "has_gpu", lambda: True)
    monkeypatch.setattr(waits_gpu, "gpu_gate", small)
    monkeypatch.setattr(waits_gpu, "full_size_gate", large)
    monkeypatch.setattr(
        bench.gates.sync.subjects, "full_size", lambda name, keep, *_: full_size(name, keep, "cpu")
    )
    code, out, _ = syncs("--weights", weights)
    assert "syncs/gpu reported" in out
    assert ("syncs/gpu full size reported" in out) is (weights is Weights.RANDOM)
    assert code == (1 if weights is Weights.RANDOM else 0)


def test_full_size_is_the_profiles_own_shape() -> None:
    large = full_size("tiny_hybrid", "18", "cpu")
    text = large.llava.config.text_config
    assert (large.name, text.num_hidden_layers) == ("tiny_hybrid", 5)
    assert large.config is not None and large.config.keep == large.config.budget
    assert large.batch["input_ids"].shape == (1, 144 + 64)
