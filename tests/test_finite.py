"""Logits that are no finite numbers are an error that says where they come from, in every arm."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.finite import FiniteWatch
from bench.arms.models import Checkpoint, arm_config
from bench.arms.profiles import load_profile
from bench.arms.published import ARMS
from bench.base.errors import UserError
from bench.cli import main
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import load_task
from bench.timing.case import Case, timed_model
from hybrid import Keep
from tests.checkpoints import FIXTURE, Weights, copy_of_fixture, loaded, profile_on

TINY = load_profile("tiny")
KEEP = Keep(count=18)
NAMES = [f"sample {i}" for i in range(8)]
INF, NAN = float("inf"), float("nan")
LAYER = "model.language_model.layers"


@pytest.mark.parametrize(
    "row",
    [[NAN, 1.0, 2.0], [1.0, 2.0, NAN], [INF, 1.0, 2.0], [1.0, -INF, 2.0], [-INF] * 3, [NAN] * 3],
    ids=str,
)
def test_one_value_that_is_no_number_is_one_too_many(row: list[float]) -> None:
    watch = FiniteWatch()
    for second in ([1.0, 2.0, 3.0], row, row):
        watch.see(torch.tensor([[3.0, 2.0, 1.0], second]))
    assert watch.first_bad() == [None, 1]


def answered(
    checkpoint: Checkpoint, arm: str, *, data: str = "tiny-mmbench", count: int = 2, tokens: int = 8
) -> list[str]:
    answerer = RecordingAnswerer(checkpoint, arm_config(arm, TINY, KEEP), arm=f"tiny_{arm}")
    samples = load_task(data).samples[:count]
    batch = answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    return [text for text, _ in answerer.answer_recorded(batch, tokens, NAMES)]


def weight(checkpoint: Checkpoint, name: str) -> Tensor:
    found: Any = checkpoint.llava
    return found.get_parameter(name).data  # type: ignore[no-any-return]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(("dtype", "factor"), [("float16", 3e3), ("bfloat16", 1e25)])
def test_an_overflow_names_layer_arm_and_dtype(arm: str, dtype: str, factor: float) -> None:
    """In an MLP, from activations in half precision; the same weights are numbers in float32."""
    checkpoint = loaded(FIXTURE / "model", dtype=dtype)
    for part in ("gate_proj", "up_proj"):
        weight(checkpoint, f"{LAYER}.3.mlp.{part}.weight").mul_(factor)
        assert weight(checkpoint, f"{LAYER}.3.mlp.{part}.weight").isfinite().all()
    with pytest.raises(UserError) as raised:
        answered(checkpoint, arm)
    text = str(raised.value)
    assert text.startswith(f"tiny_{arm}, {dtype}: the logits of new token 1 of sample 0 are not")
    assert f"first not finite: what goes into {LAYER}.3.mlp.down_proj (Linear)" in text
    assert "\n" not in text


@pytest.mark.parametrize("arm", ["dense", "off", "hybrid"])
@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        (
            "model.vision_tower.encoder.layers.1.mlp.fc1.weight",
            NAN,
            r"comes out of .*\.1\.mlp\.fc1",
        ),
        ("model.multi_modal_projector.linear_1.bias", INF, r"comes out of .*projector\.linear_1"),
        (f"{LAYER}.2.self_attn.k_proj.weight", NAN, r"comes out of .*\.2\.self_attn\.k_proj"),
        (f"{LAYER}.4.post_attention_layernorm.weight", NAN, r"layers\.4\.(post|mlp)"),
        ("model.language_model.norm.weight", INF, r"language_model\.norm|goes into lm_head"),
        ("lm_head.weight", -INF, r"comes out of lm_head"),
    ],
)
def test_a_weight_that_is_no_number_names_its_layer(
    arm: str, name: str, value: float, named: str
) -> None:
    checkpoint = loaded(FIXTURE / "model")
    weight(checkpoint, name)[0] = value
    with pytest.raises(UserError, match=rf"tiny_{arm}, float32: .*first not finite: .*{named}"):
        answered(checkpoint, arm)


ANSWERING = pytest.mark.parametrize("arm", ["dense", "off", "hybrid"])


@ANSWERING
def test_one_prompt_of_a_batch_is_enough(arm: str) -> None:
    checkpoint = loaded(FIXTURE / "model")
    samples = load_task("tiny-mmbench").samples[:5]
    tokenizer: Any = checkpoint.processor.tokenizer
    words = [set(tokenizer(sample.prompt)["input_ids"]) for sample in samples]
    row, own = next(
        (row, own)
        for row in range(4, -1, -1)
        if (own := words[row] - set.union(*(words[i] for i in range(5) if i != row)))
    )
    weight(checkpoint, "model.language_model.embed_tokens.weight")[own.pop()] = NAN
    with pytest.raises(UserError, match=rf"sample {row} are .*embed_tokens \(Embedding\)"):
        answered(checkpoint, arm, count=5)


def caption_ids(checkpoint: Checkpoint, arm: str, count: int) -> tuple[Tensor, list[list[int]]]:
    """The prompts of captions, and what is answered, end and padding included."""
    answerer = RecordingAnswerer(checkpoint, arm_config(arm, TINY, KEEP), arm=arm)
    samples = load_task("tiny-coco").samples[:count]
    batch = answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    return batch["input_ids"], answerer.new_ids(batch, 30).tolist()


@ANSWERING
def test_a_late_token_is_enough(arm: str) -> None:
    checkpoint = loaded(FIXTURE / "model")
    prompt, (ids,) = caption_ids(checkpoint, arm, 1)
    step = next(
        i for i, id in enumerate(ids) if i > 0 and id not in {*prompt[0].tolist(), *ids[:i]}
    )
    weight(checkpoint, "model.language_model.embed_tokens.weight")[ids[step]] = NAN
    with pytest.raises(UserError, match=rf"new token {step + 2} of sample 0 .*embed_tokens"):
        answered(checkpoint, arm, data="tiny-coco", count=1, tokens=30)


@ANSWERING
def test_what_follows_behind_an_end_does_not_matter(arm: str) -> None:
    checkpoint = loaded(FIXTURE / "model")
    before = answered(checkpoint, arm, data="tiny-coco", count=6, tokens=30)
    prompts, rows = caption_ids(checkpoint, arm, 6)
    generation: Any = checkpoint.llava.generation_config
    pad, end = generation.pad_token_id, generation.eos_token_id
    assert pad not in prompts
    assert len({row.index(end) for row in rows}) > 1  # some wait for the others, fed with padding
    for token in (pad, end):
        weight(checkpoint, "model.language_model.embed_tokens.weight")[token] = NAN
    assert answered(checkpoint, arm, data="tiny-coco", count=6, tokens=30) == before


@pytest.mark.parametrize("arm", ["dense", "off", "random", "hybrid"])
def test_what_is_timed_answers_once_before(arm: str, tmp_path: Path) -> None:
    profile = profile_on(FIXTURE / "model")
    timed = timed_model(replace(profile, model=replace(profile.model, dtype="bfloat16")))
    Case.of(profile, timed, KEEP, 2).arm(arm)
    assert timed.checkpoint is not None
    weight(timed.checkpoint, "model.language_model.embed_tokens.weight")[:] = 0
    weight(timed.checkpoint, f"{LAYER}.1.self_attn.o_proj.weight")[:] = NAN
    with pytest.raises(UserError, match=rf"{arm}, bfloat16: .*prompt 0 .*1\.self_attn\.o_proj"):
        Case.of(profile, timed, KEEP, 2).arm(arm)


def broken(weights: Weights) -> Weights:
    name = next(
        name
        for name in weights
        if name.endswith("layers.2.mlp.down_proj.weight") and "vis" not in name
    )
    return {**weights, name: weights[name] * 1e30}


@pytest.fixture(scope="module")
def profile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half")
    copy_of_fixture(folder / "model", broken)
    text = (FIXTURE.parent / "arms" / "profiles" / "tiny.toml").read_text()
    text = text.replace('"bench/fixture/model"', f'"{folder / "model"}"')
    assert str(folder) in text
    text = text.replace('"float32"', '"float16"')
    (folder / "half.toml").write_text(text)
    return folder / "half.toml"


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--data", "tiny-mmbench", "--model", "tiny", "--limit", "2"],
        ["run", "--data", "tiny-coco", "--model", "tiny_hybrid", "--limit", "2"],
        ["accuracy", "--limit", "2"],
        ["sweep", "--limit", "2", "--keep", "18", "--merge", "on"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_a_command_says_it_in_one_line_and_ends_with_2(
    command: list[str],
    profile_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    given = [*command, "--profile", str(profile_file)]
    monkeypatch.setattr("sys.argv", ["bench", *given])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert "float16: the logits of new token 1" in errors[0]
    assert "language_model.layers.2.mlp.down_proj" in errors[0]
