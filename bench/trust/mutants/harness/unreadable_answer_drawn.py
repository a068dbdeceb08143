"""An unreadable answer becomes one of the options."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.tasks.matchers:_only_option_text",
    old="return found[0] if len(found) == 1 else None",
    new="return found[0] if len(found) == 1 else list(options)[len(answer) % len(options)]",
    source="VLMEvalKit and lmms-eval",
    expected=("harness",),
)
