"""The accuracy gate of a profile: run dense and one arm on both data sets, then judge the pairs."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.arms.models import Answerer, Checkpoint, load_checkpoint
from bench.arms.profiles import Profile, QualityGate
from bench.base.errors import UserError
from bench.base.verdict import Verdict
from bench.evaluation.comparison.flips import near_ties
from bench.evaluation.comparison.recorded import cut
from bench.evaluation.comparison.same import demand_comparable, demand_same_model
from bench.evaluation.comparison.side import Side, load_side, run_side
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.runs.lock import locked
from bench.gates.accuracy import accuracy_gate, floor_on, recorded_gate
from bench.gates.captions import caption_gate, paired_gate
from bench.tasks import DEFAULT_PROMPT, Task, comparable
from bench.tasks.prompts import recorded_as
from bench.tasks.subsets import load_subset
from bench.tasks.task import NOT_RECORDED, Kind
from hybrid import Keep

Judged = tuple[Kind, str]  # kind of data, and arm


def quality_gate(
    profile: Profile,
    arm: str,
    keep: Keep,
    options: Options,
    *,
    reproduce: str,
    held: ExitStack,
    caption_prompt: str = DEFAULT_PROMPT,
    against: Path | None = None,
) -> list[Verdict]:
    """Verdicts on MMBench (circular accuracy) and COCO (CIDEr), of those that the profile judges.

    held: keeps the runs' folders this job's own, until its owner has read all that it wants.
    caption_prompt: what COCO is asked; `options.prompt` is what MMBench is.
    against: a folder with one finished run for each data set, of the same weights and recipe, in
        place of the dense run of this job.

    Raises UserError for anything that keeps one of the four runs from being finished, and for a
    baseline of other data, prompts, matcher, samples or weights.
    """
    asked = asked_of(profile, options, caption_prompt)
    tasks = {kind: open_task(profile.data_of(kind), each) for kind, each in asked.items()}
    for each in [arm] if against else [arm, "dense"]:
        for task in tasks.values():
            held.enter_context(locked(Job(profile, each, keep, task, options).folder))
    baselines = {
        kind: None if against is None else _baseline(against, task) for kind, task in tasks.items()
    }
    recorded = _recorded(profile, arm, asked)
    checkpoint = load_checkpoint(profile)
    Answerer(checkpoint, None).sizes.demand(tasks.values())
    verdicts: list[Verdict] = []
    for kind, task in tasks.items():
        job = Job(profile, arm, keep, task, asked[kind])
        side, before = _sides(checkpoint, job, baselines[kind])
        told = {
            "reproduce": reproduce,
            "reference": _said(before, against),
            "gate": task.name,
        }
        sides: dict[Judged, Side] = {(kind, arm): side}
        if kind == "mmbench" and against is None:
            sides["mmbench", "dense"] = before
        judge = _questions if kind == "mmbench" else _captions
        verdicts += judge(profile, options, recorded, before, side, told)
        verdicts += _against_recorded(profile, recorded, sides, reproduce)
    return verdicts


def _questions(
    profile: Profile,
    options: Options,
    recorded: Mapping[Judged, Side],
    before: Side,
    side: Side,
    told: Mapping[str, str],
) -> list[Verdict]:
    gate = profile.mmbench
    assert gate is not None
    floor = gate.floor
    fewer = options.limit is not None or profile.data.mmbench_subset is not None
    if fewer and ("mmbench", "hybrid") in recorded:
        there, _ = cut(recorded["mmbench", "hybrid"], side)
        floor = floor_on(there.hits, side.hits)
    return accuracy_gate(
        hits=side.hits,
        reference_hits=before.hits,
        margin=gate.margin_of(profile.data.mmbench_subset),
        floor=floor,
        categories=side.categories,
        near_ties=near_ties(before, side),
        **told,
    )


def _captions(
    profile: Profile,
    options: Options,
    recorded: Mapping[Judged, Side],
    before: Side,
    side: Side,
    told: Mapping[str, str],
) -> list[Verdict]:
    gate = profile.coco
    assert gate is not None
    return caption_gate(
        per_image_cider=side.values,
        reference_per_image=before.values,
        margin=gate.margin_of(profile.data.coco_subset),
        floor=gate.floor,
        **told,
    )


def _recorded(profile: Profile, arm: str, asked: Mapping[Kind, Options]) -> dict[Judged, Side]:
    """The recorded runs that the profile names and this job looks at.

    Whatever the arm, the floor on fewer questions is the hybrid's.

    Raises UserError for one that was asked or read in another way; before any model is loaded.
    """
    named: dict[Judged, str | None] = {}
    if profile.mmbench is not None:
        named["mmbench", "hybrid"] = profile.mmbench.reference
        named["mmbench", "dense"] = profile.mmbench.dense_reference
    if profile.coco is not None and arm == "hybrid":
        named["coco", "hybrid"] = profile.coco.reference
    found = {of: load_side(name) for of, name in named.items() if name is not None}
    for (kind, _), side in found.items():
        if side.kind != kind:
            raise UserError(
                f"profile {profile.name}: {side.source} is of {side.kind}, not of {kind}"
            )
        options = asked[kind]
        asked_as = recorded_as(options.prompt, options.chat)
        for key, here in (("prompt", asked_as), ("matcher", options.matcher)):
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
                margin=_gate_of(profile, kind).recorded_margin,
                **told,
            )
        else:
            verdict = recorded_gate(
                hits=side.hits,
                recorded_hits=reference.hits,
                margin=_gate_of(profile, kind).recorded_margin,
                **told,
            )
        verdicts.append(verdict)
    return verdicts


def _gate_of(profile: Profile, kind: Kind) -> QualityGate:
    gate = profile.mmbench if kind == "mmbench" else profile.coco
    assert gate is not None  # only what is judged is paired
    return gate


def asked_of(
    profile: Profile, options: Options, caption_prompt: str = DEFAULT_PROMPT
) -> dict[Kind, Options]:
    """What each kind of data that the profile judges is asked: the profile's subsets.

    Raises UserError for a subset that is none, and for a profile that judges nothing.
    """
    data = profile.data
    subsets: dict[Kind, str | None] = {"mmbench": data.mmbench_subset, "coco": data.coco_subset}
    prompts: dict[Kind, str] = {"mmbench": options.prompt, "coco": caption_prompt}
    return {
        kind: replace(
            options,
            subset=None if (name := subsets[kind]) is None else load_subset(name),
            prompt=prompts[kind],
        )
        for kind in profile.judged
    }


def _sides(checkpoint: Checkpoint, job: Job, baseline: Side | None) -> tuple[Side, Side]:
    """The run and what it is judged against."""
    folder, score = evaluate(checkpoint, job)
    if baseline is None:
        dense, dense_score = evaluate(checkpoint, replace(job, arm="dense"))
        comparable(score, dense_score)
        baseline = run_side(dense, job.task)
    side = run_side(folder, job.task)
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
    return run_side(folder, task)


def _said(side: Side, against: Path | None) -> str:
    return "dense" if against is None else side.name
