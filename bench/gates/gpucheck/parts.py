"""What is measured, part by part; each part is numbers that JSON can hold.

A part takes what is checked and the seconds that it may use, and raises `UserError` if it could not
measure.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from bench.base.errors import UserError
from bench.cost.roofline import Floor
from bench.gates.gpucheck.subject import DENSE, EAGER, GRAPHED, MMBENCH_KEEP, Checked, Work
from bench.gates.sync.gpu import full_size_gate, gpu_gate
from bench.gates.sync.subjects import Subject
from bench.report.cells import as_json
from bench.report.timing import timings
from bench.timing.interleave import Arm, Stopwatch, interleaved_blocks, samples_of, setup
from bench.timing.memory import peak_bytes
from bench.timing.ratio import Ratio, paired_ratio
from bench.timing.samples import Samples
from hybrid import HybridLlava
from hybrid.graphs import left_padded
from hybrid.merging import Tokens, merge
from hybrid.pruning import last_row_scores

Numbers = dict[str, Any]
BATCHES = (1, 8)
ANSWER_TOKENS, CAPTION_TOKENS = 3, 64  # of an MMBench answer, and of a caption
REPLAYED_TOKENS = 16
CONFIDENCE = 0.95  # of each interval
REPEATS = 20  # of a kernel in a timed call: one alone is shorter than what starting a call takes
OFF, HYBRID = "off", f"hybrid {MMBENCH_KEEP}"
MERGING_THRESHOLD = 0.9


@dataclass(frozen=True, kw_only=True)
class Part:
    """seconds: that it may take. run: `(what is checked, seconds) -> numbers`.

    elastic: fewer seconds are fewer blocks, and not an error; a smaller budget is taken from these.
    """

    name: str
    seconds: float
    run: Callable[[Checked, float], Numbers]
    elastic: bool = False


def parts() -> list[Part]:
    """In order of what they say; together within ten minutes, the last blocks' overrun included."""
    one, eight = BATCHES
    return [
        Part(name="waits", seconds=30, run=waits),
        Part(name="replay", seconds=40, run=replay),
        *(
            Part(
                name=latency_part(batch, tokens),
                seconds=seconds,
                run=partial(latency, batch=batch, new_tokens=tokens),
                elastic=True,
            )
            for batch, tokens, seconds in (
                (one, ANSWER_TOKENS, 45),
                (one, CAPTION_TOKENS, 120),
                (eight, ANSWER_TOKENS, 60),
            )
        ),
        Part(name="memory", seconds=75, run=memory),
        Part(name="kernels", seconds=15, run=kernels, elastic=True),
        Part(
            name=latency_part(eight, CAPTION_TOKENS),
            seconds=80,
            run=partial(latency, batch=eight, new_tokens=CAPTION_TOKENS),
            elastic=True,
        ),
    ]


def named_parts(names: Sequence[str] | None) -> list[Part]:
    """Those, in the order of `parts`; all of them for None.

    Raises:
        UserError: for a name that no part has.
    """
    known = {part.name: part for part in parts()}
    if unknown := [name for name in names or () if name not in known]:
        raise UserError(f"--part: no {unknown[0]!r}: choose from {', '.join(map(repr, known))}")
    return [part for name, part in known.items() if names is None or name in names]


def latency_part(batch: int, new_tokens: int) -> str:
    """The part's name."""
    return f"latency, batch {batch}, {new_tokens} tokens"


def waits(checked: Checked, seconds: float) -> Numbers:
    """The GPU sync tier, whole on the stand-in, and as far as it goes at full size."""
    reproduce, config = checked.reproduce, checked.configs[HYBRID]
    verdicts, _ = gpu_gate(checked.stand_in, reproduce=reproduce)
    full_size = Subject(HYBRID, checked.llava, config, checked.batch(1))
    verdicts += full_size_gate(full_size, checked.graphed, reproduce=reproduce)
    return {"verdicts": [as_json(verdict) for verdict in verdicts]}


def replay(checked: Checked, seconds: float) -> Numbers:
    """Graph replay against the same steps run eagerly, token by token."""
    found, started = [], time.monotonic()
    for batch in BATCHES:
        for name in checked.configs:
            if time.monotonic() - started > seconds:
                raise UserError(f"{name}, batch {batch}, was not reached in {seconds:.0f} s")
            eager, graphed = (checked.model(f"{name} {how}") for how in (EAGER, GRAPHED))
            assert eager is not None and graphed is not None
            compared = compare_replay(eager, graphed, checked.batch(batch), REPLAYED_TOKENS)
            numbers = {**asdict(compared), "equal": compared.equal}
            found.append({"reduction": name, "batch": batch, **numbers})
    return {"compared": found}


