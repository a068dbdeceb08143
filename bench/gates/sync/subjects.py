"""What is watched: a model by its name, and prompts for it, also where its weights are not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from bench.arms.checkpoint.files import read_json
from bench.arms.families import KINDS, LLAVA, Kind, demand_kind
from bench.arms.models import DTYPES, Answerer, arm_config, load_checkpoint, resolve_keep
from bench.arms.profiles import Profile, load_profile, profile_of_model
from bench.arms.random_prompts import Size, prompts_of, random_prompts, seen
from bench.arms.random_weights import random_llava, random_model, true_config
from bench.arms.untrained import (
    TRUE_SHAPES,
    Shape,
    batch_of,
    config_of,
    small_config,
    untrained,
    untrained_llava,
)
from bench.arms.weights import Weights
from bench.tasks import load_task
from hybrid import HybridConfig, Keep

SAMPLES = 2
# LLaVA-1.5's tokens at a depth and width for a CPU: which lines wait depends on neither of these.
STAND_IN = replace(Shape(), side=24)
PROMPTS = [(35, 40), (35, 21)]  # text tokens before and after the image; the second is padded
# Of families that take any size; small crops of the stand-in for LLaVA-NeXT are 84 pixels wide.
IMAGES: dict[str, list[Size]] = {
    "llava_next": [(168, 168), (80, 170)],
    "qwen2_5_vl": [(672, 672), (336, 448)],
    "qwen3_vl": [(672, 672), (336, 448)],
}


@dataclass(frozen=True)
class Subject:
    """A model and a batch for it.

    Attributes:
        name: as on the command line.
        llava: transformers' model.
        config: what is reduced; None is transformers' own `generate`.
        batch: prompts with an image each, as `Answerer.encode` gives them, on the host.
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
    samples = load_task(profile.prompts, chat=profile.model.chat).samples[:SAMPLES]
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
    return Subject(name, llava, config, random_prompts(llava.config, 1, profile.data))


def _on_meta(name: str, arm: str, profile: Profile, keep: Keep) -> Subject:
    llava = random_llava(
        true_config(profile), dtype=DTYPES[profile.model.dtype], device=torch.device("meta")
    )
    batch = random_prompts(llava.config, SAMPLES, profile.data)
    return Subject(name, llava, arm_config(arm, profile, keep), batch)


def _family(profile: Profile) -> Kind:
    """Of the checkpoint, if its config.json is here or it is known by its name; else LLaVA-1.5."""
    path = profile.model.path
    document = read_json(path, "config.json")
    if document is None and path in TRUE_SHAPES:
        return KINDS[config_of(profile).model_type]
    return KINDS[LLAVA] if document is None else demand_kind(document.get("model_type"), path)


def _stand_in(name: str, arm: str, profile: Profile, keep: Keep, device: str) -> Subject:
    kind = _family(profile)
    if kind.model_type != LLAVA:
        return _small(kind, name, arm, profile, keep, device)
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


def _small(kind: Kind, name: str, arm: str, profile: Profile, keep: Keep, device: str) -> Subject:
    """The same of a family that takes images of any size: two sizes in one batch."""
    settings, images = small_config(kind.model_type), IMAGES[kind.model_type]
    model = untrained(settings).to(device)
    model.generation_config.eos_token_id = None
    tokens = " and ".join(str(seen(settings, image).placeholders) for image in images)
    text = settings.text_config
    note = (
        f"{name}: an untrained {kind.name} with images of {tokens} tokens,"
        f" {settings.vision_config.num_hidden_layers} + {text.num_hidden_layers} layers and width"
        f" {text.hidden_size} stands in for {profile.model.checkpoint}: which lines wait depends"
        " neither on weights nor on size"
    )
    config = arm_config(arm, profile, keep)
    return Subject(name, model, config, prompts_of(settings, PROMPTS, images), note)
