"""A whole recording: its segments by batch size and truth, and what its manifest says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bench.base.errors import UserError
from bench.base.reading import Unreadable
from bench.trust.gatecheck.record import MANIFEST, read_manifest, segment_path
from bench.trust.gatecheck.series import BATCHES, TRUTHS, Segment

SHIPPED = Path(__file__).parent / "recording"


@dataclass(frozen=True)
class Recording:
    """manifest: machine, versions, command, planted work. segments: (batch, truth) -> in time."""

    manifest: Mapping[str, Any]
    segments: Mapping[tuple[int, str], Sequence[Segment]]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises UserError if a truth is missing, or a file is no series."""
        try:
            manifest = read_manifest(folder / MANIFEST)
        except Unreadable as error:
            raise UserError(
                f"{folder} holds no recording ({MANIFEST} {error.reason}): make one with"
                f" `python -m bench gate-check --record {folder}`"
            ) from None
        segments = {
            (batch, truth): list(_segments(folder, batch, truth))
            for batch in BATCHES
            for truth in TRUTHS
        }
        for (batch, truth), found in segments.items():
            if not found or not all(len(segment.end) for segment in found):
                raise UserError(
                    f"{folder} holds no samples of {truth!r} at batch {batch}: go on with"
                    f" `python -m bench gate-check --record {folder}`"
                )
        return cls(manifest, segments)

    def minutes(self, truth: str) -> float:
        """Recorded of one truth, all batch sizes together."""
        return sum(
            float(segment.ends_s[-1]) / 60
            for (_, planted), found in self.segments.items()
            for segment in found
            if planted == truth
        )


def _segments(folder: Path, batch: int, truth: str) -> Iterator[Segment]:
    """In order, up to the first that is not there."""
    number = 0
    while (path := segment_path(folder, batch, truth, number)).exists():
        yield Segment.load(path)
        number += 1
