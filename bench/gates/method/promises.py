"""What every method promises, one function each: found on a `Trial`, said in words."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.arms.untrained import Batch
from bench.gates.method.spies import Spy, spied, spied_below
from bench.gates.method.trial import STEPS, Rows, Trial, apart
from bench.gates.sync.scenarios import watch_hybrid
from hybrid import HybridLlava, Keep
from hybrid.stages import Choice
from hybrid.state import State

# Of the logits' deviation, in float64. Rounding is below 1e-12; a method that rounds to float32 on
# its way stays below 1e-6; one token more or less, or elsewhere, is above 1e-3.
TOLERANCE = 1e-5
MOVED = 1e-3  # by how much of itself a feature is moved, to see what is made of it


@dataclass(frozen=True)
class Found:
    """fault: in words, empty if the promise holds. value: the largest difference, if it is one."""

    fault: str = ""
    value: float | None = None


def near(value: float, fault: str) -> Found:
    """A difference of logits; NaN is one, too."""
    return Found("" if value <= TOLERANCE else fault, value)


def everything(trial: Trial) -> Found:
    """A budget of all tokens, and none at all, change nothing."""
    off = trial.prefilled(HybridLlava(trial.llava, replace(trial.config(), method=()))).logits
    budgets = (Keep(), Keep(count=trial.shape.patches))
    worst = max(apart(trial.prefilled(trial.model(keep)).logits, off) for keep in budgets)
    return near(worst, "with every token kept the answer is another one than without the method")


def alone(trial: Trial) -> Found:
    """A sample answers alone, without padding, as it does at each place of a batch."""
    model = trial.model()
    by_itself: dict[tuple[int, int], State] = {}
    worst = 0.0
    for rows, batch in trial.orders():
        together = trial.prefilled(model, batch)
        kept = list(_kept(together))
        for place, sample in enumerate(rows):
            if sample not in by_itself:
                by_itself[sample] = trial.prefilled(model, batch.one(place))
            state = by_itself[sample]
            if next(_kept(state)) != kept[place]:
                return Found(f"samples of a batch see each other: alone, sample {sample[0]} keeps"
                             " other tokens than among its neighbours")  # fmt: skip
            worst = max(worst, apart(state.logits, together.logits[place : place + 1]))
    return near(worst, "samples of a batch see each other: alone they answer otherwise")


def hidden(trial: Trial) -> Found:
    """Dropping tokens answers as hiding them does, at prefill and in each decode step.

    Each budget decodes another order of the batch to its end, and the others for two steps.
    """
    models = [trial.model(prune=prune) for prune in ("drop", "mask")]
    orders = [batch for _, batch in trial.orders()]
    longest = trial.keep.of(trial.shape.patches) % len(orders)
    worst = 0.0
    for number, batch in enumerate(orders):
        states = [trial.prefilled(model, batch, STEPS) for model in models]
        for _ in range(STEPS if number == longest else 2):
            worst = max(worst, apart(states[0].logits, states[1].logits))
            with torch.inference_mode():
                states[1].logits.copy_(states[0].logits)  # so that both say the same next
            for model, state in zip(models, states, strict=True):
                model.select(state)
                model.decode(state)
    return near(worst, "tokens that are dropped and tokens that are only hidden answer otherwise")


def cached(trial: Trial) -> Found:
    """Each decode step answers as reading prompt and answer again does, with the same tokens kept.

    What a stage said of the prompt is said again, since by its rule a longer prompt may rank
    otherwise; so it is the caches and positions behind it that are tried.
    """
    model = trial.model()
    spies = spied(model)
    batch = trial.batch
    inputs = model.place(batch.input_ids, batch.pixel_values, batch.attention_mask)
    state = model.prefill(inputs, STEPS)
    said = [spy.said[-1] for spy in spies]
    worst = 0.0
    for step in range(STEPS):
        model.select(state)
        # Random weights may say the image's placeholder, which no longer prompt can hold.
        with torch.inference_mode():
            state.token.masked_fill_(state.token == model.image_token_id, 3)
            state.ids[:, step].copy_(state.token)
        model.decode(state)
        new = state.ids[:, : step + 1]
        mask = torch.cat([inputs.attention_mask, torch.ones_like(new)], dim=1)
        ids = torch.cat([inputs.input_ids, new], dim=1)
        for spy, each in zip(spies, said, strict=True):
            spy.replayed = [each]
        again = model.prefill(model.place(ids, inputs.pixel_values, mask), 1)
        worst = max(worst, apart(state.logits, again.logits))
    return near(worst, "decoding from the cache answers otherwise than reading everything again")


def lengths(trial: Trial) -> Found:
    """Each layer gets as many tokens as the host expects, the last one no more than the budget."""
    model = trial.model()
    cache = trial.prefilled(model).cache
    text = trial.batch.input_ids.shape[1] - trial.shape.patches
    found = [cache.prompt_length(layer) - text for layer in range(trial.layers)]
    if found != model.layer_slots:
        return Found(f"layers get {found} visual tokens, and {model.layer_slots} were announced")
    kept = trial.keep.of(trial.shape.patches)
    return Found(f"{found[-1]} tokens are left, of a budget of {kept}" * (found[-1] > kept))


def shapes(trial: Trial) -> Found:
    """Scores are [B, N] and no NaN; choices are slots in rising order, as many as announced."""
    model = trial.model()
    spies = spied(model)
    try:
        trial.prefilled(model)
    except Exception:
        if found := _shapes([spy for spy in spies if spy.said]):
            return Found(found)  # which says better what is wrong than what it led to
        raise
    return Found(_shapes(spies))


def _shapes(spies: Iterable[Spy]) -> str:
    for spy in spies:
        said, given = spy.said[-1], spy.given[-1]
        fault = (
            _choice(said, given.visual.valid, spy.slots_of(given.visual.valid.shape[1]))
            if isinstance(said, Choice)
            else _scores(said, given.standing.present)
        )
        if fault:
            return f"{type(spy.stage).__name__}: {fault}"
    return ""


def untouched(trial: Trial) -> Found:
    """What a stage is handed is left as it was."""
    model = trial.model()
    spies = [*spied_below(model), *spied(model)]
    trial.prefilled(model)
    for spy in spies:
        if spy.edited:
            what = ", ".join(spy.edited)
            moved = " and so renumbers positions" * any("position" in name for name in spy.edited)
            return Found(f"{type(spy.stage).__name__} changes {what} in place{moved}")
    return Found()


def positions(trial: Trial) -> Found:
    """Tokens that stay stand at the places of their own patches, and text where it stood."""
    model = trial.model()
    spies = spied(model)
    for rows, batch in trial.orders():
        if fault := _misplaced(trial, rows, batch, trial.prefilled(model, batch), spies):
            return Found(fault)
    return Found()


def _misplaced(trial: Trial, rows: Rows, batch: Batch, state: State, spies: Iterable[Spy]) -> str:
    for spy in spies:
        for row, slot, owner in _renumbered(spy):
            return (
                f"{type(spy.stage).__name__} renumbers positions: at slot {slot} of sample"
                f" {rows[row][0]} it hands on what stands at slot {owner}"
            )
        for row, slot in _made_of_others(spy):
            return (
                f"{type(spy.stage).__name__} renumbers positions: what it hands on at slot {slot}"
                f" of sample {rows[row][0]} is not made of what stands there"
            )
    visual = state.trace.visual
    slots = torch.arange(visual.valid.shape[1]).expand_as(visual.position)
    elsewhere = (visual.owner.gather(1, visual.position) != slots) & visual.valid
    unreduced = batch.attention_mask.cumsum(dim=1) - 1
    is_image = batch.input_ids == trial.shape.image_token
    kept = list(_kept(state))
    for row, ids in enumerate(state.trace.pruned_position_ids.tolist()):
        if elsewhere[row].any():
            slot = int(elsewhere[row].int().argmax())
            return (
                f"positions are renumbered: slot {slot} of sample {rows[row][0]} stands at a patch"
                " of another one"
            )
        valid = state.spans[-1].valid[row, : len(ids)].tolist()
        stand = [place for place, is_there in zip(ids, valid, strict=True) if is_there]
        image = unreduced[row][is_image[row]].tolist()
        real = batch.attention_mask[row].bool()
        text = unreduced[row][real & ~is_image[row]].tolist()
        if stand != sorted([*text, *(image[patch] for patch in kept[row])]):
            return f"positions are renumbered: sample {rows[row][0]} has {stand[:12]} ..."
    return ""


def waits(trial: Trial) -> Found:
    """The host waits for nothing between the upload of the prompt and the answer."""
    model, batch = trial.model(), trial.batch
    report, _ = watch_hybrid(model, **vars(batch), max_new_tokens=3)
    for finding in report.findings:
        if any(stage != "read-back" for stage in finding.stages) or not finding.stages:
            return Found(
                f"the host waits at {finding.site} ({finding.operator}): {finding.site.source}"
            )
    return Found()


def countable(trial: Trial) -> Found:
    """Shapes follow from shapes: it runs on tensors without values, and can be captured."""
    trial.prefilled(trial.model())  # what raises in any case is said as that
    if trial.counted().budget(trial.config()).flops is None:
        return Found("it asks for values: on tensors without any it does not run")
    return Found()


def repeated(trial: Trial) -> Found:
    """The same prompt gives the same tokens again."""
    model = trial.model()
    first = trial.prefilled(model)
    again = [trial.prefilled(each) for each in (model, model, trial.model())]
    if any(list(_kept(first)) != list(_kept(each)) for each in again):
        return Found(
            "it keeps other tokens at each call: draw by `seed`, not by chance, and keep nothing"
            " from one call to the next"
        )
    worst = max(apart(first.logits, each.logits) for each in again)
    return near(worst, "it answers otherwise at each call")


def half(trial: Trial) -> Found:
    """It runs in half precision, gives numbers, and ranks in float32."""
    for dtype in (torch.bfloat16, torch.float16):
        in_half, name = replace(trial, dtype=dtype), str(dtype).removeprefix("torch.")
        if not in_half.prefilled(in_half.model()).logits.isfinite().all():
            return Found(f"in {name} the answer is no number")
        if fault := shapes(in_half).fault:
            return Found(f"in {name}: {fault}")
    return Found()


PROMISES: Mapping[str, Callable[[Trial], Found]] = {
    "everything-kept-is-off": everything,
    "alone-as-in-a-batch": alone,
    "dropped-is-hidden": hidden,
    "cached-is-recomputed": cached,
    "tokens-a-layer": lengths,
    "shapes": shapes,
    "nothing-edited": untouched,
    "positions": positions,
    "waits": waits,
    "countable": countable,
    "repeatable": repeated,
    "half-precision": half,
}


def _kept(state: State) -> Iterator[list[int]]:
    """Of each sample: patches whose tokens the last layers see, in order."""
    trace = state.trace
    position, valid = trace.visual.position, trace.visual.valid
    if trace.kept is not None:
        position = position.gather(1, trace.kept.slot)
        valid = trace.kept.valid
    for places, there in zip(position.tolist(), valid.tolist(), strict=True):
        yield [place for place, is_there in zip(places, there, strict=True) if is_there]


def _scores(said: Tensor, present: Tensor) -> str:
    if said.shape != present.shape:
        return f"scores are {[*said.shape]}, and there are {[*present.shape]} slots"
    if said.dtype.itemsize < 4 or not said.dtype.is_floating_point:
        return f"scores are {said.dtype}: float32 or wider, or equal tokens are ranked by rounding"
    if said[present].isnan().any():
        return "scores are no numbers"
    return ""


def _choice(said: Choice, seen: Tensor, announced: int) -> str:
    slot, valid = said.slot, said.valid
    if slot.shape[1] != announced or valid.shape != slot.shape:
        return f"{slot.shape[1]} slots are handed on, and {announced} were announced"
    if said.features is not None and said.features.shape[:2] != slot.shape:
        return f"features are {[*said.features.shape]} of {[*slot.shape]} slots"
    for row, there in zip(slot.tolist(), valid.tolist(), strict=True):
        named = [place for place, is_there in zip(row, there, strict=True) if is_there]
        inside = all(0 <= place < seen.shape[1] for place in named)
        if named != sorted(set(named)) or not inside:
            return f"slots are {named[:8]} ...: each once, in rising order, of {seen.shape[1]}"
        if not all(there[: len(named)]):
            return "padding stands in front of a slot that stays: it belongs at the end"
    if (valid & ~seen.gather(1, slot.masked_fill(~valid, 0))).any():
        return "an empty slot is handed on as a token: leave out what is not `valid`"
    return ""


def _renumbered(spy: Spy) -> Iterator[tuple[int, int, int]]:
    """(sample, slot, other slot): what is handed on at `slot` is what stood at the other one."""
    said = spy.said[-1]
    if not isinstance(said, Choice) or said.features is None:
        return
    seen = spy.given[-1].visual.features
    same = (said.features[:, :, None] == seen[:, None]).all(dim=-1)  # [B, K, N]
    own = same.gather(2, said.slot[..., None])[..., 0]
    for row, place in (same.any(dim=2) & ~own & said.valid).nonzero().tolist():
        yield row, int(said.slot[row, place]), int(same[row, place].int().argmax())


def _made_of_others(spy: Spy) -> Iterator[tuple[int, int]]:
    """(sample, slot): if what stood at the slot is moved a little, what is handed on there stays
    as it is, bit for bit. What is handed on as it was is not looked at."""
    said, (seen,) = spy.said[-1], spy.given[-1:]
    if not isinstance(said, Choice) or said.features is None:
        return
    visual = seen.visual
    own = visual.features.gather(1, said.slot[..., None].expand_as(said.features))
    mixed = (said.features != own).any(dim=2) & said.valid  # [B, K]
    for at in mixed.any(dim=0).nonzero()[:, 0].tolist():
        slot = said.slot[:, at : at + 1, None]  # [B, 1, 1]
        factor = torch.ones_like(visual.features[..., :1]).scatter(1, slot, 1 + MOVED)
        moved = replace(visual, features=visual.features * factor)
        with torch.inference_mode():
            now = spy.stage.choose(replace(seen, visual=moved)).features
        if now is None:  # moved far enough for the stage to choose by another way
            continue
        same = (now[:, at] == said.features[:, at]).all(dim=1) & mixed[:, at]
        for row in same.nonzero()[:, 0].tolist():
            yield row, int(said.slot[row, at])
