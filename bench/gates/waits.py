"""The sync gate of a profile: its model on its own prompts, watched and judged by the ledger."""

from pathlib import Path
from typing import Any

import hybrid
from bench.errors import UserError
from bench.gates.syncs import syncs_gate
from bench.models import Answerer, arm_config, load_checkpoint
from bench.profiles import Profile
from bench.syncs.ledger import load_ledger
from bench.syncs.lint import lint_paths
from bench.syncs.report import Report
from bench.syncs.scenarios import watch_hybrid, watch_transformers
from bench.tasks import load_task
from bench.verdict import Outcome, Verdict
from hybrid import Keep

# Not on the way from pixels to ids: the oracle, and tools that work on files.
OFF_THE_PATH = ("reference.py", "calibrate.py", "towers.py")
SAMPLES = 2
NEW_TOKENS = 8


def watch(profile: Profile, arm: str, keep: Keep, *, stack: bool = False) -> Report:
    """One `generate` of `arm` on the profile's first questions, under the CPU tier.

    Raises UserError on a device that this tier cannot watch.
    """
    if profile.model.device != "cpu":
        raise UserError(
            f"the CPU tier cannot watch profile {profile.name}, which runs on "
            f"{profile.model.device}: use --profile tiny"
        )
    checkpoint = load_checkpoint(profile)
    answerer = Answerer(checkpoint, arm_config(arm, profile, keep))
    samples = load_task(profile.data.mmbench).samples[:SAMPLES]
    batch: dict[str, Any] = dict(
        answerer.encode([s.prompt for s in samples], [s.image() for s in samples])
    )
    if answerer.hybrid is None:
        return watch_transformers(answerer.llava, batch, max_new_tokens=NEW_TOKENS, stack=stack)[0]
    return watch_hybrid(answerer.hybrid, **batch, max_new_tokens=NEW_TOKENS, stack=stack)[0]


def waits_gate(profile: Profile, arm: str, keep: Keep, *, reproduce: str) -> list[Verdict]:
    """Verdicts on the source (`syncs/static`) and on the watched run (`syncs/hybrid generate`)."""
    report = watch(profile, arm, keep)
    return [
        static_verdict(reproduce=reproduce),
        *syncs_gate({"hybrid generate": report}, load_ledger(), reproduce=reproduce),
    ]


def static_verdict(*, reproduce: str) -> Verdict:
    """No spelling that waits in `hybrid`, but where `# sync-ok:` says why it may."""
    folder = Path(hybrid.__file__).parent
    files = [path for path in sorted(folder.glob("*.py")) if path.name not in OFF_THE_PATH]
    found = lint_paths(files)
    rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Verdict(
        gate="syncs/static",
        outcome=Outcome.FAIL if found else Outcome.PASS,
        reason=f"{found[0]}{rest}" if found else f"no spelling that waits in {len(files)} files",
        reproduce=reproduce,
        numbers={"value": float(len(found)), "must_be": "<=", "bound": 0.0},
    )
