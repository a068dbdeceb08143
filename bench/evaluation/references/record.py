"""The references that ship with the package, made from recorded VLMEvalKit runs.

python -m bench.evaluation.references.record RECORDED-RUNS [FOLDER]
"""

import sys
from math import fsum
from pathlib import Path

from bench.base.errors import UserError
from bench.evaluation.comparison.side import Side, load_side
from bench.evaluation.references.captions import add_captions
from bench.evaluation.references.files import SHIPPED, reference_folder
from bench.evaluation.references.letters import add_letters

PUBLISHED = "https://github.com/eobo0530/vlm_optimization, branch tmp, January 2026"
# The dense run's captions were asked for in other words than the hybrid's, so no arm is their pair.
RUNS = (
    ("dense", "llava_v1.5_7b", "MMBench_DEV_EN"),
    ("hybrid", "llava_v1.5_7b_hybrid", "MMBench_DEV_EN"),
    ("hybrid", "llava_v1.5_7b_hybrid", "COCO_VAL"),
)


def record(recorded: Path, folder: Path = SHIPPED) -> list[Path]:
    """Writes one reference for each of RUNS in `recorded`; returns the paths of the CSVs."""
    paths = []
    for run, model, data in RUNS:
        name = f"{model}_{data}"
        side = load_side(str(recorded / run / f"{name}.xlsx"))
        paths.append(store(side, name, folder, model=model, data=data, source=PUBLISHED))
    return paths


def store(side: Side, name: str, folder: Path, *, model: str, data: str, source: str) -> Path:
    """Keeps a scored run as the reference `name` in `folder`.

    Raises:
        UserError: for what is a reference already.
    """
    if side.folder is None:
        raise UserError(f"{side.source} is a reference already")
    if side.kind == "coco":
        return add_captions(
            name,
            folder,
            captions=side.answers,
            truth=side.truth,
            cider=round(fsum(side.values.values()) / len(side.values), 6),
            source=source,
            model=model,
            data=data,
            tokeniser=side.recipe["tokeniser"],
            prompt=side.recipe["prompt"],
            budget=side.budget,
        )
    return add_letters(
        name,
        folder,
        letters=side.letters,
        answers={index: item.answer for index, item in side.questions.items()},
        source=source,
        model=model,
        data=data,
        matcher=side.recipe["matcher"],
        prompt=side.recipe["prompt"],
        budget=side.budget,
    )


def add_run(
    run: Path, name: str | None, folder: Path | None, *, matcher: str | None = None
) -> Path:
    """Keeps the user's `run` in their folder of references; returns the path of its CSV.

    Raises:
        UserError: as `store` and `load_side` say.
    """
    return add_side(side_of(run, matcher), run.name, name, folder)


def side_of(run: Path, matcher: str | None = None) -> Side:
    """The user's `run`, scored; raises UserError as `load_side` says."""
    if not run.exists():
        raise UserError(f"{run} does not exist: give a run's folder or a .xlsx")
    return load_side(str(run), matcher=matcher)


def add_side(side: Side, source: str, name: str | None, folder: Path | None) -> Path:
    """Keeps a scored run; see `add_run`. source: what its reference says that it was made of."""
    model, data = side.name, side.data
    default = model if model.endswith(data) else f"{model}_{data}"
    place = reference_folder(folder)
    return store(side, name or default, place, model=model, data=data, source=source)


if __name__ == "__main__":
    for written in record(*map(Path, sys.argv[1:])):
        print(written)
