"""What is watched: a model by its name, and prompts for it, also where its weights are not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bench.arms.models import DTYPES, Answerer, arm_config, load_checkpoint, resolve_keep
from bench.arms.profiles import Profile, load_profile, profile_of_model
from bench.arms.random_weights import random_llava, random_model, random_prompts, true_config
from bench.arms.untrained import Shape, batch_of, untrained_llava
from bench.arms.weights import Weights
from bench.tasks import load_task
from hybrid import HybridConfig, Keep

SAMPLES = 2
# LLaVA-1.5's tokens at a depth and width for a CPU: which lines wait depends on neither of these.
STAND_IN = replace(Shape(), side=24)
PROMPTS = [(35, 40), (35, 21)]  # text tokens before and after the image; the second is padded


@dataclass(frozen=True)
class Subject:
    """A model and a batch for it.

    Attributes:
        name: as on the command line.
        llava: transformers' model.
        config: what is reduced; None is transformers' own `generate`.
        batch: input_ids [B, S], attention_mask [B, S], pixel_values [B, 3, H, W], on the host.
        note: what stands in for the checkpoint, or nothing.
        shape: the same model at its true shape on `meta`, where nothing but its code is looked at;
            None if `llava` is it.
    """

    name: str
    llava: Any
    config: HybridConfig | None
    batch: Mapping[str, Tensor]
    note: str = ""
    shape: "Subject | None" = None


def subject(
    name: str,
    keep: str | None = None,
    *,
    profile_file: str | None = None,
    device: str = "cpu",
    weights: Weights = Weights.CHECKPOINT,
) -> Subject:
    """A model by name with the first questions of its profile, on `device`.

    A profile that needs a GPU is stood in for by a small untrained model of the same architecture,
    so that no weights are needed; with random weights, any profile is, and its own model is looked
    at on `meta` beside that.

    Raises:
        UserError: for a name or an arm that is not known.
        ConfigError: for a `keep` that is not a budget.
    """
    profile_name, arm = profile_of_model(name, profile_file)
    profile = load_profile(profile_name)
    kept = resolve_keep(keep, profile)
    if weights is Weights.RANDOM:
        stand_in = _stand_in(name, arm, profile, kept, device)
        return replace(stand_in, shape=_on_meta(name, arm, profile, kept))
    if profile.model.device != "cpu":
        return _stand_in(name, arm, profile, kept, device)
    checkpoint = load_checkpoint(replace(profile, model=replace(profile.model, device=device)))
    answerer = Answerer(checkpoint, arm_config(arm, profile, kept))
    samples = load_task(profile.prompts).samples[:SAMPLES]
    batch = answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    config = None if answerer.hybrid is None else answerer.hybrid.config
    return Subject(name, checkpoint.llava, config, batch)


def full_size(name: str, keep: str | None, device: str, profile_file: str | None = None) -> Subject:
    """The same model at its true shape with random weights, on `device`.

    Raises:
        UserError: `device` is missing, or lacks the memory for it.
    """
    profile_name, arm = profile_of_model(name, profile_file)
    profile = load_profile(profile_name)
    llava = random_model(replace(profile, model=replace(profile.model, device=device)))
    config = arm_config(arm, profile, resolve_keep(keep, profile))
    return Subject(name, llava, config, random_prompts(llava.config, 1))


def _on_meta(name: str, arm: str, profile: Profile, keep: Keep) -> Subject:
    llava = random_llava(
        true_config(profile), dtype=DTYPES[profile.model.dtype], device=torch.device("meta")
    )
    batch = random_prompts(llava.config, SAMPLES)
    return Subject(name, llava, arm_config(arm, profile, keep), batch)


def _stand_in(name: str, arm: str, profile: Profile, keep: Keep, device: str) -> Subject:
    config = arm_config(arm, profile, keep)
    if config is not None and config.thresholds is not None:
        config = replace(config, thresholds=config.thresholds[: STAND_IN.vision_layers])
    llava = untrained_llava(STAND_IN).to(device)
    llava.generation_config.eos_token_id = None  # untrained answers end anywhere, or nowhere
    note = (
        f"{name}: an untrained LLaVA of {STAND_IN.patches} patches, {STAND_IN.vision_layers} + "
        f"{STAND_IN.text_layers} layers and width {STAND_IN.text_width} stands in for "
        f"{profile.model.checkpoint}: which lines wait depends neither on weights nor on size"
    )
    return Subject(name, llava, config, vars(batch_of(STAND_IN, PROMPTS)), note)
