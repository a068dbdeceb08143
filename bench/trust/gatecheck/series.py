"""Recorded series: every call of two interleaved arms, with the load it met.

One file is one segment: one process, one pair of arms, blocks A B B A without a gap. Nothing is
thrown out of it.
"""

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bench.base.atomic import write_atomically
from bench.base.errors import UserError
from bench.base.reading import read_bytes
from bench.timing.conditions import Conditions
from bench.timing.interleave import Taken

TRUTHS = {"same": 0.0, "slower-5": 0.05, "slower-10": 0.10}
"""What is planted into one of two equal arms -> how much slower it is."""
BATCHES = (1, 8)
STAGES = ("prefill", "decode", "answer")
REFERENCE, PLANTED = "reference", "planted"
TICK_S = 0.01

Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Segment:
    """Calls of one process: [blocks, 2 calls, 2 arms], the second arm the planted one.

    prefill, decode, answer: nanoseconds, without waiting for a core; decode is one of the steps
    behind the first token.
    wait: nanoseconds in which a thread could have run, but another process had its core.
    cpu: nanoseconds in which the process ran.
    steal: hundredths of a second that the hypervisor took.
    end: [blocks], microseconds since the first block began.

    Raises ValueError for arrays that do not belong together.
    """

    prefill: Whole
    decode: Whole
    answer: Whole
    wait: Whole
    cpu: Whole
    steal: Whole
    end: Whole

    def __post_init__(self) -> None:
        for field in fields(self):
            shape = getattr(self, field.name).shape
            if shape != (len(self.end),) + (2, 2) * (field.name != "end"):
                raise ValueError(f"{field.name} has the shape {shape}")

    @property
    def ends_s(self) -> NDArray[np.float64]:
        """When each block ended, in seconds since the first began."""
        return self.end.astype(np.float64) * 1e-6

    def taken(self) -> list[Taken]:
        """Block by block, as `bench.timing.interleave` yields them."""
        stages = np.stack([getattr(self, stage) for stage in STAGES], axis=-1) * 1e-9
        return [
            Taken(
                {
                    arm: (
                        dict(zip(STAGES, block[0, i].tolist(), strict=True)),
                        dict(zip(STAGES, block[1, i].tolist(), strict=True)),
                    )
                    for i, arm in enumerate((REFERENCE, PLANTED))
                },
                {
                    arm: (self._conditions(number, 0, i), self._conditions(number, 1, i))
                    for i, arm in enumerate((REFERENCE, PLANTED))
                },
            )
            for number, block in enumerate(stages)
        ]

    def _conditions(self, block: int, call: int, arm: int) -> Conditions:
        return Conditions(
            wall_s=float(self.answer[block, call, arm] + self.wait[block, call, arm]) * 1e-9,
            cpu_s=float(self.cpu[block, call, arm]) * 1e-9,
            cores=1,
            switches=0,
            queue_s=float(self.wait[block, call, arm]) * 1e-9,
            steal_s=float(self.steal[block, call, arm]) * TICK_S,
        )

    @classmethod
    def of(cls, taken: list[Taken], ends_s: list[float]) -> Self:
        """From what was timed, and when each block ended, on any clock.

        Raises UserError if this machine does not say what load its calls met.
        """
        columns: dict[str, list[list[list[float]]]] = {
            field.name: [] for field in fields(cls) if field.name != "end"
        }
        for block, conditions in taken:
            if not conditions or any(
                call.queue_s is None or call.steal_s is None
                for calls in conditions.values()
                for call in calls
            ):
                raise UserError("this machine counts no waiting and no steal: record on Linux")
            for stage in STAGES:
                columns[stage].append(
                    [[1e9 * block[arm][call][stage] for arm in block] for call in (0, 1)]
                )
            for name, scale, kept in (
                ("wait", 1e9, "queue_s"),
                ("cpu", 1e9, "cpu_s"),
                ("steal", 1 / TICK_S, "steal_s"),
            ):
                columns[name].append(
                    [
                        [scale * getattr(conditions[arm][call], kept) for arm in block]
                        for call in (0, 1)
                    ]
                )
        first = sum(call["answer"] for calls in taken[0].block.values() for call in calls)
        ends = 1e6 * (np.array(ends_s) - ends_s[0] + first)
        whole = {name: np.rint(np.array(column)) for name, column in columns.items()}
        return cls(
            **{name: array.astype(np.int64) for name, array in whole.items()},
            end=np.rint(ends).astype(np.int64),
        )

    def save(self, path: Path) -> None:
        """Compressed, whole or not at all; what varies little is kept as a difference."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        kept["cpu"] = self.cpu - self.answer
        kept["end"] = np.diff(self.end, prepend=0)
        stream = io.BytesIO()
        np.savez_compressed(
            stream, allow_pickle=False, **{name: _narrow(array) for name, array in kept.items()}
        )
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote. Raises UserError if the file is missing or something else."""
        content = io.BytesIO(read_bytes(path, mend="record it again"))
        try:
            with np.load(content, allow_pickle=False) as file:
                kept = {field.name: file[field.name].astype(np.int64) for field in fields(cls)}
            kept["cpu"] += kept["answer"]
            kept["end"] = kept["end"].cumsum()
            return cls(**kept)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise UserError(f"{path}: no recorded series ({error}); record it again") from None


def _narrow(array: Whole) -> NDArray[np.int32]:
    """32 bits hold two seconds in nanoseconds, and no call of the tiny model takes so long."""
    if np.abs(array).max(initial=0) > np.iinfo(np.int32).max:
        raise UserError("a recorded call took more than two seconds: record on a calmer machine")
    return array.astype(np.int32)
