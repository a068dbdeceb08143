"""Back-pressure does not let the device catch up, so a long run looks as if it waited."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.syncs.proof:_Portions.__torch_dispatch__",
    old="if self._operators == PORTION:",
    new="if self._operators == PORTION and not self.cycles:",
    source=MADE,
    expected=("harness",),
)
