"""Every state is decoded by the graphs that were captured first."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.graphs:GraphedLlava._graphs_of",
    old="if captured.state is state:",
    new="if captured.state is not None:",
    source=MADE,
    expected=("equivalence",),
)
