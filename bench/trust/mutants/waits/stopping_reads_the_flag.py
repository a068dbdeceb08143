"""Stopping reads the device's own flag instead of the copied one."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.stopping:EndWatch.all_ended",
    old=("            return bool(self._seen[place])\n        event"),
    new=("            return bool(finished.all())\n        event"),
    source=MADE,
    expected=("syncs",),
)
