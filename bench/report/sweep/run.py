"""Runs a sweep: every reduction answers the same questions, and all are timed in one job."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn

from bench.arms.families import LLAVA, kind_of
from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint
from bench.arms.own import own_of, told
from bench.arms.profiles import Profile
from bench.base.checkout import git
from bench.base.errors import UserError
from bench.base.progress import progress
from bench.base.tables import print_line
from bench.cost.budget import Counted
from bench.cost.spending import Budget
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.statistics.bootstrap import bootstrap_interval
from bench.evaluation.statistics.matching import matched_ids
from bench.evaluation.statistics.paired import Pairs, difference_interval, wilson_interval
from bench.report.sweep.averages import within
from bench.report.sweep.grid import CHANCE, PLAIN, SMALLER, Asked, Cell
from bench.report.sweep.result import FILE, Beside, Point, Sweep
from bench.tasks import Score, load_task
from bench.timing.arms import answer_arm
from bench.timing.clock import clock_for
from bench.timing.interleave import Arm, measure
from bench.timing.ratio import Ratio, paired_ratio
from bench.timing.samples import Samples
from hybrid import Keep

SAMPLES_FILE = "latency.json"
CONFIDENCE = 0.99
DENSE = "dense"
STAGE = "answer"


@dataclass(frozen=True)
class Timed:
    """How latency is measured: so many blocks of all arms, at this batch size."""

    batch: int
    blocks: int


def run_sweep(
    profile: Profile, asked: Asked, options: Options, timed: Timed, *, captions: bool
) -> Sweep:
    """Answers, scores and times dense and every cell; writes `sweep.json` into the work dir.

    Runs lie in folders of their own below it, and so do raw timings. With `options.reuse`, what
    is finished there is not done again.

    Raises UserError for anything that keeps a run from being finished, for timings of another grid
    or machine, and for a family whose images have no one number of tokens.
    """
    checkpoint = load_checkpoint(profile)
    kind = kind_of(checkpoint.llava.config)
    if kind.model_type != LLAVA:
        raise UserError(
            f"sweep draws over budgets, and how many tokens an image of {kind.name} has depends on"
            " its size: ask each method by itself, with `run` and `latency`"
        )
    counted = Counted(checkpoint.llava.config, checkpoint.llava.dtype, profile.data)
    tasks = [profile.data_of("mmbench"), *([profile.data_of("coco")] if captions else [])]
    opened = [open_task(data, options) for data in tasks]
    Answerer(checkpoint, None).sizes.demand(opened)
    # Before anything is answered: a budget that a method cannot meet is refused here.
    cells, said = chosen_cells(asked, counted, profile)
    plain = {cell.name: plain_cells(cell, average(counted, profile, cell)) for cell in cells}
    cells = list(dict.fromkeys([*cells, *(each for beside in plain.values() for each in beside)]))
    runs = [(DENSE, DENSE, Keep()), *((cell.name, cell.arm, cell.keep) for cell in cells)]
    answerers = {name: Answerer(checkpoint, arm_config(arm, profile, k)) for name, arm, k in runs}
    scores: dict[str, list[Score]] = {}
    for number, (name, arm, keep) in enumerate(runs, start=1):
        print_line(Console(stderr=True), f"{number} of {len(runs)}: {name}")
        chosen = replace(options, work_dir=options.work_dir / name)
        scores[name] = [
            evaluate(checkpoint, Job(profile, arm, keep, task, chosen))[1] for task in opened
        ]
    arms = {name: arm for name, arm, _ in runs}
    ratios = _ratios(profile, checkpoint, answerers, options, timed, arms)
    budgets = {name: counted.budget(arm_config(arm, profile, keep)) for name, arm, keep in runs}
    points = []
    if asked.methods:
        cells.sort(key=lambda cell: -budgets[cell.name].average)
    for cell in cells:
        beside = {each.method: _beside(cell, each, scores) for each in plain.get(cell.name, ())}
        points.append(
            _point(
                scores[cell.name],
                scores[DENSE],
                budgets[cell.name],
                ratios[cell.name],
                keep=str(cell.keep),
                merge=cell.merge,
                method=cell.method,
                chance=beside.get(CHANCE),
                smaller=beside.get(SMALLER),
            )
        )
    own = scores[DENSE]
    dense = _point(own, own, budgets[DENSE], None, keep="none", merge=False, dense=True)
    sweep = Sweep(
        profile=profile.name,
        commit=git("rev-parse", "HEAD"),
        questions=len(scores[DENSE][0].values),
        images=len(scores[DENSE][1].values) if captions else 0,
        batch=timed.batch,
        points=[dense, *points],
        said=[*said, *not_better(points)],
    )
    sweep.save(options.work_dir / FILE)
    return sweep


def chosen_cells(asked: Asked, counted: Counted, profile: Profile) -> tuple[list[Cell], list[str]]:
    """The cells, and what could not be had, in words.

    Raises UserError if there is none.
    """
    cells, least = list(asked.cells), dict[str, float]()
    cells += [Cell(keep, False, name) for keep in asked.keeps for name in asked.methods]
    for wanted in asked.averages:
        for name in asked.methods:
            found = within(counted, profile, name, wanted)
            if isinstance(found, Keep):
                cells.append(Cell(found, False, name))
            else:
                least[name] = found
    if not cells:
        raise UserError(f"nothing to sweep: {_unreachable(least)}")
    return cells, [_unreachable(least)] if least else []


def _unreachable(least: Mapping[str, float]) -> str:
    each = ", ".join(f"{name} {tokens:.1f}" for name, tokens in least.items())
    return f"not at every average, since their least is, in tokens a layer: {each}"


def average(counted: Counted, profile: Profile, cell: Cell) -> float:
    """Visual tokens that a layer of the language model gets."""
    return fmean(counted.slots(arm_config(cell.arm, profile, cell.keep)))


def plain_cells(cell: Cell, average: float) -> list[Cell]:
    """What a method has to beat: as many tokens a layer by chance, and of a smaller image.

    The first are never more than the method's, the others as near as a square number is.
    """
    if not cell.method or cell.method in PLAIN:
        return []
    side = max(1, round(average**0.5))
    counts = {CHANCE: max(1, int(average)), SMALLER: side * side}
    return [Cell(Keep(count=counts[name]), False, name) for name in PLAIN]


def not_better(points: Sequence[Point]) -> list[str]:
    """For each plain way to as many tokens: which methods are not shown to be better, in words."""
    lines = []
    for name, words in PLAIN.items():
        beside = {
            f"{p.method} at {p.keep}": p.chance if name == CHANCE else p.smaller for p in points
        }
        judged = {method: found for method, found in beside.items() if found is not None}
        behind = [method for method, found in judged.items() if not found.is_beaten]
        if judged:
            which = ", ".join(behind) or "none"
            lines.append(f"not shown to be better than {words} ({name}): {which}")
    return lines


def _beside(cell: Cell, plain: Cell, scores: Mapping[str, Sequence[Score]]) -> Beside:
    pairs = _pairs(scores[cell.name][0], scores[plain.name][0])
    low, high = difference_interval(pairs)
    return Beside(
        keep=str(plain.keep), difference=pairs.delta, difference_low=low, difference_high=high
    )


def _pairs(after: Score, before: Score) -> Pairs:
    hits, reference = after.hits, before.hits
    ids = matched_ids(hits, reference, unit="question")
    return Pairs(
        lost=sum(reference[i] and not hits[i] for i in ids),
        gained=sum(hits[i] and not reference[i] for i in ids),
        n=len(ids),
    )


def _ratios(
    profile: Profile,
    checkpoint: Checkpoint,
    answerers: Mapping[str, Answerer],
    options: Options,
    timed: Timed,
    arms: Mapping[str, str],
) -> dict[str, Ratio]:
    """Of each answer's time to dense's. arms: of each of `answerers`."""
    path = options.work_dir / SAMPLES_FILE
    asked: dict[str, str | int] = {
        "arms": json.dumps({name: _config(answerer) for name, answerer in answerers.items()}),
        "batch": timed.batch,
        "methods": json.dumps(
            {name: own.digest for name in answerers if (own := own_of(arms[name]))}
        ),
        "weights": checkpoint.weights_hash,
        "checkpoint": json.dumps(checkpoint.files),
    }
    if options.reuse and path.is_file():
        samples = _saved(path, asked)
    else:
        samples = _measure(profile, answerers, timed, asked)
        samples.save(path)
    if samples.too_busy is not None:  # it judges nothing, so it shows what there is
        print(f"these timings are disturbed: {samples.too_busy}", file=sys.stderr)
    dense = samples.seconds(DENSE, STAGE)
    return {
        name: paired_ratio(samples.seconds(name, STAGE), dense, CONFIDENCE)
        for name in answerers
        if name != DENSE
    }


def _measure(
    profile: Profile,
    answerers: Mapping[str, Answerer],
    timed: Timed,
    asked: Mapping[str, str | int],
) -> Samples:
    device, threads = torch.device(profile.model.device), profile.model.threads
    chosen = load_task(profile.prompts, chat=profile.model.chat).samples[: timed.batch]
    if len(chosen) < timed.batch:
        raise UserError(f"--batch {timed.batch}: {profile.prompts} has {len(chosen)} prompts")
    prompts, images = [s.prompt for s in chosen], [s.image() for s in chosen]
    new_tokens = profile.timing.new_tokens
    llava = answerers[DENSE].llava
    ends, llava.generation_config.eos_token_id = llava.generation_config.eos_token_id, None
    arms: dict[str, Arm] = {
        name: answer_arm(name, answerer, prompts, images, new_tokens)
        for name, answerer in answerers.items()
    }
    clock = clock_for(device)
    try:
        with progress("timing, all in one job", timed.blocks, MofNCompleteColumn()) as bar:
            samples = measure(
                arms,
                blocks=timed.blocks,
                clock=clock,
                threads=threads,
                progress=lambda done, _: bar.reach(done),
            )
    finally:
        llava.generation_config.eos_token_id = ends
    return replace(samples, setup=dict(samples.setup) | dict(asked))


def _saved(path: Path, asked: Mapping[str, str | int]) -> Samples:
    samples = Samples.load(path)
    for key, value in asked.items():
        if samples.setup.get(key) != value:
            raise UserError(
                f"{path}: timings of another grid or model ({key} differs); use another"
                " --work-dir, or run without --reuse"
            )
    return samples


def _config(answerer: Answerer) -> str:
    return "transformers" if answerer.hybrid is None else told(answerer.hybrid.config)


def _point(
    scores: Sequence[Score],
    reference: Sequence[Score],
    spent: Budget,
    ratio: Ratio | None,
    **said: Any,
) -> Point:
    """ratio: None for dense itself. said: what is named, of `Point`."""
    hits, pairs = scores[0].hits, _pairs(scores[0], reference[0])
    low, high = wilson_interval(sum(hits.values()), len(hits))
    difference_low, difference_high = difference_interval(pairs)
    if len(scores) > 1:
        ends = bootstrap_interval(np.array(list(scores[1].values.values())), 0.975)
        said |= {"cider": scores[1].value, "cider_low": ends[0], "cider_high": ends[1]}
    return Point(
        **{"dense": False, **said},
        tokens=spent.tokens,
        average=spent.average,
        flops=spent.flops,
        cache_bytes=spent.cache_bytes,
        accuracy=scores[0].value,
        accuracy_low=low,
        accuracy_high=high,
        difference=pairs.delta,
        difference_low=min(difference_low, pairs.delta),
        difference_high=max(difference_high, pairs.delta),
        ratio=ratio.value if ratio else 1.0,
        ratio_low=ratio.low if ratio else 1.0,
        ratio_high=ratio.high if ratio else 1.0,
    )
