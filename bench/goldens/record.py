"""Where each patch of an image went, as text that eyes can compare.

A record is three grids and a few rows of numbers:

- `owner`: the representative (lowest patch) of the token that each patch was merged into, `.` where
  that was not handed to the language model;
- `position_ids before pruning`: what that token's RoPE position is up to the aggregation layer;
- `position_ids after pruning`: the same behind it, `.` where the token was pruned; of a method that
  prunes more than once, `position_ids from layer 2` and so on;
- `text`: position ids of the text tokens and of the first decoded ones, per run of layers.

Of a model with several axes each grid of positions, and each row, is there once an axis.
"""

import hashlib
from dataclasses import dataclass, replace
from math import isqrt

import torch
from torch import Tensor

from hybrid import HybridLlava
from hybrid.inputs import Inputs
from hybrid.state import State

PRUNED = -1
AXES = ("time", "height", "width")  # of models with several


@dataclass(frozen=True)
class Record:
    """One sample: grids [P] of ints, and named rows of ints.

    wide: columns of a grid that is no square, else 0.
    """

    grids: dict[str, list[int]]
    rows: dict[str, list[int]]
    wide: int = 0

    @property
    def columns(self) -> int:
        """Of each grid."""
        return self.wide or isqrt(len(next(iter(self.grids.values()), [])))

    def to_text(self) -> str:
        """The grids and rows, one below the other."""
        parts = []
        for name, cells in self.grids.items():
            shown = [f"{'.' if c == PRUNED else str(c):>4}" for c in cells]
            wide = self.columns
            lines = ["".join(shown[i : i + wide]) for i in range(0, len(shown), wide)]
            parts.append("\n".join([f"[{name}]", *lines]))
        rows = [f"{name}: {' '.join(map(str, row))}" for name, row in self.rows.items()]
        return "\n".join([*parts, "[text]", *rows])

    @classmethod
    def from_text(cls, text: str) -> "Record":
        """The record that `to_text` wrote.

        Raises:
            ValueError: for anything else.
        """
        grids: dict[str, list[int]] = {}
        rows: dict[str, list[int]] = {}
        name, wide = "", 0
        for line in text.splitlines():
            if line.startswith("["):
                name = line.strip("[]")
            elif name == "text":
                key, _, numbers = line.partition(": ")
                rows[key] = [int(n) for n in numbers.split()]
            else:
                cells = [PRUNED if c == "." else int(c) for c in line.split()]
                grids.setdefault(name, []).extend(cells)
                wide = len(cells)
        square = all(len(cells) == wide**2 for cells in grids.values())
        return cls(grids, rows, 0 if square else wide)


def records_to_text(records: list[Record]) -> str:
    """A whole golden file: samples one after the other."""
    return "".join(f"sample {i}\n{r.to_text()}\n\n" for i, r in enumerate(records))


def records_from_text(text: str) -> list[Record]:
    """What `records_to_text` wrote."""
    samples = text.split("sample ")[1:]
    return [Record.from_text(sample.partition("\n")[2].strip()) for sample in samples]


