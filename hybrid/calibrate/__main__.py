"""`python -m hybrid.calibrate IMAGES --target 72`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import torch
from transformers.utils import logging

from hybrid.calibrate.schedule import count_live
from hybrid.calibrate.thresholds import calibrate, write_json
from hybrid.calibrate.towers import TowerSource, find_images
from hybrid.config import ConfigError
from hybrid.merging import spread


def run(options: argparse.Namespace) -> None:
    """Calibrate, count and write `options.output`."""
    images = find_images(options.images)[: options.limit]
    source = TowerSource.load(options.checkpoint, getattr(torch, options.dtype), options.device)
    output: Path = options.output
    state = output.with_name(output.name + ".state")
    thresholds = calibrate(source, images, options.target, options.batch_size, state)
    live = count_live(source, thresholds, images, options.batch_size)
    counts, schedule = live.handed_on, live.schedule()
    patches, blocks, used = live.patches, live.blocks, len(live.counts[0])
    merges = spread(patches - options.target, blocks)
    expected, mean, std = patches - sum(merges[:used]), fmean(counts), pstdev(counts)
    document = {
        "thresholds": thresholds,
        "schedule": schedule,
        "target": options.target,
        "images": len(images),
        "patches": patches,
        "blocks": blocks,
        "merges_per_block": merges,
        "batch_size": options.batch_size,
        "dtype": options.dtype,
        "tower": source.fingerprint,
    }
    survivors = {"images": len(counts), "expected": expected, "mean": mean, "std": std}
    survivors |= {"min": min(counts), "max": max(counts), "forced": live.forced(schedule)}
    write_json(output, {**document, "survivors": survivors})
    state.unlink(missing_ok=True)
    print(
        f"{output}: {mean:.1f} +- {std:.1f} of {patches} visual tokens reach the language model "
        f"({min(counts)} to {max(counts)} in {len(counts)} images); behind block {used} of "
        f"{blocks}, --target {options.target} means {expected}; its schedule leaves room for "
        f"{schedule[used - 1] if used else patches} and forces merges on "
        f"{survivors['forced']:.2%} of these images"
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point: 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m hybrid.calibrate",
        description="Find DToMe merging thresholds for the CLIP tower of a LLaVA-1.5 checkpoint. "
        "An interrupted run continues when the same command is given again.",
        epilog="example: python -m hybrid.calibrate photos --target 72 --output thresholds.json",
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtypes = ("float32", "float16", "bfloat16")
    target = "mean tokens behind the last block; 72 of 576 leaves 93 behind the one LLaVA-1.5 reads"
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder of .jpg and .png images")
    add("--target", type=_positive, required=True, help=target)
    add("--checkpoint", default="llava-hf/llava-1.5-7b-hf", help="folder or hub id (%(default)s)")
    add("--batch-size", type=_positive, default=64, help="images ranked together (%(default)s)")
    add("--output", type=Path, default=Path("thresholds.json"), help="file (%(default)s)")
    add("--limit", type=_positive, help="only the first so many images, by name")
    add("--device", default=device, help="a torch device (%(default)s)")
    add("--dtype", choices=dtypes, default="float32", help="of the tower (%(default)s)")
    options = parser.parse_args(arguments)
    logs: Any = logging
    logs.set_verbosity_error()  # it would list the language model, which is not loaded
    logs.disable_progress_bar()
    try:
        run(options)
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
