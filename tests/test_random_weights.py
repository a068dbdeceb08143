"""Models with random weights: of true shape, made in place, not downloaded, only to be timed."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.arms import random_weights
from bench.arms.needs import latency_minutes, needs_of, quality_minutes
from bench.arms.profiles import Profile, load_profile
from bench.arms.random_prompts import random_prompts
from bench.arms.random_weights import (
    GIB,
    check_room,
    random_llava,
    random_model,
    true_config,
    weight_bytes,
)
from bench.arms.untrained import config_7b, config_of
from bench.arms.weights import Weights
from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.cli import main
from bench.cost.models import TOKENS
from bench.gates.speed import Request, speed_gate
from bench.gates.sync.gate import meta_verdict
from bench.gates.sync.subjects import subject
from bench.timing import interleave
from bench.timing.case import Case, hybrid_on, timed_model
from bench.timing.remote import Job, Worker
from bench.timing.revision import this_checkout
from hybrid import HybridConfig, HybridLlava, Keep, graphs
from hybrid.language import Language
from tests.llavas import SHAPE

TINY, REAL = load_profile("tiny"), load_profile("llava-1.5-7b")
CPU, META = torch.device("cpu"), torch.device("meta")


def on_cpu(profile: Profile) -> Profile:
    return replace(profile, model=replace(profile.model, device="cpu"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_weights_are_made_in_their_type_and_rotary_tables_stay_exact(dtype: torch.dtype) -> None:
    llava = random_llava(SHAPE.config(), dtype=dtype, device=CPU)
    assert {parameter.dtype for parameter in llava.parameters()} == {dtype}
    assert llava.model.language_model.rotary_emb.inv_freq.dtype is torch.float32
    assert llava.config._attn_implementation == "sdpa"
    assert not llava.training
    assert torch.get_default_dtype() is torch.float32


class Matrices(TorchDispatchMode):
    """The types of all matrices of numbers that are made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.ndim > 1:
                self.made.add(tensor.dtype)
        return out


def test_no_matrix_is_made_in_another_type_on_the_way() -> None:
    with Matrices() as matrices:
        random_llava(SHAPE.config(), dtype=torch.float16, device=CPU)
    assert matrices.made == {torch.float16}


def test_the_same_weights_come_at_every_call_and_the_callers_stream_goes_on() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = (
        random_llava(SHAPE.config(), dtype=torch.float32, device=CPU) for _ in range(2)
    )
    assert torch.equal(torch.rand(1), expected)
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_real_profile_is_known_without_its_checkpoint() -> None:
    config, tiny = true_config(REAL), true_config(TINY)
    assert config.to_dict() == config_7b().to_dict()
    assert weight_bytes(config, torch.float16) / GIB == pytest.approx(13.16, abs=0.01)
    assert tiny.to_dict()["text_config"]["hidden_size"] == 128


# Parameters as the checkpoints' cards and indices count them, in thousands of millions.
@pytest.mark.parametrize(
    ("checkpoint", "parameters", "tied"),
    [
        ("llava-hf/llava-v1.6-vicuna-7b-hf", 7.063, False),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8.292, False),
        ("Qwen/Qwen2.5-VL-3B-Instruct", 3.755, True),
    ],
)
def test_the_other_families_are_known_at_their_true_shape(
    checkpoint: str, parameters: float, tied: bool
) -> None:
    model = random_llava(config_of(checkpoint), dtype=torch.float16, device=torch.device("meta"))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(parameters, abs=1e-3)
    assert (model.lm_head.weight is model.model.language_model.embed_tokens.weight) is tied


def test_an_unknown_checkpoint_has_no_known_shape() -> None:
    other = replace(REAL, model=replace(REAL.model, checkpoint="somebody/llava"))
    with pytest.raises(UserError, match="sizes of somebody/llava are not known here"):
        true_config(other)


