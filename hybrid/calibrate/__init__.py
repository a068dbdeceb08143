"""Merging thresholds and a schedule for the CLIP tower of a LLaVA-1.5, from a folder of images.

DyMU's method (https://arxiv.org/abs/2504.17040, section 3.1): in a batch of B images every block
merges the r B most similar pairs, whichever images they are in, so that plain images lose more
tokens than busy ones. The similarity of the first pair that stays apart, at least 0, is the batch's
threshold, or 1 where none is to merge; the mean over all batches is the block's.
r = (patches - target) / blocks, as in the name of DyMU's released 72out (r = 21); what a division
leaves over, the first blocks merge, one more each. LLaVA-1.5 reads the last block but one: r tokens
above target.

Then it counts, with these thresholds, how many tokens each block leaves of an image, and proposes
the 99.9th percentile as that block's size: `HybridConfig(schedule=...)`, off unless it is given.

    python -m hybrid.calibrate photos --target 72 --output thresholds.json
"""
