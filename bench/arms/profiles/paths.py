"""What a path in a profile's file is relative to: the file's own folder. `~` is the home folder.

Only a shipped profile names what lies in the installed packages.
"""

from dataclasses import replace
from pathlib import Path

from bench.arms.own import is_file
from bench.arms.profiles.settings import (
    PACKAGES,
    Data,
    Gates,
    LatencyGate,
    ModelProfile,
    ProfileFile,
)
from bench.base.errors import UserError
from bench.base.home import expanded
from bench.tasks.sources.hub import PREFIX
from bench.tasks.subsets import names as subset_names

_EXPLICIT = ("/", "./", "../", "~")


def resolved(settings: ProfileFile, file: Path) -> ProfileFile:
    """The same with absolute paths.

    Raises:
        UserError: a checkpoint or a subset that is given as a path is not there.
    """
    folder = file.resolve().parent
    gates = settings.gates
    questions, captions = gates.mmbench, gates.coco
    if questions is not None:
        questions = replace(
            questions,
            reference=_reference(questions.reference, folder),
            dense_reference=_reference(questions.dense_reference, folder),
        )
    if captions is not None:
        captions = replace(captions, reference=_reference(captions.reference, folder))
    return replace(
        settings,
        model=replace(settings.model, checkpoint=_checkpoint(settings.model, folder, file)),
        data=_data(settings.data, folder),
        gates=replace(gates, mmbench=questions, coco=captions, latency=_latency(gates, folder)),
    )


def at(text: str, folder: Path) -> str:
    """A path as it is meant in a file of `folder`."""
    return str(folder / expanded(text))


def _checkpoint(model: ModelProfile, folder: Path, file: Path) -> str:
    """A folder's absolute path, or the text as it is: a Hugging Face id, or a shipped folder."""
    text = model.checkpoint
    path = Path(at(text, folder))
    if path.is_dir():
        return str(path)
    if (PACKAGES / text).is_dir() and not text.startswith(_EXPLICIT):
        return text
    said = f"{file}: model.checkpoint is {text!r}"
    if Path(text).is_dir():  # transformers would take it
        raise UserError(
            f"{said}, which lies in the working directory, but paths in a profile are relative to"
            f" its own folder: write {str(Path(text).resolve())!r}"
        )
    if text.startswith(_EXPLICIT) or text.count("/") > 1:
        what = "is no folder" if path.exists() else "does not exist"
        raise UserError(
            f"{said}, and {path} {what}: give the checkpoint's folder, absolute or relative to"
            f" {folder}, or a Hugging Face id"
        )
    return text


def _latency(gates: Gates, folder: Path) -> LatencyGate | None:
    """Bounds of methods in files name them by absolute paths."""
    if gates.latency is None:
        return None
    bounds = {
        batch: {at(arm, folder) if is_file(arm) else arm: stages for arm, stages in arms.items()}
        for batch, arms in gates.latency.bounds.items()
    }
    return replace(gates.latency, bounds=bounds)


def _data(data: Data, folder: Path) -> Data:
    return replace(
        data,
        mmbench=_source(data.mmbench, folder),
        coco=_source(data.coco, folder),
        mmbench_subset=_subset(data.mmbench_subset, folder),
        coco_subset=_subset(data.coco_subset, folder),
    )


def _source(text: str | None, folder: Path) -> str | None:
    if text is None:
        return None
    if text.startswith(PREFIX):
        where, colon, rest = text.removeprefix(PREFIX).partition(":")
        return PREFIX + at(where, folder) + colon + rest if where.startswith(_EXPLICIT) else text
    return at(text, folder) if text.endswith(".tsv") or text.startswith(_EXPLICIT) else text


def _subset(text: str | None, folder: Path) -> str | None:
    return text if text is None or text in subset_names() else at(text, folder)


def _reference(text: str | None, folder: Path) -> str | None:
    """The name of a recorded run, or the path of a run's folder or workbook."""
    if text is None or not ("/" in text or text.endswith(".xlsx")):
        return text
    return at(text, folder)
