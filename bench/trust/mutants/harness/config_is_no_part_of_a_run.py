"""config.json is no part of a run's identity, so answers by two models mix."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.arms.checkpoint.identity:checkpoint_files",
    old="    names = {name for name in names if (folder / name).is_file()}\n",
    new='    names = {n for n in names if n != "config.json" and (folder / n).is_file()}\n',
    source="https://github.com/EleutherAI/lm-evaluation-harness/issues/3881",
    expected=("harness",),
)
