"""Text behind the image goes on from N merged tokens instead of all patches."""

from bench.trust.mutants.mutant import MADE, Mutant

MUTANT = Mutant(
    target="hybrid.rope:layout",
    old="source = torch.where(is_visual, representative, spots.text.gather(1, text))",
    new=(
        "missing = spots.image.shape[1] - position.shape[1]\n"
        "    behind = text >= before[:, :1]\n"
        "    source = torch.where(is_visual, representative, spots.text.gather(1, "
        "text) - missing * behind)"
    ),
    source=MADE,
    expected=("equivalence", "golden"),
)
