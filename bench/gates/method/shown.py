"""What a method costs at LLaVA-1.5-7B's shape, and which patches it keeps of an image."""

from collections.abc import Iterator, Sequence

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


def cost_of(arm: str, make: Factory, keeps: Sequence[Keep]) -> tuple[dict[str, Budget], str]:
    """Dense and the method at LLaVA-1.5-7B's shape in half precision, and that in words.

    Args:
        arm: name of the method; with several budgets each has its own behind it.
        make: of a budget.
        keeps: each is counted; if there are none, the first of `TRIED` that the method takes.

    Raises:
        UserError: the method takes no such budget of 576 patches.
    """
    counted = Counted(config_7b(), torch.float16)
    found: dict[Keep, Budget] = {}
    for each in keeps or TRIED:
        try:
            found[each] = counted.budget(HybridConfig(method=(make(each),)))
        except ConfigError as error:
            if keeps or each == TRIED[-1]:
                raise UserError(f"{arm} at LLaVA-1.5-7B's 576 patches: {error}") from error
        if found and not keeps:
            break
    named = {arm if len(found) == 1 else f"{arm} {keep}": each for keep, each in found.items()}
    said = f"at LLaVA-1.5-7B's shape, keep {', '.join(map(str, found))}; counted, not timed"
    return {"dense": counted.budget(None), **named}, said


def pictures_of(arm: str, make: Factory, keeps: Sequence[Keep]) -> Iterator[str]:
    """Lines: the patches of the embedded model's first image, those in a token that stays marked.

    At each of `keeps`, or at the first of some that the method takes. Nothing but a line where it
    takes no such budget of 144 patches.
    """
    for tried in [[keep] for keep in keeps] or [[Keep(count=18), *TRIED]]:
        yield from _picture(arm, make, tried)


def _picture(arm: str, make: Factory, keeps: Sequence[Keep]) -> Iterator[str]:
    profile = load_profile("tiny")
    checkpoint = load_checkpoint(profile)
    sample = load_task(profile.prompts, chat=profile.model.chat).samples[0]
    for each in keeps:
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
        yield ""
        yield f"of the embedded model's first image, keep {each}: {kept.caption()}"
        for row in kept.kept.reshape(kept.grid):
            yield "  " + " ".join("#" if there else "·" for there in row)
        return
    yield f"no picture: of the embedded model's 144 patches {refused}"
