"""What was found: every line that made the host wait, how often, in which stage."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.syncs.sites import Site

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One operator at one line.

    `count` is how often it waited, `stages` how often in which stage, `stack` the users' frames
    of its first time, innermost first (empty unless asked for).
    """

    operator: str
    why: str
    site: Site
    count: int
    stages: Mapping[str, int]
    stack: tuple[Site, ...] = ()

    def __str__(self) -> str:
        stages = ", ".join(summarised_stages(self.stages))
        lines = [f"{self.site} {self.operator} x{self.count}" + (f" [{stages}]" if stages else "")]
        lines += [f"    {self.site.source}", f"    {self.why}"]
        lines += [f"      from {frame} in {frame.function}" for frame in self.stack[1:]]
        return "\n".join(lines)


@dataclass
class _Tally:
    why: str
    stack: tuple[Site, ...]
    stages: Counter[str] = field(default_factory=Counter)


@dataclass
class Report:
    """The waits of one `detect_syncs` block; complete once the block has ended."""

    _tallies: dict[tuple[str, Site], _Tally] = field(default_factory=dict)

    def record(
        self, *, operator: str, why: str, site: Site, stage: str, stack: tuple[Site, ...] = ()
    ) -> None:
        """Count one wait."""
        tally = self._tallies.setdefault((operator, site), _Tally(why, stack))
        tally.stages[stage] += 1

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One entry per operator and line, in the order in which they first waited."""
        return tuple(
            Finding(
                operator=operator,
                why=tally.why,
                site=site,
                count=tally.stages.total(),
                stages=dict(tally.stages),
                stack=tally.stack,
            )
            for (operator, site), tally in self._tallies.items()
        )

    @property
    def count(self) -> int:
        """How often the host waited."""
        return sum(finding.count for finding in self.findings)

    def in_stage(self, prefix: str) -> int:
        """How often the host waited in stages whose name starts with `prefix`."""
        return sum(
            count
            for finding in self.findings
            for stage, count in finding.stages.items()
            if stage.startswith(prefix)
        )

    def text(self) -> str:
        """For people: the number of waits, then each line with its source and the reason."""
        findings = self.findings
        if not findings:
            return "no waits"
        sites = len({finding.site for finding in findings})
        head = f"{self.count} wait{'s' * (self.count > 1)} at {sites} line{'s' * (sites > 1)}"
        return "\n".join([head, *map(str, findings)])

    def document(self) -> dict[str, Any]:
        """For programs: `{"count": int, "findings": [...]}` with the fields of `Finding`."""
        return {"count": self.count, "findings": [asdict(f) for f in self.findings]}

    def json(self) -> str:
        """`document` as text."""
        return json.dumps(self.document(), indent=2)


def summarised_stages(stages: Mapping[str, int]) -> list[str]:
    """`decode 1`, `decode 2`, ... as one entry: a wait per token is one fact, not sixty lines."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name, count in stages.items():
        groups.setdefault(_NUMBER.sub("*", name), []).append((name, count))
    summary = []
    for group, members in groups.items():
        total = sum(count for _, count in members)
        label = members[0][0] if len(members) == 1 else f"{group} ({len(members)} different)"
        summary.append(f"{label or 'no stage'}: {total}")
    return summary
