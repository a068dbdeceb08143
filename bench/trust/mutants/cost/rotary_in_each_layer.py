"""Rotary tables are computed in every layer of a decode step."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.model:HybridLlava.decode",
    old="                query, key, value = self.language.project(i, hidden, rotary)\n",
    new=(
        "                rotary = self.language.rotary(hidden, position_ids)\n"
        "                query, key, value = self.language.project(i, hidden, rotary)\n"
    ),
    source=MADE,
    expected=("cost",),
)
