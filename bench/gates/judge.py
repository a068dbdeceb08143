"""Is the second of two runs as good as the first? For any two files, without a model."""

from bench.base.verdict import Verdict
from bench.evaluation.comparison.compare import Comparison
from bench.gates import accuracy, captions


def judge(found: Comparison, margin: float, *, reproduce: str) -> Verdict:
    """Non-inferiority of `after`, decided as the accuracy gate decides it.

    margin: the loss that is still acceptable: a share of the questions, or of CIDEr (of 10).

    Raises:
        UserError: the margin is none.
    """
    before, after = found.before, found.after
    told = {"reproduce": reproduce, "reference": before.name, "gate": f"{after.data}/paired"}
    if before.kind == "coco":
        return captions.paired_gate(
            per_image_cider=after.values,
            reference_per_image=before.values,
            margin=margin,
            **told,
        )
    return accuracy.paired_gate(
        hits=after.hits,
        reference_hits=before.hits,
        margin=margin,
        categories=before.categories or after.categories,
        near_ties=found.near_ties,
        **told,
    )
