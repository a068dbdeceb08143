"""The fast path against the oracle on the trained fixture: real questions, and real answers."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.arms.models import load_checkpoint
from bench.arms.profiles import load_profile
from bench.tasks import load_task
from hybrid import HybridConfig, HybridLlava
from hybrid.reference import Oracle

SAMPLES, NEW_TOKENS = 8, 6
REDUCTION = load_profile("tiny").reduction
HYBRID = HybridConfig(
    keep=REDUCTION.keep,
    aggregation_layer=REDUCTION.aggregation_layer,
    thresholds=REDUCTION.thresholds,
    capacity=REDUCTION.capacity,
)


@pytest.mark.parametrize(
    "config",
    [
        HYBRID,
        replace(HYBRID, keep="0.7", prune="mask"),
        replace(HYBRID, capacity=None, rope="compact"),
        replace(HYBRID, keep="none", rope="virtual"),
    ],
    ids=["hybrid", "share-mask", "compact", "virtual"],
)
def test_merges_kept_tokens_and_answers_are_the_oracles(config: HybridConfig) -> None:
    profile = load_profile("tiny")
    checkpoint = load_checkpoint(replace(profile, model=replace(profile.model, threads=1)))
    samples = load_task(profile.prompts).samples
    chosen = samples[:: len(samples) // SAMPLES][:SAMPLES]
    processor: Any = checkpoint.processor
    batch = processor(
        text=[s.prompt for s in chosen],
        images=[s.image() for s in chosen],
        padding=True,
        return_tensors="pt",
    )
    ids, mask, pixels = batch["input_ids"], batch["attention_mask"], batch["pixel_values"]
    model = HybridLlava(checkpoint.llava, config)
    trace = model.prefill(model.place(ids, pixels, mask), 1).trace
    answers = model.generate(ids, pixels, mask, max_new_tokens=NEW_TOKENS)[:, ids.shape[1] :]

    exact = Oracle(checkpoint.llava, config)
    rounded = Oracle(checkpoint.llava, config, torch.float32)
    near_ties = 0
    for row in range(len(chosen)):
        prompt = ids[row][mask[row].bool()].tolist()
        true, near = exact.read(prompt, pixels[row]), rounded.read(prompt, pixels[row])
        valid = trace.visual.valid[row]
        position = trace.visual.position[row][valid].tolist()
        size = trace.visual.size[row][valid].tolist()
        kept = list(range(len(position)))
        if trace.kept is not None:
            kept = trace.kept.slot[row][trace.kept.valid[row]].tolist()
        tokens = true.seen.tokens
        if (position, size) != ([t.patches[0] for t in tokens], [t.size for t in tokens]):
            cosines = [
                abs(a - b)
                for step, other in zip(true.seen.steps, near.seen.steps, strict=False)
                for a, b in zip(step.best, other.best, strict=False)
            ]
            assert min(step.margin for step in true.seen.steps) <= 2 * max(cosines)
            near_ties += 1
        elif kept != true.kept:
            scores = zip(true.scores, near.scores, strict=True)
            assert true.margin <= 2 * max(abs(a - b) for a, b in scores)
            near_ties += 1
        else:
            expected = exact.generate(prompt, pixels[row], NEW_TOKENS)
            assert answers[row].tolist()[: len(expected)] == expected
            assert set(answers[row].tolist()[len(expected) :]) <= {model.pad_id}
    assert near_ties <= SAMPLES // 4, "near-ties are rare"