def fingerprint(model: HybridLlava, inputs: Inputs) -> str:
    """sha256 of all that a record depends on but the code: weights, inputs and config."""
    digest = hashlib.sha256(repr(model.config).encode())
    weights = model.llava.state_dict()
    tensors = [weights[name] for name in sorted(weights)]
    for tensor in (*tensors, inputs.input_ids, inputs.pixel_values, inputs.attention_mask):
        digest.update(tensor.contiguous().numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"


def record(model: HybridLlava, inputs: Inputs, decode_steps: int) -> list[Record]:
    """Prefill and decode a few steps, and write down where everything is."""
    state = model.prefill(inputs, decode_steps)
    positions: list[Tensor] = []
    for _ in range(decode_steps):
        positions.append(torch.stack([s.next_position + state.step for s in state.spans]))
        model.select(state)
        model.decode(state)
    decoded = torch.stack(positions, dim=-1)  # [spans, B, steps], or [spans, A, B, steps]
    virtual = model.config.rope == "virtual"
    records = []
    for sample in range(inputs.batch):
        of_axes = [
            _record_of(_along(state, axis), inputs, decoded[:, axis], sample, virtual, name)
            for axis, name in enumerate(AXES)
            if decoded.ndim == 4
        ] or [_record_of(state, inputs, decoded, sample, virtual)]
        grids = {name: grid for each in of_axes for name, grid in each.grids.items()}
        rows = {name: row for each in of_axes for name, row in each.rows.items()}
        records.append(Record(grids, rows, _columns(inputs, sample)))
    return records


def _along(state: State, axis: int) -> State:
    """With the positions of one axis only."""
    trace = state.trace
    cuts = tuple(replace(cut, position_ids=cut.position_ids[axis]) for cut in trace.cuts)
    return replace(state, trace=replace(trace, position_ids=trace.position_ids[axis], cuts=cuts))


def _columns(inputs: Inputs, sample: int) -> int:
    """Of the sample's image, if it is no square."""
    if inputs.images is None:
        return 0
    cells = inputs.images.cell[sample].amax(dim=0) + 1
    high, wide = cells.tolist()
    return 0 if high == wide else int(wide)


def _record_of(
    state: State, inputs: Inputs, decoded: Tensor, sample: int, virtual: bool, axis: str = ""
) -> Record:
    """axis: of the positions that the names say."""
    position_ids = f"{axis or 'position_ids'} "
    trace = state.trace
    visual, places = trace.visual, trace.layout
    owner = visual.owner[sample]  # [P] slots; one past the last where a patch is in none
    slots = visual.valid.shape[1]
    first = int(places.first[sample])

    def by_patch(of_slots: Tensor) -> list[int]:
        return torch.cat([of_slots, torch.tensor([PRUNED])])[owner].tolist()

    grids = {"owner": by_patch(visual.position[sample])}
    if virtual:  # attention sees every patch at its own place
        slots = owner.shape[0]
        before = trace.position_ids[sample, first : first + slots].tolist()
    else:
        before = by_patch(trace.position_ids[sample, first : first + slots])
    grids[f"{position_ids}before pruning"] = before
    text = trace.position_ids[sample][_text_of(inputs, sample, first, slots)]
    of = f" {axis}" if axis else ""
    rows = {f"text{of} before pruning": text.tolist(), f"decode{of}": decoded[0, sample].tolist()}

    for cut in range(1, len(trace.cuts) + 1):
        here = replace(trace, cuts=trace.cuts[:cut])
        assert here.kept is not None
        when = "after pruning" if len(trace.cuts) == 1 else f"from layer {_begin(state, cut)}"
        after = torch.full((slots,), PRUNED)
        slot, valid = here.kept.slot[sample], here.kept.valid[sample]
        # In mask mode the sequence keeps its length; what was kept stands where it stood.
        budget = slot.shape[0] if trace.dropped else slots
        at = torch.arange(slot.shape[0]) if trace.dropped else slot
        short = here.pruned_position_ids[sample]
        after[slot[valid]] = short[first : first + budget][at[valid]]
        grids[f"{position_ids}{when}"] = by_patch(after)
        rows[f"text{of} {when}"] = short[_text_of(inputs, sample, first, budget)].tolist()
        rows[f"decode{of} {when}"] = decoded[cut, sample].tolist()
    return Record(grids, rows)


def _begin(state: State, span: int) -> int:
    return state.spans[span].layers.start


def _text_of(inputs: Inputs, sample: int, first: int, visual: int) -> list[int]:
    """Indices of the text tokens in a sequence with `visual` tokens for the image; no padding."""
    text_after = (
        inputs.input_ids.shape[1]
        - first
        - int((inputs.input_ids[sample] == inputs.input_ids[sample, first]).sum())
    )
    padding = int((inputs.attention_mask[sample] == 0).sum())
    behind = first + visual
    return [*range(padding, first), *range(behind, behind + text_after)]
