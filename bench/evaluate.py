"""One arm of a profile on one data set: from names to a finished run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.models import Answerer, Checkpoint, arm_config
from bench.profiles import Profile
from bench.runs import RunSpec, run
from bench.tasks import DEFAULT_MATCHER, Score, Task, load_task
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


def open_task(data: str, options: Options) -> Task:
    """Load a data set as the options say."""
    return load_task(data, matcher=options.matcher, limit=options.limit)


def evaluate(
    checkpoint: Checkpoint, profile: Profile, arm: str, keep: Keep, task: Task, options: Options
) -> tuple[Path, Score]:
    """Run `arm` on `task` into `<work-dir>/<model>/<data>`; returns that folder and the score."""
    model = profile.model.names if arm == "dense" else f"{profile.model.names}_{arm}"
    config = arm_config(arm, profile, keep)
    lengths = profile.data
    spec = RunSpec(
        model=model,
        config=_document(config),
        data={"name": task.name, "hash": task.data_hash, "prompts": task.prompt_hash}
        | {"weights": checkpoint.weights_hash},
        max_new_tokens=(
            lengths.max_new_tokens_mmbench
            if task.kind == "mmbench"
            else lengths.max_new_tokens_coco
        ),
        batch_size=options.batch_size or profile.data.batch_size,
        dtype=profile.model.dtype,
        device=profile.model.device,
    )
    folder = options.work_dir / model / task.name
    answerer = Answerer(checkpoint, config)
    score = run(folder, task, answerer, spec, reuse=options.reuse, verbose=options.verbose)
    return folder, score


def describe(config: HybridConfig | None) -> str:
    """What an arm does to the visual tokens, in a few words."""
    if config is None:
        return "transformers as it ships"
    merging = "merged" if config.thresholds is not None else "not merged"
    return f"{merging}, keep {config.budget} by {config.rank}, {config.rope} positions"


def _document(config: HybridConfig | None) -> dict[str, Any]:
    """A config for run.json; keep as the text that a user would type."""
    if config is None:
        return {"implementation": "transformers"}
    thresholds = None if config.thresholds is None else list(config.thresholds)
    return asdict(config) | {"keep": str(config.budget), "thresholds": thresholds}
