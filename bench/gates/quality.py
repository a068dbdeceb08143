"""The accuracy gate of a profile: run dense and one arm on both data sets, then judge the pairs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.comparison.flips import near_ties
from bench.comparison.recorded import cut
from bench.comparison.same import demand_comparable, demand_same_model
from bench.comparison.side import Side, load_side
from bench.errors import UserError
from bench.gates.accuracy import accuracy_gate, floor_on, recorded_gate
from bench.gates.captions import caption_gate, paired_gate
from bench.models import Checkpoint, load_checkpoint
from bench.profiles import Profile
from bench.runs.evaluate import Options, evaluate, open_task
from bench.subsets import load_subset
from bench.tasks import DEFAULT_PROMPT, Task, comparable
from bench.tasks.task import NOT_RECORDED, Kind
from bench.verdict import Verdict
from hybrid import Keep

KINDS: tuple[Kind, Kind] = ("mmbench", "coco")
Judged = tuple[Kind, str]  # kind of data, and arm


def quality_gate(
    profile: Profile,
    arm: str,
    keep: Keep,
    options: Options,
    *,
    reproduce: str,
    caption_prompt: str = DEFAULT_PROMPT,
    against: Path | None = None,
) -> list[Verdict]:
    """Verdicts on MMBench (circular accuracy) and COCO (CIDEr).

    caption_prompt: what COCO is asked; `options.prompt` is what MMBench is.
    against: a folder with one finished run for each data set, of the same weights and recipe, in
        place of the dense run of this job.

    Raises UserError for anything that keeps one of the four runs from being finished, and for a
    baseline of other data, prompts, matcher, samples or weights.
    """
    asked = asked_of(profile, options, caption_prompt)
    names = (profile.data.mmbench, profile.data.coco)
    tasks = [open_task(data, each) for data, each in zip(names, asked, strict=True)]
    baselines = [None if against is None else _baseline(against, task) for task in tasks]
    recorded = _recorded(profile, arm, dict(zip(KINDS, asked, strict=True)))
    checkpoint = load_checkpoint(profile)
    (mmbench, before), (coco, coco_before) = (
        _sides(checkpoint, profile, arm, keep, task, each, baseline)
        for task, each, baseline in zip(tasks, asked, baselines, strict=True)
    )
    floor = profile.mmbench.floor
    fewer = options.limit is not None or profile.data.mmbench_subset is not None
    if fewer and ("mmbench", "hybrid") in recorded:
        there, _ = cut(recorded["mmbench", "hybrid"], mmbench)
        floor = floor_on(there.hits, mmbench.hits)
    of_mmbench: dict[Judged, Side] = {("mmbench", arm): mmbench}
    if against is None:
        of_mmbench["mmbench", "dense"] = before
    return [
        *accuracy_gate(
            hits=mmbench.hits,
            reference_hits=before.hits,
            margin=profile.mmbench.margin_of(profile.data.mmbench_subset),
            floor=floor,
            reproduce=reproduce,
            reference=_said(before, against),
            gate=tasks[0].name,
            categories=mmbench.categories,
            near_ties=near_ties(before, mmbench),
        ),
        *_against_recorded(profile, recorded, of_mmbench, reproduce),
        *caption_gate(
            per_image_cider=coco.values,
            reference_per_image=coco_before.values,
            margin=profile.coco.margin_of(profile.data.coco_subset),
            floor=profile.coco.floor,
            reproduce=reproduce,
            reference=_said(coco_before, against),
            gate=tasks[1].name,
        ),
        *_against_recorded(profile, recorded, {("coco", arm): coco}, reproduce),
    ]


def _recorded(profile: Profile, arm: str, asked: Mapping[Kind, Options]) -> dict[Judged, Side]:
    """The recorded runs that the profile names and this job looks at.

    Whatever the arm, the floor on fewer questions is the hybrid's.

    Raises UserError for one that was asked or read in another way; before any model is loaded.
    """
    named: dict[Judged, str | None] = {
        ("mmbench", "hybrid"): profile.mmbench.reference,
        ("mmbench", "dense"): profile.mmbench.dense_reference,
        ("coco", "hybrid"): profile.coco.reference if arm == "hybrid" else None,
    }
    found = {of: load_side(name) for of, name in named.items() if name is not None}
    for (kind, _), side in found.items():
        if side.kind != kind:
            raise UserError(
                f"profile {profile.name}: {side.source} is of {side.kind}, not of {kind}"
            )
        options = asked[kind]
        for key, here in (("prompt", options.prompt), ("matcher", options.matcher)):
            there = side.recipe.get(key, NOT_RECORDED)
            if there not in (NOT_RECORDED, here):
                raise UserError(
                    f"profile {profile.name} is paired with {side.source}, whose {key} is {there}"
                    f" and not {here}: leave the option out, or take a profile without references"
                )
    return found


def _against_recorded(
    profile: Profile,
    recorded: Mapping[Judged, Side],
    sides: Mapping[Judged, Side],
    reproduce: str,
) -> list[Verdict]:
    """Each side with its recorded run, of those that the profile names."""
    verdicts = []
    for (kind, arm), side in sides.items():
        if (kind, arm) not in recorded:
            continue
        reference, _ = cut(recorded[kind, arm], side)
        demand_comparable(reference, side)
        told = {
            "reproduce": reproduce,
            "reference": reference.source,
            "gate": f"{side.data}/{arm}/against-recorded",
        }
        if kind == "coco":
            verdict = paired_gate(
                per_image_cider=side.values,
                reference_per_image=reference.values,
                margin=profile.coco.recorded_margin,
                **told,
            )
        else:
            verdict = recorded_gate(
                hits=side.hits,
                recorded_hits=reference.hits,
                margin=profile.mmbench.recorded_margin,
                **told,
            )
        verdicts.append(verdict)
    return verdicts


def asked_of(
    profile: Profile, options: Options, caption_prompt: str = DEFAULT_PROMPT
) -> tuple[Options, Options]:
    """What MMBench and COCO are asked: the profile's subsets.

    Raises UserError for a subset that is none.
    """
    data = profile.data
    questions, images = (
        None if name is None else load_subset(name)
        for name in (data.mmbench_subset, data.coco_subset)
    )
    return (
        replace(options, subset=questions),
        replace(options, subset=images, prompt=caption_prompt),
    )


def _sides(
    checkpoint: Checkpoint,
    profile: Profile,
    arm: str,
    keep: Keep,
    task: Task,
    options: Options,
    baseline: Side | None,
) -> tuple[Side, Side]:
    """The run of `arm` and what it is judged against."""
    folder, score = evaluate(checkpoint, profile, arm, keep, task, options)
    if baseline is None:
        dense, dense_score = evaluate(checkpoint, profile, "dense", keep, task, options)
        comparable(score, dense_score)
        baseline = load_side(str(dense))
    side = load_side(str(folder))
    demand_comparable(baseline, side)
    demand_same_model(baseline, side)
    return side, baseline


def _baseline(against: Path, task: Task) -> Side:
    """The finished run on this data in the user's folder; looked at before any model is run."""
    folder = against / task.name
    if not folder.is_dir():
        raise UserError(
            f"{against} holds no run on {task.name}: give a folder as WORK_DIR/{against.name} that"
            " python -m bench run filled with a run for each data set"
        )
    return load_side(str(folder))


def _said(side: Side, against: Path | None) -> str:
    return "dense" if against is None else side.name