@pytest.mark.parametrize("profile", [TINY, REAL])
def test_prompts_are_an_image_and_64_words_with_one_run_of_placeholders(profile: Profile) -> None:
    config: Any = true_config(profile)
    first, second = random_prompts(config, 3), random_prompts(config, 3)
    assert all(torch.equal(first[name], second[name]) for name in first)
    ids, image = first["input_ids"], config.image_token_id
    patches = (first["pixel_values"].shape[-1] // config.vision_config.patch_size) ** 2
    assert ids.shape == (3, patches + 64)
    assert bool((ids[:, 35 : 35 + patches] == image).all())
    words = ids[ids != image]
    assert len(words) == 3 * 64 and int(words.min()) >= 3
    assert int(words.max()) < config.text_config.vocab_size
    assert len(set(map(tuple, ids.tolist()))) == 3
    assert profile is TINY or ids.shape[1] == TOKENS


def test_words_are_none_of_the_ids_around_an_image_wherever_these_are() -> None:
    config = config_of("Qwen/Qwen2.5-VL-3B-Instruct")
    config.vision_start_token_id, config.vision_end_token_id = 3, 5
    config.image_token_id, config.video_token_id, config.text_config.vocab_size = 4, 6, 9
    [ids] = random_prompts(config, 1)["input_ids"].tolist()
    assert [ids.count(special) for special in (3, 4, 5, 6)] == [1, 576, 1, 0]
    assert {*ids} == {3, 4, 5, 7, 8}


def test_too_little_memory_is_said_in_gib_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random_weights, "free_bytes", lambda device: 8 * GIB)
    with pytest.raises(UserError, match=r"need 16\.4 GiB of memory, this machine has 8\.0 GiB"):
        random_model(on_cpu(REAL))
    monkeypatch.setattr(random_weights, "free_bytes", lambda device: 17 * GIB)
    check_room(config_7b(), dtype=torch.float16, device=CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_refused_with_the_way_to_the_cpu() -> None:
    with pytest.raises(UserError, match=r'needs a CUDA device.*device = "cpu"'):
        random_model(REAL)


def test_random_weights_on_the_cpu_need_memory_and_nothing_from_a_disk() -> None:
    needs = {need.what: need for need in needs_of(on_cpu(REAL), weights=False)}
    assert set(needs) == {"device", "memory"}
    assert needs["memory"].wanted == "16.4 GiB free"


def test_no_answer_ends_early_and_prompts_are_random_too() -> None:
    model = timed_model(TINY, Weights.RANDOM)
    assert model.checkpoint is None
    case = Case.of(TINY, model, Keep(18), 2)
    assert torch.equal(case.batch["input_ids"], random_prompts(model.llava.config, 2)["input_ids"])
    hybrid = HybridLlava(model.llava, HybridConfig(keep=18, aggregation_layer=1))
    batch: Any = dict(case.batch)
    assert hybrid.generate(**batch, max_new_tokens=5).shape == (2, 144 + 64 + 5)


def test_on_a_gpu_the_hybrid_is_timed_as_it_is_meant_to_run_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llava, config = random_llava(SHAPE.config(), dtype=torch.float32, device=CPU), HybridConfig()
    assert type(hybrid_on(CPU, llava, config, 100)) is HybridLlava
    monkeypatch.setattr(graphs, "_demand_cuda", lambda device: None)
    graphed = hybrid_on(torch.device("cuda"), llava, config, 100)
    assert isinstance(graphed, graphs.GraphedLlava)
    assert graphed.buckets == (100,)


def request_for(folder: Path) -> Request:
    bounds = {1: {"hybrid": {"answer": 100.0}}}
    return Request(
        profile=replace(TINY, latency=replace(TINY.timing, bounds=bounds, new_tokens=2)),
        profile_name="tiny",
        thresholds=None,
        keep=Keep(18),
        work_dir=folder,
        budget_s=1.0,
        smallest_effect=None,
        reproduce="nox -s latency",
        weights=Weights.RANDOM,
    )


def test_the_latency_gate_times_random_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Whatever else runs here: this asks what is timed, not how fast.
    monkeypatch.setattr(interleave, "observer_for", lambda clock, cores: None)
    measured = speed_gate(request_for(tmp_path))
    assert {row.arm for row in measured.timed} == {"dense", "off", "random", "hybrid"}
    assert (tmp_path / "latency-batch-1.json").is_file()
    assert request_for(tmp_path).job.weights == "random"


def test_another_process_makes_the_same_random_model(tmp_path: Path) -> None:
    job = Job(
        profile="tiny", thresholds=None, keep="18", arm="hybrid", batches=[1], weights="random"
    )
    (tmp_path / "hybrid").symlink_to(this_checkout().hybrid.resolve(), target_is_directory=True)
    worker = Worker(this_checkout(), tmp_path, job)
    try:
        worker.wait_until_ready()
        assert set(worker.call(1).seconds) == {"prefill", "decode", "answer"}
    finally:
        worker.close()


def test_the_code_is_run_on_meta_at_the_true_shape() -> None:
    of = subject("llava_v1.5_7b_hybrid", "36", weights=Weights.RANDOM)
    assert of.shape is not None
    text = of.shape.llava.config.text_config
    assert (text.num_hidden_layers, text.hidden_size) == (32, 4096)
    assert of.shape.llava.device == META
    assert of.shape.batch["input_ids"].shape == (2, TOKENS)
    assert meta_verdict(of.shape, reproduce="again").outcome is Outcome.PASS
    assert of.llava.device == CPU  # and the CPU tier watches the stand-in


def test_a_read_at_the_true_shape_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    of = subject("llava_v1.5_7b_hybrid", "36", weights=Weights.RANDOM)
    assert of.shape is not None
    finish = Language.finish

    def reading(
        self: Language, index: int, hidden: torch.Tensor, attended: torch.Tensor
    ) -> torch.Tensor:
        if index == 31:  # a layer that the stand-in does not have
            hidden.sum().item()
        return finish(self, index, hidden, attended)

    monkeypatch.setattr(Language, "finish", reading)
    assert meta_verdict(of.shape, reproduce="again").outcome is Outcome.FAIL


def ends(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]) -> object:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gate", "--weights", "random"], "random weights answer nothing"),
        (["cost", "--weights", "checkpoint"], "costs are counted without weights"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: Sequence[str],
    message: str,
) -> None:
    assert ends(monkeypatch, arguments) == 2
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    "command",
    [
        ["gate", "--profile", "llava-1.5-7b"],
        ["latency", "--profile", "llava-1.5-7b"],
        ["sweep", "--profile", "llava-1.5-7b"],
        ["run", "--data", "MMBench_DEV_EN", "--model", "llava_v1.5_7b_hybrid"],
    ],
)
def test_a_real_profile_lists_all_that_is_missing_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: Sequence[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("LMUData", str(tmp_path / "data"))
    work_dir = tmp_path / "work"
    assert ends(monkeypatch, [*command, "--work-dir", str(work_dir)]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    for remedy in ("take --profile tiny", "hf download", "bench fetch MMBench_DEV_EN"):
        assert remedy in said
    assert not work_dir.exists()


def test_a_first_run_says_what_it_needs_and_a_later_one_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from bench.arms import needs

    monkeypatch.setattr(needs, "free_bytes", lambda device: 20 * GIB)
    work_dir = tmp_path / "work"
    needs.prepare(on_cpu(REAL), weights=False, minutes=9.2, work_dir=work_dir)
    said = capsys.readouterr().err
    assert said.startswith("llava-1.5-7b needs device cpu")
    assert "memory 16.4 GiB free (20.0 GiB free)" in said
    assert said.endswith("about 10 minutes\n")
    work_dir.mkdir()
    needs.prepare(on_cpu(REAL), weights=False, minutes=9.2, work_dir=work_dir)
    assert capsys.readouterr().err == ""


def test_rough_minutes_follow_from_rows_and_budget() -> None:
    assert latency_minutes(2, 300) == 11
    everything = quality_minutes(REAL.on_all_data(), limit=None, batch_size=None)
    subsets = quality_minutes(REAL, limit=None, batch_size=None)
    some = quality_minutes(REAL, limit=100, batch_size=None)
    assert everything is not None and subsets is not None and some is not None
    assert 1 < some < 5 < subsets < everything / 4 < 30
    assert quality_minutes(TINY, limit=None, batch_size=None) is None
