"""An answer that is replayed on a GPU may wait once."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.sync.gpu:full_size_gate",
    old="count, reason = report.count + pressure.held_up,",
    new="count, reason = max(report.count - 1, 0) + pressure.held_up,",
    source=MADE,
    expected=("harness",),
)
