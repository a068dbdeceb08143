"""The accuracy gate of a profile: run dense and one arm on both data sets, then judge the pairs."""

from bench.evaluate import Options, evaluate, open_task
from bench.gates.accuracy import accuracy_gate
from bench.gates.captions import caption_gate
from bench.models import load_checkpoint
from bench.profiles import Profile
from bench.tasks import comparable
from bench.verdict import Verdict
from hybrid import Keep


def quality_gate(
    profile: Profile, arm: str, keep: Keep, options: Options, *, reproduce: str
) -> list[Verdict]:
    """Verdicts on MMBench (circular accuracy) and COCO (CIDEr).

    Raises UserError for anything that keeps one of the four runs from being finished.
    """
    tasks = [open_task(data, options) for data in (profile.data.mmbench, profile.data.coco)]
    checkpoint = load_checkpoint(profile)
    mmbench, coco = (
        [evaluate(checkpoint, profile, a, keep, task, options)[1] for a in (arm, "dense")]
        for task in tasks
    )
    for pair in (mmbench, coco):
        comparable(*pair)
    return [
        *accuracy_gate(
            hits=mmbench[0].hits,
            reference_hits=mmbench[1].hits,
            margin=profile.mmbench.margin,
            floor=profile.mmbench.floor,
            reproduce=reproduce,
            gate=tasks[0].name,
        ),
        *caption_gate(
            per_image_cider=coco[0].values,
            reference_per_image=coco[1].values,
            margin=profile.coco.margin,
            floor=profile.coco.floor,
            reproduce=reproduce,
            gate=tasks[1].name,
        ),
    ]
