"""The sync gate of a model: it answers two questions, watched, and is judged by the ledger."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

import hybrid
from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.gates.sync.ledger import load_ledger
from bench.gates.sync.lint import lint_paths
from bench.gates.sync.scenarios import watch_hybrid, watch_transformers
from bench.gates.sync.subjects import Subject
from bench.gates.sync.verdicts import syncs_gate
from bench.syncs.report import Report
from bench.syncs.second_opinion import second_opinion
from hybrid import HybridLlava

# Not on the way from pixels to ids: the oracle, and a tool that works on files.
OFF_THE_PATH = ("reference", "calibrate")
NEW_TOKENS = 8


@dataclass(frozen=True)
class Watched:
    """One `generate` under the CPU tier.

    Attributes:
        report: its waits.
        new_tokens: decoded for the longest answer.
    """

    report: Report
    new_tokens: int

    @property
    def per_token(self) -> float:
        """Waits per generated token, those of preparing and reading back included."""
        return self.report.count / self.new_tokens


def watch(of: Subject, *, stack: bool = False) -> Watched:
    """One `generate` on the CPU, which plays the device."""
    if of.config is None:
        report, ids = watch_transformers(of.llava, of.batch, max_new_tokens=NEW_TOKENS, stack=stack)
    else:
        model = HybridLlava(of.llava, of.config)
        batch: Mapping[str, Tensor] = of.batch
        report, ids = watch_hybrid(model, **batch, max_new_tokens=NEW_TOKENS, stack=stack)
    return Watched(report, ids.shape[1] - of.batch["input_ids"].shape[1])


def waits_gate(of: Subject, watched: Watched, *, reproduce: str) -> list[Verdict]:
    """Verdicts on the source, on the watched run, and on the same code on `meta`.

    Raises:
        UserError: for transformers' own model, which the ledger does not speak of.
    """
    if of.config is None:
        raise UserError(
            f"{of.name} is transformers' own and has no ledger: use --trace or --compare"
        )
    return [
        static_verdict(reproduce=reproduce),
        *syncs_gate({"hybrid generate": watched.report}, load_ledger(), reproduce=reproduce),
        meta_verdict(of.shape or of, reproduce=reproduce),
    ]


def files_on_the_path() -> list[Path]:
    """The files of `hybrid` that an answer goes through."""
    folder = Path(hybrid.__file__).parent
    rooms = {file: file.relative_to(folder).parts[0] for file in sorted(folder.rglob("*.py"))}
    return [file for file, room in rooms.items() if room not in OFF_THE_PATH]


def static_verdict(*, reproduce: str) -> Verdict:
    """No spelling that waits in `hybrid`, but where `# sync-ok:` says why it may."""
    files = files_on_the_path()
    found = lint_paths(files)
    rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return none_at_all(
        "syncs/static",
        len(found),
        f"{found[0]}{rest}" if found else f"no spelling that waits in {len(files)} files",
        reproduce,
    )


def meta_verdict(of: Subject, *, reproduce: str) -> Verdict:
    """Prefill and two decode steps run on `meta`, where there is no value to read.

    Raises:
        UserError: the run broke off for another reason, so nothing was learnt.
    """
    assert of.config is not None
    model = HybridLlava(deepcopy(of.llava).to("meta"), of.config)
    inputs = model.place(**dict(of.batch))  # looked at on the host, then without values

    def run() -> None:
        state = model.prefill(inputs, 3)
        for _ in range(2):
            model.select(state)
            model.decode(state)

    try:
        opinion = second_opinion(run)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"the run on the meta device broke off, which says nothing: {reason}"
        ) from (error)
    findings = opinion.report.findings
    return none_at_all(
        "syncs/meta",
        opinion.report.count,
        f"{findings[0].site} {findings[0].operator}: {findings[0].site.source}"
        if findings
        else "prefill and decode read no value and leave the device nowhere",
        reproduce,
    )


def none_at_all(gate: str, count: int, reason: str, reproduce: str) -> Verdict:
    """FAIL for any wait."""
    return Verdict(
        gate=gate,
        outcome=Outcome.FAIL if count else Outcome.PASS,
        reason=reason,
        reproduce=reproduce,
        numbers={"value": float(count), "must_be": "<=", "bound": 0.0},
    )
