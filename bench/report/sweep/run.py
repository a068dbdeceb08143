"""Runs a sweep: every reduction answers the same questions, and all are timed in one job."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn

from bench.arms.models import Answerer, Checkpoint, arm_config, load_checkpoint
from bench.arms.own import own_of, told
from bench.arms.profiles import Profile
from bench.base.checkout import git
from bench.base.errors import UserError
from bench.base.progress import progress
from bench.base.tables import print_line
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from bench.evaluation.statistics.matching import matched_ids
from bench.evaluation.statistics.paired import Pairs, difference_interval, wilson_interval
from bench.report.sweep.grid import CHANCE, Cell
from bench.report.sweep.result import FILE, Point, Sweep
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
    profile: Profile, cells: Sequence[Cell], options: Options, timed: Timed, *, captions: bool
) -> Sweep:
    """Answers, scores and times dense and every cell; writes `sweep.json` into the work dir.

    Runs lie in folders of their own below it, and so do raw timings. With `options.reuse`, what
    is finished there is not done again.

    Raises UserError for anything that keeps a run from being finished, and for timings of another
    grid or machine.
    """
    if not cells:
        raise UserError("nothing to sweep: give --keep and --merge at least one value each")
    checkpoint = load_checkpoint(profile)
    tasks = [profile.data_of("mmbench"), *([profile.data_of("coco")] if captions else [])]
    opened = [open_task(data, options) for data in tasks]
    Answerer(checkpoint, None).sizes.demand(opened)
    scores: dict[str, list[Score]] = {}
    runs = [(DENSE, DENSE, Keep()), *((cell.name, cell.arm, cell.keep) for cell in cells)]
    # Before anything is answered: a budget that a method cannot meet is refused here.
    answerers = {name: Answerer(checkpoint, arm_config(arm, profile, k)) for name, arm, k in runs}
    for number, (name, arm, keep) in enumerate(runs, start=1):
        print_line(Console(stderr=True), f"{number} of {len(runs)}: {name}")
        chosen = replace(options, work_dir=options.work_dir / name)
        scores[name] = [
            evaluate(checkpoint, Job(profile, arm, keep, task, chosen))[1] for task in opened
        ]
    tokens = {name: visual_tokens(answerer) for name, answerer in answerers.items()}
    arms = {name: arm for name, arm, _ in runs}
    ratios = _ratios(profile, checkpoint, answerers, options, timed, arms)
    points = [_dense_point(scores[DENSE], tokens[DENSE])]
    points += [
        replace(
            _point(cell, scores[cell.name], scores[DENSE], tokens[cell.name], ratios[cell.name]),
            average=average_tokens(answerers[cell.name]),
        )
        for cell in cells
    ]
    sweep = Sweep(
        profile=profile.name,
        commit=git("rev-parse", "HEAD"),
        questions=len(scores[DENSE][0].values),
        images=len(scores[DENSE][1].values) if captions else 0,
        batch=timed.batch,
        points=points,
        said=[line for cell in cells for line in _against_chance(cell, scores)],
    )
    sweep.save(options.work_dir / FILE)
    return sweep


def visual_tokens(answerer: Answerer) -> int:
    """Visual tokens that the last language-model layers work on."""
    if answerer.hybrid is None:
        vision = answerer.llava.config.vision_config
        return int((vision.image_size // vision.patch_size) ** 2)
    return int(answerer.hybrid.budget)


def average_tokens(answerer: Answerer) -> float:
    """Visual tokens that a layer of the language model gets, on average over its layers."""
    if answerer.hybrid is None:
        return float(visual_tokens(answerer))
    return fmean(answerer.hybrid.layer_slots)


def _against_chance(cell: Cell, scores: Mapping[str, Sequence[Score]]) -> list[str]:
    """Whether a method is better than as many tokens by chance, paired by question."""
    chance = replace(cell, method=CHANCE)
    if not cell.method or cell.method == CHANCE or chance.name not in scores:
        return []
    pairs = _pairs(scores[cell.name][0], scores[chance.name][0])
    low, high = difference_interval(pairs)
    shown = f"{pairs.delta:+.3f} [{low:+.3f}, {high:+.3f}]"
    better = "is better than" if low > 0 else "is not shown to be better than"
    return [f"{cell.method} at {cell.keep} {better} {CHANCE}: {shown}"]


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
    chosen = load_task(profile.prompts).samples[: timed.batch]
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


def _dense_point(scores: Sequence[Score], tokens: int) -> Point:
    hits = scores[0].hits
    low, high = wilson_interval(sum(hits.values()), len(hits))
    return Point(
        keep="none",
        merge=False,
        dense=True,
        tokens=tokens,
        accuracy=scores[0].value,
        accuracy_low=low,
        accuracy_high=high,
        difference=0.0,
        difference_low=0.0,
        difference_high=0.0,
        ratio=1.0,
        ratio_low=1.0,
        ratio_high=1.0,
        cider=scores[1].value if len(scores) > 1 else None,
    )


def _point(
    cell: Cell, scores: Sequence[Score], dense: Sequence[Score], tokens: int, ratio: Ratio
) -> Point:
    hits, pairs = scores[0].hits, _pairs(scores[0], dense[0])
    low, high = wilson_interval(sum(hits.values()), len(hits))
    difference_low, difference_high = difference_interval(pairs)
    return Point(
        keep=str(cell.keep),
        merge=cell.merge,
        method=cell.method,
        dense=False,
        tokens=tokens,
        accuracy=scores[0].value,
        accuracy_low=low,
        accuracy_high=high,
        difference=pairs.delta,
        difference_low=difference_low,
        difference_high=difference_high,
        ratio=ratio.value,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
        cider=scores[1].value if len(scores) > 1 else None,
    )
