"""Which options can be given where nothing heeds them: there they are refused, in one line.

Only words of the command line are looked at. What a profile or FASTV_K says holds for many
commands, and may be idle in one of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from bench.base.errors import UserError
from bench.cli.options import is_given

if TYPE_CHECKING:
    from bench.arms.profiles import Profile


@dataclass(frozen=True)
class Idle:
    """Options that have no effect, by their parameters' names, and why.

    Attributes:
        reason: goes on behind the option's name and a colon.
        options: that are idle.
        but: if given, the others are idle, whatever their names.
    """

    reason: str
    options: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    def takes(self, option: str) -> bool:
        """Whether `option` is heeded."""
        return option in self.but if self.but else option not in self.options


# What a command finds itself in -> what it cannot heed then. The first two are kinds of data.
IDLE: Mapping[str, Idle] = {
    "coco": Idle("captions have no options to read", ("matcher",)),
    "mmbench": Idle("multiple choice is scored by letters", ("tokeniser", "spice")),
    "gate without questions": Idle("the profile judges captions alone", ("matcher", "prompt")),
    "gate without captions": Idle("the profile judges no captions", ("caption_prompt",)),
    "run --mode infer": Idle("--mode infer scores nothing", ("matcher", "tokeniser", "spice")),
    "run --mode eval": Idle("--mode eval lets no model answer", ("verbose", "batch_size")),
    "compare without names": Idle("both runs are files, and none a name", ("references",)),
    "demo of off": Idle("nothing is reduced, so there is nothing to draw", ("out",)),
    "latency --aa": Idle("--aa judges nothing that could be kept", ("history",)),
    "latency of one revision": Idle(
        "without --against or --aa there are no revisions to tell apart", ("smallest_effect",)
    ),
    "sweep of methods": Idle(
        "--methods names what is swept, in place of the grid", ("merge", "thresholds")
    ),
    "sweep by averages": Idle("--average says what each method keeps", ("keep",)),
    "sweep of the grid": Idle("without --methods a grid is swept", ("average",)),
    "sweep without merging": Idle("--merge off merges nothing", ("thresholds",)),
    "--regen": Idle(
        "--regen writes all records, and no report", ("work_dir", "chosen_arm", "keep")
    ),
    "cost --gpu": Idle("--gpu writes no report", ("work_dir",)),
    "records of all": Idle("each record has a budget of its own, without --method", ("keep",)),
    "syncs --static": Idle("--static reads the source and runs nothing", but=("static",)),
    "syncs unjudged": Idle(
        "--trace and --compare watch on the CPU and write no report", ("work_dir", "require_gpu")
    ),
    "gate-check replayed": Idle("nothing is recorded without --record", ("minutes",)),
    "gate-check --live": Idle("--live records and replays nothing", ("minutes", "recording")),
    "gate-check --record": Idle("--record replays nothing", ("recording",)),
    "history add": Idle("`history add` takes its own behind it", ("file", "machine", "output")),
    "mutants --add": Idle("--add starts a file and runs nothing", but=("add",)),
    "mutants --list": Idle("--list runs nothing", but=("listed", "only")),
    "mutants --repeat-clean": Idle("--repeat-clean writes no page", ("work_dir",)),
}


def demand_heeded(context: typer.Context, *where: str) -> None:
    """Raises UserError for a given option that is idle in one of `where`, names of IDLE."""
    for name in where:
        idle = IDLE[name]
        for parameter in context.command.params:
            option = str(parameter.name)
            if is_given(context, option) and not idle.takes(option):
                raise UserError(f"{spelled(parameter)}: {idle.reason}: leave it out")


def spelled(parameter: object) -> str:
    """A parameter as it is typed: its long name."""
    return str(max(getattr(parameter, "opts"), key=len))  # noqa: B009  click's or typer's own class


def demand_arm_heeds(
    profile: "Profile", arm: str, *, keep: str | None, thresholds: str | None
) -> None:
    """Raises UserError for a --keep or --thresholds that the arm has no use for."""
    from bench.arms.models import arm_config
    from hybrid import Keep

    config = arm_config(arm, profile, Keep(count=1))
    model = profile.model.names if arm == "dense" else f"{profile.model.names}_{arm}"
    meant = f"leave the option out, or did you mean {profile.model.names}_hybrid?"
    prunes = config is not None and (config.budget.prunes or config.method)
    if keep is not None and not prunes and Keep.parse(keep, source="--keep").prunes:
        raise UserError(f"--keep {keep}: {model} keeps every visual token: {meant}")
    if thresholds is not None and (config is None or config.thresholds is None):
        raise UserError(f"--thresholds {thresholds}: {model} merges nothing: {meant}")