@dataclass(frozen=True)
class Compared:
    """Replay and eager, side by side.

    Attributes:
        steps: tokens that were compared; fewer than asked behind a near-tie.
        wrong: tokens that differ although eager's two best logits are further apart than `allowed`.
        near_ties: tokens that differ within it.
        difference: the largest, between two logits.
        allowed: twice what rounding explains: each of a layer's two additions to the residual
            stream rounds, at random, and both runs do it.
    """

    steps: int
    wrong: int
    near_ties: int
    difference: float
    allowed: float

    @property
    def equal(self) -> bool:
        """NaN is not."""
        return self.steps > 0 and not self.wrong and self.difference <= self.allowed


def compare_replay(
    eager: HybridLlava, graphed: HybridLlava, batch: Mapping[str, Any], new_tokens: int
) -> Compared:
    """The graphs are captured on another prompt first, so that nothing is left from capturing."""
    other = dict(batch, pixel_values=batch["pixel_values"].flip(-1))
    graphed.generate_no_sync(graphed.place(**other), new_tokens)
    placed = eager.place(**batch)
    # Replay pads to its bucket and so always masks: the same kernels, then.
    same = left_padded(placed, placed.input_ids.shape[1])
    states = eager.prefill(same, new_tokens), graphed.prefill(placed, new_tokens)
    models = eager, graphed
    layers, eps = len(eager.language.layers), torch.finfo(eager.language.head.weight.dtype).eps
    difference = allowed = 0.0
    for step in range(new_tokens):
        ours, replayed = (state.logits.float() for state in states)
        largest = float((ours - replayed).abs().max())
        difference = largest if math.isnan(largest) else max(difference, largest)
        allowed = max(allowed, 2 * math.sqrt(2 * layers) * eps * float(ours.abs().max()))
        for model, state in zip(models, states, strict=True):
            model.select(state)
        differ = states[0].token != states[1].token  # [B]
        if bool(differ.any()):
            best = ours.topk(2, dim=-1).values[differ]
            near = int((best[:, 0] - best[:, 1] <= allowed).sum())
            return Compared(step + 1, int(differ.sum()) - near, near, difference, allowed)
        if step + 1 < new_tokens:
            for model, state in zip(models, states, strict=True):
                model.decode(state)
    return Compared(new_tokens, 0, 0, difference, allowed)


def latency(checked: Checked, seconds: float, *, batch: int, new_tokens: int) -> Numbers:
    """All arms interleaved; those that no target asks for, in every second block.

    Times and floors of each stage, ratios to dense and to the floor, and what each gain is made of.
    """
    arms: dict[str, Arm] = {}
    floors: dict[str, dict[str, Floor]] = {}
    for name in _timed_arms(checked, new_tokens):
        arms[name], floors[name] = checked.arm(name, batch, new_tokens)
    judged = {DENSE, f"{OFF} {GRAPHED}"} | {
        f"{name} {GRAPHED}" for name in checked.configs if name.startswith("hybrid")
    }
    started, taken = time.monotonic(), []
    source = interleaved_blocks(
        arms,
        clock=checked.clock,
        threads=checked.threads,
        warmup=1,
        rarely=[name for name in arms if name not in judged],
    )
    with torch.inference_mode(), closing(source):
        for block in source:
            taken.append(block)
            if time.monotonic() - started > seconds:
                break
    samples = samples_of(taken, setup(checked.clock, checked.threads))
    if samples.too_busy:
        raise UserError(samples.too_busy)
    return {
        "batch": batch,
        "new_tokens": new_tokens,
        "prompt_tokens": checked.batch(batch)["input_ids"].shape[1],
        "conditions": samples.described,
        "arms": {
            name: {
                "stages": _stages(samples, name, floors[name]),
                "against_dense": _against(samples, name, DENSE),
                "gain": _gain(samples, name, checked),
            }
            for name in arms
        },
    }


def _timed_arms(checked: Checked, new_tokens: int) -> list[str]:
    """All for an answer; an eager caption takes seconds, so only those that split a gain."""
    needed = (DENSE, f"{OFF} {EAGER}")
    return [
        name
        for name in checked.arms
        if new_tokens < CAPTION_TOKENS or name in needed or name.endswith(GRAPHED)
    ]


def _stages(samples: Samples, arm: str, floors: Mapping[str, Floor]) -> Numbers:
    found: Numbers = {}
    for row in timings(samples, {arm: floors}):
        if row.arm != arm:
            continue
        taken = samples.seconds(arm, row.stage)
        found[row.stage] = {"p50_ms": row.p50_ms, "p90_ms": row.p90_ms, "calls": row.calls}
        if row.floor is not None:
            least = np.full_like(taken, row.floor.seconds)
            found[row.stage]["floor_ms"] = 1e3 * row.floor.seconds
            found[row.stage]["wall"] = str(row.floor.wall)
            found[row.stage]["against_floor"] = _numbers(paired_ratio(taken, least, CONFIDENCE))
    return found


def _against(samples: Samples, arm: str, reference: str) -> Numbers:
    stages = samples.blocks[0][arm][0]
    return {
        stage: _numbers(paired_ratio(*samples.pair(arm, reference, stage), CONFIDENCE))
        for stage in stages
        if arm != reference
    }


