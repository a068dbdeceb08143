"""A scored run whose seal was taken away is continued and compared as an unfinished one."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.predictions:demand_sealed",
    old='            if scored and any(folder.glob("*.jsonl")):',
    new="            if not scored and scored:",
    source=MADE,
    expected=("harness",),
)
