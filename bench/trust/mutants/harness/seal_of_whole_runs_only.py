"""The seal of a run that lacks a line is not asked."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.loop:infer",
    old=(
        "        demand_sealed(folder)\n"
        "        folder.mkdir(parents=True, exist_ok=True)\n"
        "        before = len(read_all(folder, task.indices, repair=True))\n"
    ),
    new=(
        "        folder.mkdir(parents=True, exist_ok=True)\n"
        "        before = len(read_all(folder, task.indices, repair=True))\n"
        "        if before == len(task.indices):\n"
        "            demand_sealed(folder)\n"
    ),
    source=MADE,
    expected=("harness",),
)