def _gain(samples: Samples, arm: str, checked: Checked) -> Numbers:
    """Stage -> how many times faster our code, then graphs, then fewer tokens make it.

    Steps from dense to `off eager`, to `off graphed` unless the arm is eager, to the arm.
    """
    if arm == DENSE:
        return {}
    name, _, how = arm.rpartition(" ")
    path = {"our code": (DENSE, f"{OFF} {EAGER}")}
    if how == GRAPHED:
        path["graphs"] = (f"{OFF} {EAGER}", f"{OFF} {GRAPHED}")
    if name != OFF:
        path["fewer tokens"] = (f"{OFF} {how}", arm)
    return {
        stage: {
            step: paired_ratio(*samples.pair(slow, fast, stage), CONFIDENCE).value
            for step, (slow, fast) in path.items()
        }
        for stage in samples.blocks[0][arm][0]
    }


def _numbers(ratio: Ratio) -> Numbers:
    """None for an end that too few blocks leave open."""
    high = ratio.high if math.isfinite(ratio.high) else None
    return {
        "value": ratio.value,
        "low": ratio.low,
        "high": high,
        "blocks": ratio.blocks,
        "confidence": ratio.confidence,
    }


def memory(checked: Checked, seconds: float) -> Numbers:
    """Peak of one caption by each arm alone, weights and graphs included; and its cache."""
    found: Numbers = {}
    started = time.monotonic()
    with torch.inference_mode():
        for batch in BATCHES:
            for name in checked.arms:
                if time.monotonic() - started > seconds:
                    raise UserError(f"{name}, batch {batch}, was not reached in {seconds:.0f} s")
                arm, _ = checked.arm(name, batch, CAPTION_TOKENS)
                peak = peak_bytes(arm, checked.clock, checked.llava)
                numbers = found.setdefault(f"batch {batch}", {}).setdefault(name, {})
                numbers["peak_bytes"] = peak
                numbers["cache_bytes"] = _cache_bytes(checked, name, batch)
                del arm  # its graphs' memory must be free for the next
    return found


def _cache_bytes(checked: Checked, name: str, batch: int) -> int | None:
    """None for dense, whose cache is transformers' own; a graphed arm's is its eager one's."""
    model = checked.model(f"{name.rpartition(' ')[0]} {EAGER}") if name != DENSE else None
    if model is None:
        return None
    inputs = model.place(**checked.batch(batch))
    return model.prefill(inputs, CAPTION_TOKENS).cache.nbytes()


def kernels(checked: Checked, seconds: float) -> Numbers:
    """A DToMe step and a one-row score at the model's widths, eager and replayed."""
    found: Numbers = {}
    for batch in BATCHES:
        arms: dict[str, Arm] = {}
        with torch.inference_mode():
            for name, work in _kernels(checked, batch).items():
                arms[f"{name} {EAGER}"] = _repeated(work)
                arms[f"{name} {GRAPHED}"] = _repeated(checked.capture(work))
            started, taken = time.monotonic(), []
            source = interleaved_blocks(
                arms, clock=checked.clock, threads=checked.threads, warmup=2
            )
            with closing(source):
                for block in source:
                    taken.append(block)
                    if time.monotonic() - started > seconds / len(BATCHES):
                        break
        samples = samples_of(taken, setup(checked.clock, checked.threads))
        found[f"batch {batch}"] = {
            row.arm: {"p50_us": 1e3 * row.p50_ms, "p90_us": 1e3 * row.p90_ms, "calls": row.calls}
            for row in timings(samples)
        }
    return found


def _kernels(checked: Checked, batch: int) -> dict[str, Work]:
    config = checked.llava.config
    vision, text = config.vision_config, config.text_config
    slots = (vision.image_size // vision.patch_size) ** 2 + 1
    length = checked.batch(1)["input_ids"].shape[1]
    heads, width = text.num_attention_heads, text.hidden_size // text.num_attention_heads

    def random(*shape: int) -> torch.Tensor:
        made = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        return made.to(checked.llava.device, checked.llava.dtype)

    tokens = Tokens.unmerged(random(batch, slots, vision.hidden_size))
    metric = random(batch, slots, vision.hidden_size // vision.num_attention_heads)
    query, key = random(batch, heads, 1, width), random(batch, heads, length, width)
    valid = torch.ones(batch, length, dtype=torch.bool, device=checked.llava.device)

    def step() -> None:
        merge(tokens, metric, MERGING_THRESHOLD)

    def score() -> None:
        last_row_scores(query, key, valid, width**-0.5)

    return {"DToMe step": step, "one-row score": score}


def _repeated(work: Work) -> Arm:
    def arm(watch: Stopwatch) -> None:
        with watch("kernel", per=REPEATS):
            for _ in range(REPEATS):
                work()

    return arm
