"""One arm of a profile on one data set: from names to a finished run."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.arms.models import Checkpoint, arm_config
from bench.arms.profiles import Profile
from bench.arms.vocabulary import said
from bench.base.errors import UserError
from bench.base.remark import remark
from bench.evaluation.runs.folder import run_folder
from bench.evaluation.runs.identity import RUN_FILE, RunSpec, read_document
from bench.evaluation.runs.lock import locked
from bench.evaluation.runs.loop import infer, saved_predictions, write_score
from bench.evaluation.runs.meeting import meet
from bench.evaluation.runs.ranks import ALONE, Ranks, world_size
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import DEFAULT_MATCHER, DEFAULT_PROMPT, DEFAULT_TOKENISER, Score, Task, load_task
from bench.tasks.load import KNOWN
from bench.tasks.sources.hub import PREFIX
from hybrid import HybridConfig, Keep


@dataclass(frozen=True)
class Options:
    """What every run of one command shares."""

    work_dir: Path
    reuse: bool
    verbose: bool
    limit: int | None = None
    batch_size: int | None = None
    matcher: str = DEFAULT_MATCHER
    tokeniser: str = DEFAULT_TOKENISER
    spice: bool = False
    prompt: str = DEFAULT_PROMPT
    subset: tuple[int, ...] | None = None
    ranks: Ranks = ALONE


def open_task(data: str, options: Options) -> Task:
    """Load a data set as the options say."""
    return load_task(
        data,
        prompt=options.prompt,
        matcher=options.matcher,
        tokeniser=options.tokeniser,
        with_spice=options.spice,
        limit=options.limit,
        subset=options.subset,
    )


def meet_ranks(
    profile: Profile, arm: str, keep: Keep, task: Task, options: Options, held: ExitStack
) -> None:
    """Before a model is loaded: the folder's name is one, and all ranks of the run see and run
    the same, as `bench.evaluation.runs.meeting.meet` says."""
    folder = folder_of(profile, arm, task, options)
    meet(folder, _spec(profile, arm, keep, task, options), options.ranks, held)


def evaluate(
    checkpoint: Checkpoint, profile: Profile, arm: str, keep: Keep, task: Task, options: Options
) -> tuple[Path, Score]:
    """Run `arm` on `task` into `<work-dir>/<model>/<data>`; returns that folder and the score."""
    with ExitStack() as held:
        folder, predictions = _infer(checkpoint, profile, arm, keep, task, options, held)
        score = write_score(folder, task, model_name(profile, arm), predictions)
        _tell_unknown_words(folder, task)
        return folder, score


def infer_only(
    checkpoint: Checkpoint, profile: Profile, arm: str, keep: Keep, task: Task, options: Options
) -> tuple[Path, Mapping[int, str]]:
    """Answer without scoring; returns the run's folder and its predictions."""
    with ExitStack() as held:
        folder, predictions = _infer(checkpoint, profile, arm, keep, task, options, held)
        _tell_unknown_words(folder, task)
        return folder, predictions


def _infer(
    checkpoint: Checkpoint,
    profile: Profile,
    arm: str,
    keep: Keep,
    task: Task,
    options: Options,
    held: ExitStack,
) -> tuple[Path, Mapping[int, str]]:
    if world_size() != options.ranks.size:
        raise UserError("under torchrun only `python -m bench run` works; start this one without")
    spec = _spec(profile, arm, keep, task, options)
    hashes = {"weights": checkpoint.weights_hash, "processor": checkpoint.processor_hash}
    spec = replace(spec, data={**spec.data, **hashes}, checkpoint=checkpoint.files)
    folder = folder_of(profile, arm, task, options)
    config = arm_config(arm, profile, keep)
    answerer = RecordingAnswerer(checkpoint, config, arm=model_name(profile, arm))
    predictions = infer(
        folder,
        task,
        answerer,
        spec,
        reuse=options.reuse,
        verbose=options.verbose,
        held=held,
        ranks=options.ranks,
    )
    return folder, predictions


def score_only(
    profile: Profile, arm: str, keep: Keep, task: Task, options: Options
) -> tuple[Path, Score]:
    """Score the answers of a complete run; loads no model."""
    folder = folder_of(profile, arm, task, options)
    if not folder.is_dir():
        raise UserError(f"{folder} holds no run to score: run without --mode eval first")
    with locked(folder):
        predictions = saved_predictions(folder, task, _spec(profile, arm, keep, task, options))
        score = write_score(folder, task, model_name(profile, arm), predictions)
        _tell_unknown_words(folder, task)
        return folder, score


def _tell_unknown_words(folder: Path, task: Task) -> None:
    record = read_document(folder / RUN_FILE).get("unknown_words")
    if line := said(record, len(task.indices), task.name):
        remark(line)


def model_name(profile: Profile, arm: str) -> str:
    """The name that selects this arm of this profile on the command line."""
    return profile.model.names if arm == "dense" else f"{profile.model.names}_{arm}"


def folder_of(profile: Profile, arm: str, task: Task, options: Options) -> Path:
    """Where the run of `arm` on `task` lies; raises `UserError` for names that are none."""
    return run_folder(options.work_dir, model_name(profile, arm), task.name)


def _spec(profile: Profile, arm: str, keep: Keep, task: Task, options: Options) -> RunSpec:
    """What the answers depend on, all but the weights."""
    lengths = profile.data
    return RunSpec(
        model=model_name(profile, arm),
        config=_document(arm_config(arm, profile, keep)),
        data={
            "name": task.name,
            "hash": task.data_hash,
            "prompts": task.prompt_hash,
            "images": _images(lengths.pad_to_square),
        },
        max_new_tokens=(
            lengths.max_new_tokens_mmbench
            if task.kind == "mmbench"
            else lengths.max_new_tokens_coco
        ),
        batch_size=options.batch_size or lengths.batch_size,
        dtype=profile.model.dtype,
        device=profile.model.device,
        asked={"data": _source(task), "prompt": options.prompt},
    )


def _source(task: Task) -> str:
    """What `load_task` finds the data by, from any working directory."""
    source = task.table.source
    if task.name in KNOWN:
        return task.name
    return source if source.startswith(PREFIX) else str(Path(source).resolve())


def describe(config: HybridConfig | None) -> str:
    """What an arm does to the visual tokens, in a few words."""
    if config is None:
        return "transformers as it ships"
    merging = "merged" if min(config.thresholds or (1.0,)) < 1 else "not merged"
    return f"{merging}, keep {config.budget} by {config.rank}, {config.rope} positions"


def _images(pad_to_square: bool) -> str:
    """For run.json: what is done to an image before the processor."""
    return "padded to square" if pad_to_square else "as they are"


def _document(config: HybridConfig | None) -> dict[str, Any]:
    """A config for run.json; keep as the text that a user would type."""
    if config is None:
        return {"implementation": "transformers"}
    thresholds = None if config.thresholds is None else list(config.thresholds)
    return asdict(config) | {"keep": str(config.budget), "thresholds": thresholds}
