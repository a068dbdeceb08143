"""A call is timed without waiting for the device to finish it."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.timing.interleave:timed_call",
    old="    clock.wait()  # everything this call submitted has finished\n",
    new="",
    source="eobo0530/vlm_optimization, its microbenchmark",
    expected=("harness",),
)
