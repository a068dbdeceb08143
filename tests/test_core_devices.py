"""The pure tensor functions stay on their inputs' device, and ask for the sort they need."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from hybrid.masks import additive, causal_mask, log_size_bias
from hybrid.merging import Tokens, in_raster_order, merge
from hybrid.pruning import (
    keep_top,
    kept_index,
    last_row_scores,
    random_scores,
)
from hybrid.rope import consecutive_position_ids, layout, spots_of, unmerging


class Devices(TorchFunctionMode):
    """Collects the device of every tensor that a call in its scope returns."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.device] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self.seen |= {t.device for t in tree_leaves(result) if isinstance(t, Tensor)}
        return result


def test_everything_is_made_on_the_device_of_what_it_is_made_from() -> None:
    """On `meta` few operators refuse an index that was made on the CPU: so each is looked at."""
    with Devices() as devices:
        made = all_pure_functions(torch.device("meta"))
    assert {tensor.device for tensor in made} | devices.seen == {torch.device("meta")}


def all_pure_functions(meta: torch.device) -> list[Tensor]:
    """Everything they return."""
    made: list[Tensor] = []
    tokens = Tokens.unmerged(torch.zeros(2, 7, 3, device=meta))
    after = merge(tokens, torch.zeros(2, 7, 2, device=meta), 0.5, 4)
    visual = in_raster_order(after, 5)
    results = (tokens, after, visual)  # nobody asked them to count forced merges: that is None
    made += [value for value in tree_leaves([vars(r) for r in results]) if value is not None]
    is_image = torch.zeros(2, 9, dtype=torch.bool, device=meta)
    places = layout(spots_of(is_image, 6), visual.position)
    virtual = unmerging(places, is_image, visual.owner, 5, torch.float32)
    valid = torch.zeros(2, 8, dtype=torch.bool, device=meta)
    scores = last_row_scores(
        torch.zeros(2, 4, 1, 2, device=meta), torch.zeros(2, 2, 8, 2, device=meta), valid, 1.0
    )
    counts = torch.zeros(9, dtype=torch.long, device=meta)
    kept = keep_top(scores, valid, counts, 3)
    made += [*places, *virtual, scores, *kept, *kept_index(kept, places.place, 8)]
    made += [causal_mask(valid), consecutive_position_ids(valid)]
    made += [
        additive(valid[:, None, None], torch.float16),
        log_size_bias(valid.float(), torch.float16),
    ]
    return [*made, random_scores(visual.position, places.first)]


class UnstableSort(TorchFunctionMode):
    """A device whose sort turns equal elements around, unless a stable one is asked for."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.Tensor.argsort or kwargs.get("stable"):
            return func(*args, **kwargs)
        given, last = args[0], args[0].shape[-1] - 1
        return last - given.flip(-1).argsort(
            dim=-1, descending=kwargs.get("descending", False), stable=True
        )


def test_an_unstable_sort_is_what_it_says() -> None:
    with UnstableSort():
        assert torch.zeros(1, 3).argsort(dim=1).tolist() == [[2, 1, 0]]
        assert torch.zeros(1, 3).argsort(dim=1, stable=True).tolist() == [[0, 1, 2]]


def test_ties_go_to_the_lower_place_on_a_device_whose_sort_is_not_stable() -> None:
    metric = torch.tensor([[1.0, 0.0]]).expand(1, 9, 2)  # all alike: any even token could go first
    tokens = Tokens.unmerged(torch.arange(9.0)[None, :, None])
    scores, valid = torch.zeros(1, 6), torch.ones(1, 6, dtype=torch.bool)
    counts = torch.full((7,), 2)
    with UnstableSort():
        after = merge(tokens, metric, float("inf"), 7)
        kept = keep_top(scores, valid, counts, 2)
    assert after.owner.tolist() == [[3, 3, 4, 3, 5, 1, 6, 2]]
    assert kept.slot.tolist() == [[0, 1]]
