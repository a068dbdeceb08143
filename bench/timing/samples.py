"""What was timed: seconds per block, arm, call and stage, and the conditions it was timed in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_json
from bench.base.shapes import Seconds, checked
from bench.timing.conditions import (
    BlockConditions,
    Conditions,
    is_disturbed,
    most_load,
    usual_load,
)

Stages = Mapping[str, Seconds]
Block = Mapping[str, tuple[Stages, Stages]]
"""Arm -> its two calls in one A B B A block, each stage -> seconds. The first has all arms."""

DISTURBED = "every block with both arms was disturbed by other load or a slowed clock"
MOST_USUAL_LOAD = 0.5  # of all calls' time; with more, time is the scheduler's and not the arms'
MOST_DISTURBED = 0.75  # share of blocks; with more, what is left is too few to stand for the rest


@dataclass(frozen=True)
class Samples:
    """All that was timed, disturbed or not, in order of time.

    setup: what the timings hold for (clock, threads, versions).
    conditions: one for each block, or none at all if they were not recorded.

    Raises ValueError if conditions are neither.
    """

    setup: Mapping[str, str | int]
    blocks: Sequence[Block]
    conditions: Sequence[BlockConditions] = ()

    def __post_init__(self) -> None:
        if self.conditions and len(self.conditions) != len(self.blocks):
            raise ValueError(f"{len(self.conditions)} conditions of {len(self.blocks)} blocks")

    @cached_property
    def undisturbed(self) -> Sequence[Block]:
        """The blocks that count: no call of any arm was disturbed."""
        if not self.conditions:
            return self.blocks
        pairs = zip(self.blocks, self.conditions, strict=True)
        usual = self.usual_load
        return [block for block, conditions in pairs if not is_disturbed(conditions, usual)]

    @cached_property
    def usual_load(self) -> float:
        """Median share of a call during which something else held a core that the arm wanted."""
        return usual_load(self.conditions)

    @property
    def thrown_out(self) -> int:
        """Blocks that do not count."""
        return len(self.blocks) - len(self.undisturbed)

    @property
    def _calls(self) -> list[Conditions]:
        return [call for block in self.conditions for both in block.values() for call in both]

    @property
    def too_busy(self) -> str | None:
        """One line that says so if it is, else None."""
        if self.usual_load > MOST_USUAL_LOAD:
            what = f"other load took {self.usual_load:.0%} of the time"
        elif self.thrown_out > MOST_DISTURBED * len(self.blocks):
            calls = self._calls
            slowed = sum(call.throttled for call in calls)
            loaded = sum(call.disturbed(most_load(self.usual_load)) for call in calls) - slowed
            what = (
                f"{self.thrown_out} of {len(self.blocks)} blocks were disturbed, by other load in"
                f" {loaded} and by a slowed clock in {slowed} of {len(calls)} calls"
            )
        else:
            return None
        return f"the machine is too busy: {what}; stop what else runs and measure again"

    @property
    def described(self) -> str:
        """The conditions of the job, for people."""
        calls = self._calls
        said = [f"{len(self.blocks)} blocks, {self.thrown_out} thrown out"]
        if any(call.other_load is not None for call in calls):
            said.append(f"other load {self.usual_load:.1%} of the time")
        else:
            said.append("other load unknown: this machine does not say")
        clocks = [call.sm_mhz for call in calls if call.sm_mhz is not None]
        if clocks:
            hottest = max(call.celsius or 0 for call in calls)
            slowed = sum(call.throttled for call in calls)
            said.append(f"GPU at {min(clocks)} to {max(clocks)} MHz, at most {hottest} C")
            said.append(f"clock held back in {slowed} of {len(calls)} calls")
        return "; ".join(said)

    def seconds(self, arm: str, stage: str) -> NDArray[np.float64]:
        """Seconds of one stage of one arm in the undisturbed blocks that it is in: [blocks, 2].

        Where none is left, of the disturbed ones: to be looked at, not judged.

        Raises UserError if there are none, or if one is not a positive finite number.
        """
        self._demand(arm, stage)
        calm = [block for block in self.undisturbed if arm in block]
        return _seconds(calm or [block for block in self.blocks if arm in block], arm, stage)

    def pair(
        self, arm: str, reference: str, stage: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Seconds of both arms in the undisturbed blocks that both are in: [blocks, 2] each.

        Raises UserError as `seconds` does, and if no undisturbed block has both.
        """
        self._demand(arm, stage)
        self._demand(reference, stage)
        both = [block for block in self.undisturbed if arm in block and reference in block]
        if not both and self.disturbed_throughout(arm, reference):
            raise UserError(f"no latency samples: {self.too_busy or DISTURBED}")
        if not both:
            raise UserError(
                f"latency samples of arm {arm!r} and {reference!r}: no block has both;"
                " measure longer"
            )
        return _seconds(both, arm, stage), _seconds(both, reference, stage)

    def disturbed_throughout(self, *arms: str) -> bool:
        """Whether these arms were timed together, but never undisturbed."""

        def together(blocks: Sequence[Block]) -> bool:
            return any(all(arm in block for arm in arms) for block in blocks)

        return together(self.blocks) and not together(self.undisturbed)

    def _demand(self, arm: str, stage: str) -> None:
        if not self.blocks:
            raise UserError("no latency samples: measure at least one block")
        if not any(arm in block for block in self.blocks):
            raise UserError(
                f"latency samples of arm {arm!r}, stage {stage!r}: {arm!r} was not measured;"
                f" arms are {', '.join(self.blocks[0])}"
            )

    def save(self, path: Path) -> None:
        """Writes JSON, whole or not at all."""
        stored = {
            "setup": dict(self.setup),
            "blocks": list(self.blocks),
            "conditions": [
                {arm: [call.to_json() for call in calls] for arm, calls in block.items()}
                for block in self.conditions
            ],
        }
        write_atomically(path, json.dumps(stored).encode())

    @classmethod
    def load(cls, path: Path) -> "Samples":
        """Reads what `save` wrote. Raises UserError if the file is missing or something else."""
        try:
            return checked(TypeAdapter(cls), read_json(path))
        except Unreadable as error:
            reason = f"{path}: no latency samples (it {error.reason}); measure again"
            raise UserError(reason) from None
        except ValueError as error:
            raise UserError(f"{path}: no latency samples ({error}); measure again") from None


def _seconds(blocks: Sequence[Block], arm: str, stage: str) -> NDArray[np.float64]:
    try:
        taken = [[call[stage] for call in block[arm]] for block in blocks]
    except KeyError as missing:
        raise UserError(
            f"latency samples of arm {arm!r}, stage {stage!r}: {missing} was not measured;"
            " the arm must mark it"
        ) from None
    seconds = np.array(taken, dtype=np.float64)
    bad = seconds[~(np.isfinite(seconds) & (seconds > 0))]
    if bad.size:
        raise UserError(
            f"latency samples of arm {arm!r}, stage {stage!r}: {bad[0]} seconds is no"
            " duration; measure again"
        )
    return seconds
