"""Logits that are no numbers are equal to any."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="bench.gates.gpucheck.parts:Compared.equal",
    old="self.difference <= self.allowed",
    new="not self.difference > self.allowed",
    source=MADE,
    expected=("harness",),
)
