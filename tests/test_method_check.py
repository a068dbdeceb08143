"""`method check`: what keeps every promise passes, a broken copy is named by what it breaks."""

import re
from pathlib import Path

import pytest

from bench.arms import own
from bench.arms.own import demand_budgeted
from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.gates.method.check import method_gate
from bench.gates.method.promises import PROMISES
from bench.gates.method.template import TEMPLATES, new_method
from bench.report.sweep.grid import parse_budgets
from hybrid import Keep
from hybrid.methods import METHODS
from tests.commands import Typed
from tests.own_methods import LARGEST_KEYS, mine

__all__ = ["mine"]
RANKED = "return read.of_image(read.key.float().norm(dim=-1).mean(dim=1))"
HAND_OVER = TEMPLATES["hand-over"].format(name="Mine")
CHOSEN = (
    "return top(self.scores(visual.features), visual.valid, self.slots_of(visual.valid.shape[1]))"
)


def judged(name: str, keep: str | None = None) -> dict[str, Verdict]:
    arm, make = demand_budgeted(name)
    asked = [] if keep is None else parse_budgets(keep)
    found = method_gate(arm, make, asked, embedded=False, reproduce="again")
    return {verdict.gate.removeprefix("method/"): verdict for verdict in found}


def broken(path: Path, source: str, *lines: str) -> dict[str, str]:
    """The promises that a copy breaks, with `lines` in place of its rule -> why."""
    indent = "\n        ".join(lines)
    rule = RANKED if RANKED in source else CHOSEN
    assert source.count(rule) == 1
    path.write_text(source.replace(rule, indent))
    own.forget()
    found = judged(f"{path}:Mine", "9")
    assert set(found) == set(PROMISES)
    return {
        promise: verdict.reason
        for promise, verdict in found.items()
        if verdict.outcome is Outcome.FAIL
    }


def test_the_verdict_of_a_promise_names_the_budgets_and_the_largest_difference() -> None:
    found = judged("fastv")
    assert set(found) == set(PROMISES)
    for verdict in found.values():
        assert verdict.outcome is Outcome.PASS, verdict
        assert "(keep 1, 5, 9, 20, 0.5, 7 behind merging" in verdict.reason
    assert float(found["dropped-is-hidden"].numbers["value"]) < 1e-3


@pytest.mark.parametrize("place", TEMPLATES)
def test_a_third_partys_method_keeps_them_at_each_budget(mine: Path, place: str) -> None:
    mine.write_text(TEMPLATES[place].format(name="Mine"))
    found = judged(f"{mine}:Mine")
    assert {verdict.outcome for verdict in found.values()} == {Outcome.PASS}, found
    budgets = "5, 9, 20, 0.5" if place == "tower" else "1, 5, 9, 20, 0.5, 7 behind merging"
    assert all(f"(keep {budgets}" in verdict.reason for verdict in found.values())


def test_what_is_broken_here_is_in_order_as_it_is(mine: Path) -> None:
    assert broken(mine, LARGEST_KEYS, RANKED) == {}
    assert broken(mine, HAND_OVER, CHOSEN) == {}


def test_one_that_mixes_the_samples_of_a_batch_is_named(mine: Path) -> None:
    scores = RANKED.replace("return", "scores =")
    for lines in (
        (scores, "return scores.mean(dim=0, keepdim=True).expand_as(scores)"),
        (scores, "return scores[:1].expand_as(scores)"),
        # Alone as where the second sample has no padding, which is so in the first order.
        (scores, "return scores * (2 * read.valid[1:2, 0].all() - 1)"),
        # What stands first in a padded prompt is padding.
        (
            "hidden = read.hidden.float()",
            "return read.of_image(hidden @ hidden[:, 0, :, None])[..., 0]",
        ),
    ):
        found = broken(mine, LARGEST_KEYS, *lines)
        assert set(found) <= {"alone-as-in-a-batch", "cached-is-recomputed"}
        assert found["alone-as-in-a-batch"].startswith("samples of a batch see each other"), lines


def test_one_that_waits_is_named_by_its_line(mine: Path) -> None:
    found = broken(
        mine,
        LARGEST_KEYS,
        RANKED.replace("return", "scores ="),
        "return scores if scores.max().item() > 0 else -scores",
    )
    assert set(found) == {"waits", "countable"}
    line = next(n for n, text in enumerate(mine.read_text().splitlines(), 1) if ".item()" in text)
    assert re.match(rf"the host waits at \S*mine\.py:{line} \(Tensor\.item\): ", found["waits"])
    assert found["countable"].startswith("it asks for values")


def test_one_that_renumbers_positions_is_named(mine: Path) -> None:
    found = broken(
        mine,
        LARGEST_KEYS,
        "import torch",
        "at = read.standing.position",
        "at.copy_(torch.arange(at.shape[1], device=at.device).flip(0).expand_as(at))",
        RANKED,
    )
    assert found["nothing-edited"].startswith(
        "Mine changes standing.position in place and so renumbers positions"
    )
    found = broken(
        mine,
        HAND_OVER,
        "choice = " + CHOSEN.removeprefix("return "),
        "import torch",
        "from hybrid.merging import rows",
        "first = torch.arange(choice.slot.shape[1], device=choice.slot.device)",
        "features = rows(visual.features, choice.slot)",
        "return Choice(first.expand_as(choice.slot), choice.valid, features)",
    )
    assert found["positions"].startswith("Mine renumbers positions: at slot 0 of sample 0 it hands")


