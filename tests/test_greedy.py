"""Greedy means greedy in every arm, whatever generation settings lie in a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from bench.arms.greedy import NEUTRAL, answer_greedily, overridden
from bench.arms.models import Answerer, Checkpoint
from bench.arms.random_weights import random_model
from bench.base.errors import UserError
from bench.base.remark import remarks
from bench.tasks import load_task
from bench.timing.arms import answer_arm
from bench.timing.clock import clock_for
from bench.timing.interleave import timed_call
from hybrid import HybridConfig
from tests.checkpoints import FIXTURE, copy_of_fixture, loaded, profile_on, set_in

NEW_TOKENS = 24
# Each changes what transformers answers greedily, when or how it stops, or how fast it is.
SETTINGS: list[dict[str, Any]] = [
    {"do_sample": True, "temperature": 5.0},
    {"num_beams": 3, "length_penalty": -5.0, "early_stopping": True},
    {"repetition_penalty": 3.0},
    {"no_repeat_ngram_size": 1},
    {"min_length": 400},
    {"min_new_tokens": 24},
    {"suppress_tokens": list(range(5, 60))},
    {"begin_suppress_tokens": list(range(5, 60))},
    {"bad_words_ids": [[id] for id in range(5, 60)]},
    {"sequence_bias": [[[id], -50.0] for id in range(5, 60)]},
    {"forced_bos_token_id": 7},
    {"forced_eos_token_id": 7},
    {"exponential_decay_length_penalty": [1, 50.0]},
    {"guidance_scale": 3.0},
    {"prompt_lookup_num_tokens": 4},
    {"penalty_alpha": 0.6, "top_k": 4},
    {"dola_layers": "high"},
    {"max_time": 1e-9},
    {"stop_strings": ["a"]},
    {"use_cache": False},
    {"cache_implementation": "static"},
    {"num_return_sequences": 2, "num_beams": 2},
    {"return_dict_in_generate": True, "output_scores": True},
    {"watermarking_config": {"greenlist_ratio": 0.25, "bias": 50.0}},
    {"something_unheard_of": 1},
]


def answers(checkpoint: Checkpoint, config: HybridConfig | None) -> Tensor:
    samples = load_task("tiny-coco").samples[:2]
    answerer = Answerer(checkpoint, config)
    batch = answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    return answerer.new_ids(batch, NEW_TOKENS)


@pytest.fixture(scope="module")
def greedy() -> Tensor:
    return answers(loaded(FIXTURE / "model"), None)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: next(iter(settings)))
def test_no_setting_changes_an_answer_and_each_is_said(
    settings: dict[str, Any], tmp_path: Path, greedy: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "generation_config.json", **settings)
    checkpoint = loaded(folder)
    assert torch.equal(answers(checkpoint, None), greedy)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{folder}/generation_config.json" in said
    assert all(name in said for name in settings)


def test_it_is_said_once_and_not_at_all_where_nothing_is_overridden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(FIXTURE / "model")
    assert capsys.readouterr().err == ""
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "generation_config.json", num_beams=2)
    with remarks():  # a command
        loaded(folder)
        loaded(folder)
    assert capsys.readouterr().err.count("num_beams 2") == 1


@pytest.mark.parametrize("part", ["", "text_config__"])
def test_settings_in_the_config_of_a_checkpoint_without_the_file(
    part: str, tmp_path: Path, greedy: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    (folder / "generation_config.json").unlink()
    set_in(folder / "config.json", **{f"{part}num_beams": 4, f"{part}min_length": 400})
    assert torch.equal(answers(loaded(folder), None), greedy)
    assert f"{folder}/config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "eager"},
        {"_attn_implementation": "flash_attention_2"},
        {"output_attentions": True},
        {"output_hidden_states": True},
        {"return_dict": False},
        {"text_config__output_attentions": True},
    ],
    ids=str,
)
def test_dense_runs_as_transformers_ships_it(
    settings: dict[str, Any], tmp_path: Path, greedy: Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "config.json", **settings)
    checkpoint = loaded(folder)
    config: Any = checkpoint.llava.config
    for part in (config, config.text_config, config.vision_config):
        assert part._attn_implementation == "sdpa"
        assert (part.output_attentions, part.output_hidden_states) == (False, False)
    assert torch.equal(answers(checkpoint, None), greedy)
    assert next(iter(settings)).replace("__", ".") in capsys.readouterr().err


def test_a_timed_dense_arm_does_one_step_a_token(tmp_path: Path) -> None:
    """Three beams are three times the work; a penalty is work that no other arm does."""
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "generation_config.json", num_beams=3, use_cache=False)
    checkpoint = loaded(folder)
    samples = load_task("tiny-mmbench").samples[:2]
    arm = answer_arm(
        "dense",
        Answerer(checkpoint, None),
        [s.prompt for s in samples],
        [s.image() for s in samples],
        4,
    )
    shapes: list[torch.Size] = []
    head: Any = checkpoint.llava.lm_head
    head.register_forward_hook(lambda module, given, output: shapes.append(output.shape[:2]))
    timed_call(arm, clock_for(torch.device("cpu")), None)
    assert [tuple(shape) for shape in shapes] == [(2, 1)] * 4


def test_random_weights_are_timed_greedily_too(tmp_path: Path) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "config.json", text_config__use_cache=False, num_beams=2)
    generation = random_model(profile_on(folder)).generation_config
    assert (generation.use_cache, generation.num_beams) == (None, None)


def test_ends_are_kept_alike_in_every_arm(tmp_path: Path, greedy: Tensor) -> None:
    """An answer ends at the first of several end tokens, and is filled up with the pad token."""
    end = int(greedy[0, 2])
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "generation_config.json", eos_token_id=[2, end], pad_token_id=3)
    checkpoint = loaded(folder)
    dense = answers(checkpoint, None)
    row, first = greedy[0].tolist(), greedy[0].tolist().index(end)
    assert dense[0].tolist()[: first + 1] == row[: first + 1]
    assert set(dense[0].tolist()[first + 1 :]) <= {3}
    assert torch.equal(answers(checkpoint, HybridConfig()), dense)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"eos_token_id": "</s>"}, "eos_token_id is '</s>'"),
        ({"eos_token_id": [2, 5000]}, r"eos_token_id is \[2, 5000\], and .* 0 to 82"),
        ({"eos_token_id": {"id": 2}}, "eos_token_id"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"pad_token_id": [0]}, "pad_token_id"),
        ({"bos_token_id": 1.5}, "bos_token_id is '1.5'"),
    ],
)
def test_an_end_that_is_no_token_is_refused(
    settings: dict[str, Any], named: str, tmp_path: Path
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    set_in(folder / "generation_config.json", **settings)
    with pytest.raises(UserError, match=f"generation_config.json: {named}"):
        loaded(folder)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe{}", b"[]", b"[" * 100_000], ids=range(4))
def test_a_damaged_file_is_one_line_and_not_a_model_without_an_end(
    content: bytes, tmp_path: Path
) -> None:
    folder = copy_of_fixture(tmp_path / "model")
    (folder / "generation_config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"generation_config\.json") as raised:
        loaded(folder)
    assert "\n" not in str(raised.value)


def test_what_counts_as_neutral_is_transformers_own() -> None:
    """So that a setting that newly has another default is noticed here."""
    defaults = GenerationConfig._get_default_generation_params()
    assert overridden(defaults) == {}
    assert overridden(GenerationConfig.from_dict({}).to_dict()) == {}
    assert overridden(dict(NEUTRAL)) == {}
    assert overridden({"use_cache": False, "num_beams": 2}) == {"use_cache": False, "num_beams": 2}


def test_a_setting_given_to_a_loaded_model_is_dropped() -> None:
    llava: Any = loaded(FIXTURE / "model").llava
    llava.generation_config.repetition_penalty = 3.0
    answer_greedily(llava, str(FIXTURE / "model"))
    assert llava.generation_config.repetition_penalty is None
