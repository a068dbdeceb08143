"""The oracle: what the fast path must answer, in float64, on one unpadded sample, step by step.

Nothing here is fast and nothing is shared with the fast path: tokens are Python lists, attention
matrices are whole, and each new token recomputes everything from the prompt. It reads top to bottom
like the papers: DToMe (`merge_step`, `see`), positions and virtual unmerging (`lay_out`,
`attention`), FastV (`keep_best`, `read`), generation (`next_logits`, `generate`).

    DyMU    https://arxiv.org/abs/2504.17040  merging in the tower, virtual unmerging
    ToMe    https://arxiv.org/abs/2210.09461  bipartite soft matching, proportional attention
    FastV   https://arxiv.org/abs/2403.06764  pruning in the language model
    RoPE    https://arxiv.org/abs/2104.09864

In float64 this is the oracle; in float32 or bfloat16 it is as far from that as rounding explains,
which is what tests allow. Shapes: n tokens, D width, H heads of width C, V words.
"""

from hybrid.reference.oracle import Oracle, Prompt, Reading, Seen
from hybrid.reference.papers import (
    Step,
    Token,
    keep_best,
    merge_step,
    rotate,
    softmax_attention,
)

__all__ = [
    "Oracle",
    "Prompt",
    "Reading",
    "Seen",
    "Step",
    "Token",
    "keep_best",
    "merge_step",
    "rotate",
    "softmax_attention",
]
