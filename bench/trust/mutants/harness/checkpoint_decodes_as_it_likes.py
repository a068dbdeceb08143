"""A checkpoint's beams and penalties are obeyed by dense, and by no other arm."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.arms.greedy:answer_greedily",
    old="llava.generation_config = GenerationConfig.from_dict(ends)",
    new="llava.generation_config.update(**ends)",
    source="https://github.com/huggingface/transformers/issues/34304",
    expected=("harness",),
)