ODD = {  # the rule in place of LARGEST_KEYS' -> what it breaks, and how that begins
    "draws": (
        ("import torch", "return torch.rand(read.standing.present.shape).double()"),
        {"repeatable": "it keeps other tokens at each call"},
    ),
    "in half": (
        (RANKED.replace(".float()", ".half()"),),
        {"shapes": "Mine: scores are torch.float16: float32 or wider"},
    ),
    "no numbers": (
        (f"{RANKED} * float('nan')",),
        {"shapes": "Mine: scores are no numbers"},
    ),
    "of the prompt": (
        ("return read.key.float().norm(dim=-1).mean(dim=1)",),
        {"shapes": "Mine: scores are [4, 55], and there are [4, 36] slots"},
    ),
    "in half precision alone": (
        (RANKED.replace(".float()", ""),),
        {"half-precision": "in bfloat16: Mine: scores are torch.bfloat16: float32 or wider"},
    ),
    "remembers": (
        (
            RANKED.replace("return", "keys ="),
            "calls = self.__dict__.setdefault('calls', [])",
            "calls.append(keys)",
            "return -keys if len(calls) == 2 else keys",
        ),
        {"repeatable": "it keeps other tokens at each call"},
    ),
    "ends the process": (
        ("raise SystemExit(0)",),
        dict.fromkeys(PROMISES, "Mine: keeping 9 raises SystemExit at mine.py:19 (0): "),
    ),
    "raises": (
        ("raise RuntimeError('not yet')",),
        dict.fromkeys(PROMISES, "Mine: keeping 9 raises RuntimeError at mine.py:19 (not yet): "),
    ),
    "edits": (
        ("read.hidden.mul_(2)", RANKED),
        {"nothing-edited": "Mine changes hidden in place"},
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_what_else_can_go_wrong_is_named(mine: Path, case: str) -> None:
    lines, said = ODD[case]
    found = broken(mine, LARGEST_KEYS, *lines)
    for promise, reason in said.items():
        assert found.get(promise, "").startswith(reason), (promise, found)


def test_more_than_announced_is_named(mine: Path) -> None:
    found = broken(
        mine,
        HAND_OVER,
        "return top(self.scores(visual.features), visual.valid, 12)",
    )
    assert found["shapes"].startswith("Mine: 12 slots are handed on, and 9 were announced")
    assert found["tokens-a-layer"].startswith("layers get [12, ")
    found = broken(
        mine,
        HAND_OVER,
        "slot, valid, _ = " + CHOSEN.removeprefix("return "),
        "return Choice(slot.flip(1), valid)",
    )
    assert "in rising order" in found["shapes"] and "positions" in found


def test_more_than_the_budget_is_named(mine: Path) -> None:
    more = f"{HAND_OVER}\n    def slots_of(self, slots: int) -> int:\n        return 12\n"
    found = broken(mine, more, CHOSEN)
    assert found["tokens-a-layer"].startswith(
        "12 tokens are left, of a budget of 9 (keep 9, and 1 budget more)"
    )


def test_empty_slots_and_padding_in_between_are_named(mine: Path) -> None:
    found = broken(mine, HAND_OVER, CHOSEN.replace("visual.valid,", "visual.valid | True,"))
    assert found["shapes"].startswith("Mine: an empty slot is handed on as a token")
    assert found["shapes"].endswith("(keep 7 behind merging)")
    found = broken(
        mine,
        HAND_OVER,
        "slot, valid, _ = " + CHOSEN.removeprefix("return "),
        "return Choice(slot, valid & (slot != slot[:, 1:2]))",
    )
    assert found["shapes"].startswith("Mine: padding stands in front of a slot that stays")


def test_means_that_stand_at_other_patches_are_named(mine: Path) -> None:
    chosen = "found = " + CHOSEN.removeprefix("return ")
    means = (
        "from hybrid.merging import rows",
        "next = visual.features.roll(-1, dims=1)",
        "mixed = (visual.features + next) / 2",
        "features = rows(mixed, found.slot)",
    )
    assert "positions" not in broken(
        mine, HAND_OVER, chosen, *means, "return found._replace(features=features)"
    )
    found = broken(
        mine,
        HAND_OVER,
        chosen,
        *means,
        "import torch",
        "first = torch.arange(found.slot.shape[1], device=found.slot.device)",
        "return Choice(first.expand_as(found.slot), found.valid, features)",
    )
    assert re.match(
        r"Mine renumbers positions: what it hands on at slot \d+ of sample \d is not made of what",
        found["positions"],
    )


def test_a_tower_that_edits_what_it_is_handed_is_named(mine: Path) -> None:
    mine.write_text(
        "from hybrid.methods.tome import ToMe\n\n\nclass Mine(ToMe):\n"
        "    def merge(self, block, tokens, keys):\n        keys.mul_(2)\n"
        "        return super().merge(block, tokens, keys)\n"
    )
    own.forget()
    found = judged(f"{mine}:Mine", "9")
    failed = {name for name, verdict in found.items() if verdict.outcome is Outcome.FAIL}
    assert failed == {"nothing-edited"}
    assert found["nothing-edited"].reason.startswith("Mine changes keys in place")


def test_the_embedded_model_is_asked_too_where_it_takes_the_method(mine: Path) -> None:
    found = method_gate("divprune", METHODS["divprune"], [Keep(count=9)], reproduce="again")
    assert {verdict.outcome for verdict in found} == {Outcome.PASS}
    assert all("(keep 9, 9 of the embedded model" in verdict.reason for verdict in found)
    # Waits on 144 patches alone: what no small model shows.
    lines = (RANKED.replace("return", "keys ="), "if keys.shape[1] > 99: keys.max().item()")
    mine.write_text(LARGEST_KEYS.replace(RANKED, "\n        ".join((*lines, "return keys"))))
    own.forget()
    arm, make = demand_budgeted(f"{mine}:Mine")
    waits = {v.gate: v for v in method_gate(arm, make, [Keep(count=9)], reproduce="again")}
    assert waits["method/waits"].outcome is Outcome.FAIL
    assert "(keep 9 of the embedded model" in waits["method/waits"].reason


def test_a_deep_method_is_tried_on_a_deep_model(mine: Path) -> None:
    mine.write_text(LARGEST_KEYS.replace("layer: int = 2", "layer: int = 20"))
    own.forget()
    assert {v.outcome for v in judged(f"{mine}:Mine", "9").values()} == {Outcome.PASS}


def test_a_budget_that_it_does_not_take_is_an_error() -> None:
    with pytest.raises(UserError, match=r"tome: keep=1 has block .*; give --keep a budget"):
        judged("tome", "9,1")
    with pytest.raises(UserError, match="hybrid is no method: choose from tome,"):
        judged("hybrid")


@pytest.mark.parametrize("place", TEMPLATES)
def test_a_new_method_is_in_order_as_it_is(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    monkeypatch.chdir(tmp_path)
    own.forget()
    made = typed("method", "new", "LargestKeys", "--place", place)
    assert made.code == 0
    next_command = "python -m bench method check largest_keys.py:LargestKeys"
    assert made.out == f"written: largest_keys.py\nnext: {next_command}\n"
    assert len((tmp_path / "largest_keys.py").read_text().splitlines()) <= 45
    ran = typed(*next_command.split()[3:], "--keep", "18,20")
    assert ran.code == 0, ran.out
    assert ran.out.count("PASS") == len(PROMISES) and "FAIL" not in ran.out
    assert "at LLaVA-1.5-7B's shape, keep 18, 20; counted, not timed" in ran.out
    rows = [row.split() for row in ran.out.splitlines()]
    kept = [row[-6:-5] for row in rows if row[:1] in (["dense"], ["LargestKeys"])]
    assert kept == [["576"], ["18"], ["20"]], ran.out
    picture = [line for line in ran.out.splitlines() if set(line) <= {" ", "#", "·"} and line]
    assert len(picture) == 2 * 12
    marked = ["".join(picture[at : at + 12]).count("#") for at in (0, 12)]
    assert marked == ([144, 144] if place == "tower" else [18, 20])  # all are in a merged one
    again = typed("method", "new", "LargestKeys", "--place", place)
    assert again.code == 2 and "largest_keys.py is there already" in again.err


def test_a_broken_method_ends_with_1_and_a_name_that_is_none_with_2(
    mine: Path, typed: Typed
) -> None:
    mine.write_text(LARGEST_KEYS.replace(RANKED, f"{RANKED}[:1].expand(4, -1)"))
    own.forget()
    work = str(mine.parent / "work")
    ran = typed("method", "check", f"{mine}:Mine", "--keep", "9", "--work-dir", work)
    assert ran.code == 1 and "method/alone-as-in-a-batch" in ran.out
    for rule, line in (
        ("raise KeyError('x')", "raises KeyError at mine.py:19 ('x')"),
        ("raise SystemExit(0)", "raises SystemExit at mine.py:19 (0)"),
    ):
        mine.write_text(LARGEST_KEYS.replace(RANKED, rule))
        own.forget()
        ran = typed("method", "check", f"{mine}:Mine", "--keep", "9", "--work-dir", work)
        assert ran.code == 1 and "Traceback" not in ran.out + ran.err
        assert f"no picture: Mine: keeping 9 {line}" in ran.out
    for name, line in (("1st", "'1st' can't be a method's name"), ("class", "'class' can't be")):
        assert line in typed("method", "new", name).err


def test_all_names_of_a_new_method_become_files(tmp_path: Path) -> None:
    assert new_method("MyOwnRule2", "language", tmp_path).name == "my_own_rule2.py"
    with pytest.raises(UserError, match=r"cannot write .*No such file"):
        new_method("Mine", "language", tmp_path / "nowhere")
