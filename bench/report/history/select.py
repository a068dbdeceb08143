"""Whose runs are shown: one machine's, never a mixture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.base.errors import UserError
from bench.report.history.store import Entry, History
from bench.report.origin import machine_here


@dataclass(frozen=True)
class Chosen:
    """Entries of one machine. notes: what was left out, for the reader."""

    machine: Mapping[str, str]
    entries: Sequence[Entry]
    notes: Sequence[str]


def select(history: History, machine: str | None = None) -> Chosen:
    """The runs of this machine, or of the only one whose name holds `machine`.

    Raises UserError if there are none, or if `machine` fits several.
    """
    names = {machine_name(entry.origin.machine): entry.origin.machine for entry in history.entries}
    if not names:
        raise UserError("the history is empty: add a run by python -m bench history add outputs")
    known = "; ".join(names)
    if machine is None:
        name = machine_name(machine_here())
        if name not in names:
            raise UserError(
                f"the history has no run of this machine ({name}), only of: {known}; choose one"
                " with --machine"
            )
    else:
        # A whole name fits itself alone, even where it is a part of another's.
        fits = [machine] if machine in names else [name for name in names if machine in name]
        if len(fits) != 1:
            raise UserError(f"--machine {machine!r} fits {len(fits)} of: {known}")
        name = fits[0]
    entries = [e for e in history.entries if machine_name(e.origin.machine) == name]
    notes = []
    if len(entries) < len(history.entries):
        left = len(history.entries) - len(entries)
        notes.append(f"{left} runs of {len(names) - 1} other machines are left out")
    if history.torn:
        notes.append("the last line is torn and left out: its writer was killed")
    return Chosen(names[name], entries, notes)


def machine_name(machine: Mapping[str, str]) -> str:
    """`AMD EPYC 7B13, 2 cores, torch 2.13.0`, with the GPU in front if there is one."""
    gpu = f"{machine['gpu']}, " if machine.get("gpu", "none") != "none" else ""
    cpu, cores = machine.get("cpu", "?"), machine.get("cores", "?")
    return f"{gpu}{cpu}, {cores} cores, torch {machine.get('torch', '?')}"
