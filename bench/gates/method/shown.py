"""What a method costs at LLaVA-1.5-7B's shape, and which patches it keeps of an image."""

from collections.abc import Iterator
from math import isqrt

import torch

from bench.arms.models import Answerer, load_checkpoint
from bench.arms.own import raised
from bench.arms.profiles import load_profile
from bench.arms.untrained import config_7b
from bench.base.errors import UserError
from bench.cost.budget import Counted
from bench.cost.spending import Budget
from bench.gates.method.trial import Factory
from bench.report.pictures import kept_patches
from bench.tasks import load_task
from hybrid import ConfigError, HybridConfig, Keep

TRIED = tuple(Keep.parse(text) for text in ("64", "0.5", "144"))  # papers' first, then what fits


def cost_of(arm: str, make: Factory, keep: Keep | None) -> tuple[dict[str, Budget], str]:
    """Dense and the method at LLaVA-1.5-7B's shape in half precision, and that in words.

    Raises:
        UserError: the method takes no such budget of 576 patches.
    """
    counted = Counted(config_7b(), torch.float16)
    refused = ""
    for each in TRIED if keep is None else (keep,):
        try:
            budget = counted.budget(HybridConfig(method=(make(each),)))
        except ConfigError as error:
            refused = str(error)
            continue
        budgets = {"dense": counted.budget(None), arm: budget}
        return budgets, f"at LLaVA-1.5-7B's shape, keep {each}; counted, not timed"
    raise UserError(f"{arm} at LLaVA-1.5-7B's 576 patches: {refused}")


def picture_of(arm: str, make: Factory, keep: Keep | None) -> Iterator[str]:
    """Lines: the patches of the embedded model's first image, those in a token that stays marked.

    Nothing but a line where the method takes no such budget of 144 patches.
    """
    profile = load_profile("tiny")
    checkpoint = load_checkpoint(profile)
    sample = load_task(profile.prompts).samples[0]
    budgets = (Keep(count=18), *TRIED) if keep is None else (keep,)
    for each in budgets:
        try:
            answerer = Answerer(checkpoint, HybridConfig(method=(make(each),)))
            model = answerer.hybrid
            assert model is not None
            inputs = answerer.encode([sample.prompt], [sample.image()])
            kept = kept_patches(model.prefill(model.place(**inputs), 1).trace, 0)
        except ConfigError as error:
            refused = str(error)
            continue
        except BaseException as error:
            yield f"no picture: {raised(arm, error, f'keeping {each}')}"
            return
        side = isqrt(len(kept.owner))
        yield ""
        yield f"of the embedded model's first image, keep {each}: {kept.caption()}"
        for row in kept.kept.reshape(side, side):
            yield "  " + " ".join("#" if there else "·" for there in row)
        return
    yield f"no picture: of the embedded model's 144 patches {refused}"
