"""Every model is asked in LLaVA-1.5's chat, whatever the profile says."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.job:open_task",
    old="        chat=options.chat,\n",
    new="",
    source=MADE,
    expected=("harness",),
)
