"""What one run is: an arm of a profile on one data set, with a command's options."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.arms.models import arm_config
from bench.arms.own import own_of, told, where
from bench.arms.profiles import Profile
from bench.evaluation.runs.folder import run_folder
from bench.evaluation.runs.identity import RunSpec
from bench.evaluation.runs.ranks import ALONE, Ranks
from bench.tasks import DEFAULT_MATCHER, DEFAULT_PROMPT, DEFAULT_TOKENISER, Task, load_task
from bench.tasks.load import KNOWN
from bench.tasks.prompts import DEFAULT_CHAT
from bench.tasks.sources.hub import PREFIX
from hybrid import HybridConfig, Keep

NOT_LOADED: Mapping[str, str] = {}


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
    chat: str = DEFAULT_CHAT
    subset: tuple[int, ...] | None = None
    ranks: Ranks = ALONE


@dataclass(frozen=True)
class Job:
    """A run before it has run. keep: heeded by the arms that prune."""

    profile: Profile
    arm: str
    keep: Keep
    task: Task
    options: Options

    @property
    def name(self) -> str:
        """The model's, as `model_name` gives it."""
        return model_name(self.profile, self.arm)

    @property
    def config(self) -> HybridConfig | None:
        """Of the model that answers; None for transformers as it ships."""
        return arm_config(self.arm, self.profile, self.keep)

    @property
    def folder(self) -> Path:
        """`<work-dir>/<model>/<data>`; raises `UserError` for names that are none."""
        return run_folder(self.options.work_dir, self.name, self.task.name)

    def spec(self, files: Mapping[str, str] = NOT_LOADED, **hashes: str) -> RunSpec:
        """What the answers depend on. files, hashes: of a checkpoint that is loaded."""
        lengths, own = self.profile.data, own_of(self.arm)
        asked = {"data": _source(self.task), "prompt": self.options.prompt}
        if self.options.chat != DEFAULT_CHAT:
            asked["chat"] = self.options.chat
        if self.config is not None and self.config.method:
            asked |= {"arm": where(self.arm), "keep": str(self.keep)}
        return RunSpec(
            model=self.name,
            config=_document(self.config),
            data={
                "name": self.task.name,
                "hash": self.task.data_hash,
                "prompts": self.task.prompt_hash,
                "images": lengths.images,
                **hashes,
            },
            max_new_tokens=(
                lengths.max_new_tokens_mmbench
                if self.task.kind == "mmbench"
                else lengths.max_new_tokens_coco
            ),
            batch_size=self.options.batch_size or lengths.batch_size,
            dtype=self.profile.model.dtype,
            device=self.profile.model.device,
            asked=asked,
            checkpoint=files,
            method={} if own is None else own.files,
        )


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
        chat=options.chat,
    )


def model_name(profile: Profile, arm: str) -> str:
    """The name that selects this arm of this profile on the command line."""
    return profile.model.names if arm == "dense" else f"{profile.model.names}_{arm}"


def describe(config: HybridConfig | None) -> str:
    """What an arm does to the visual tokens, in a few words."""
    if config is None:
        return "transformers as it ships"
    if config.method:
        return f"{', '.join(map(told, config.method))}, {config.rope} positions"
    merging = "merged" if min(config.thresholds or (1.0,)) < 1 else "not merged"
    return f"{merging}, keep {config.budget} by {config.rank}, {config.rope} positions"


def _source(task: Task) -> str:
    """What `load_task` finds the data by, from any working directory."""
    source = task.table.source
    if task.name in KNOWN:
        return task.name
    return source if source.startswith(PREFIX) else str(Path(source).resolve())


def _document(config: HybridConfig | None) -> dict[str, Any]:
    """A config for run.json; keep as the text that a user would type."""
    if config is None:
        return {"implementation": "transformers"}
    document = {part.name: _listed(getattr(config, part.name)) for part in fields(config)}
    document["keep"] = str(config.budget)
    if config.schedule is None:
        del document["schedule"]
    del document["method"]
    methods = {"method": "; ".join(map(told, config.method))} if config.method else {}
    return document | methods


def _listed(value: Any) -> Any:
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value
