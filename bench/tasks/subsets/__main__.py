"""`python -m bench.tasks.subsets MMBENCH_XLSX COCO_XLSX`: make the shipped subsets again.

Both are VLMEvalKit's prediction files of a whole run; only their index and category are read.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.tasks.mmbench import ROTATION
from bench.tasks.subsets import FOLDER, SEED, simple, stratified
from bench.tasks.tables.xlsx import read_xlsx

MMBENCH_SIZE, COCO_SIZE = 300, 500


def mmbench_300(workbook: Path) -> str:
    """The text of mmbench-300.txt: questions by their first row's index, all rotations meant."""
    table = read_xlsx(workbook)
    first = {index: table.cell(index, "category") for index in table.rows if index < ROTATION}
    chosen = stratified(first, MMBENCH_SIZE)
    return _text(
        chosen,
        f"{MMBENCH_SIZE} of the {len(first)} questions of MMBench_DEV_EN, each with all its",
        f"rotations; every category by its share, drawn by random.Random({SEED}).sample.",
    )


def coco_500(workbook: Path) -> str:
    """The text of coco-500.txt."""
    indices = list(read_xlsx(workbook).rows)
    return _text(
        simple(indices, COCO_SIZE),
        f"{COCO_SIZE} of the {len(indices)} images of VLMEvalKit's COCO_VAL, by its index column,",
        f"drawn by random.Random({SEED}).sample. CIDEr of a part and of the whole don't compare.",
    )


def _text(indices: Sequence[int], *comments: str) -> str:
    return "".join(f"{line}\n" for line in (*(f"# {c}" for c in comments), *indices))


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 2:
        raise UserError("usage: python -m bench.tasks.subsets MMBENCH_XLSX COCO_XLSX")
    mmbench, coco = map(Path, arguments)
    for name, text in (("mmbench-300", mmbench_300(mmbench)), ("coco-500", coco_500(coco))):
        write_atomically(FOLDER / f"{name}.txt", text.encode())
        print(FOLDER / f"{name}.txt")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
