"""What was timed: seconds per block, arm, call and stage."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.tasks.atomic import write_atomically

Stages = Mapping[str, float]
Block = Mapping[str, tuple[Stages, Stages]]
"""Arm -> its two calls in one A B B A block, each stage -> seconds."""


@dataclass(frozen=True)
class Samples:
    """setup: what the timings hold for (clock, threads, versions). blocks: in order of time."""

    setup: Mapping[str, str | int]
    blocks: Sequence[Block]

    def seconds(self, arm: str, stage: str) -> NDArray[np.float64]:
        """Seconds of one stage of one arm: [blocks, 2].

        Raises UserError if there are none, or if one is not a positive finite number.
        """
        if not self.blocks:
            raise UserError("no latency samples: measure at least one block")
        try:
            taken = [[call[stage] for call in block[arm]] for block in self.blocks]
        except KeyError as missing:
            raise UserError(
                f"latency samples of arm {arm!r}, stage {stage!r}: {missing} was not measured;"
                f" arms are {', '.join(self.blocks[0])}"
            ) from None
        seconds = np.array(taken, dtype=np.float64)
        bad = seconds[~(np.isfinite(seconds) & (seconds > 0))]
        if bad.size:
            raise UserError(
                f"latency samples of arm {arm!r}, stage {stage!r}: {bad[0]} seconds is no"
                " duration; measure again"
            )
        return seconds

    def save(self, path: Path) -> None:
        """Writes JSON, whole or not at all."""
        stored = {"setup": dict(self.setup), "blocks": list(self.blocks)}
        write_atomically(path, json.dumps(stored).encode())

    @classmethod
    def load(cls, path: Path) -> "Samples":
        """Reads what `save` wrote. Raises UserError if the file is missing or something else."""
        try:
            stored = json.loads(path.read_text())
            blocks = [
                {arm: (dict(there), dict(back)) for arm, (there, back) in block.items()}
                for block in stored["blocks"]
            ]
            return cls(setup=dict(stored["setup"]), blocks=blocks)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: no latency samples ({error}); measure again") from None
