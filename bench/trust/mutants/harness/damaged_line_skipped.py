"""A damaged line of predictions is skipped."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.tasks.rescore:read_jsonl",
    old=("        try:\n            record = parse(line)\n        except ValueError as err:\n"),
    new=(
        "        try:\n"
        "            record = parse(line)\n"
        "        except ValueError:\n"
        "            continue\n"
        "        except MemoryError as err:\n"
    ),
    source=MADE,
    expected=("harness",),
)
