"""Budgets: what an arm is said to spend is what it spends when it runs."""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.arms.profiles import load_profile
from bench.arms.random_prompts import WORDS
from bench.base.errors import UserError
from bench.cost.budget import Counted, spent
from bench.cost.count import counting
from bench.cost.spending import TITLE, Budget, scaled
from hybrid import HybridConfig, HybridLlava, Keep, hybridize
from hybrid.inputs import Inputs
from hybrid.methods import METHODS
from hybrid.methods.dart import Dart
from hybrid.stages import Read
from tests.commands import Typed
from tests.llavas import PATCHES, random_llava
from tests.own_methods import edited, mine

__all__ = ["mine"]
CONFIGS = {
    "fastv": HybridConfig(keep=5, aggregation_layer=1),
    "share": HybridConfig(keep=Keep(removed=Fraction(1, 2)), aggregation_layer=1),
    "merged": HybridConfig(thresholds=(0.9,) * 4, capacity=20, keep=5, aggregation_layer=1),
    "hidden": HybridConfig(keep=5, aggregation_layer=1, prune="mask"),
    **{name: HybridConfig(method=(make(Keep(count=9)),)) for name, make in METHODS.items()},
}


@pytest.fixture(scope="module")
def llava() -> Any:
    return random_llava()


def prompt_of(llava: Any) -> Inputs:
    image = torch.full((1, PATCHES), llava.config.image_token_id)
    ids = torch.cat([torch.ones(1, 1, dtype=torch.long), image, torch.full((1, WORDS - 1), 5)], 1)
    side = llava.config.vision_config.image_size
    pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return HybridLlava(llava, HybridConfig()).place(ids, pixels)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_arm_spends_what_is_said(llava: Any, name: str) -> None:
    said = Counted(llava.config, llava.dtype).budget(CONFIGS[name])
    model, inputs = hybridize(llava, CONFIGS[name]), prompt_of(llava)
    with torch.inference_mode(), counting(llava.parameters()) as cost:
        state = model.prefill(inputs, 1)
    layers = range(len(model.language.layers))
    lengths = [state.cache.prompt_length(layer) for layer in layers]
    assert said.average == pytest.approx(fmean(lengths) - WORDS)
    assert said.tokens == lengths[-1] - WORDS
    of_new_tokens = state.cache.nbytes() // sum(length + 1 for length in lengths) * len(lengths)
    assert said.cache_bytes == state.cache.nbytes() - of_new_tokens
    assert said.flops == cost.flops


def test_less_costs_less_and_dense_is_all() -> None:
    tiny = load_profile("tiny")
    found = spent(tiny, ("dense", "off", "fastv", "divprune"), Keep(count=9))
    dense, off, fastv, divprune = found.values()
    assert dense.average == off.average == 144.0 and dense.cache_bytes == off.cache_bytes
    flops = [budget.flops or 0 for budget in (divprune, fastv, off, dense)]
    assert flops == sorted(flops) and flops[0] > 0
    assert divprune.cache_bytes < fastv.cache_bytes < dense.cache_bytes
    with pytest.raises(UserError, match="no arm 'best'"):
        spent(tiny, ["best"], Keep(count=9))


@dataclass(frozen=True)
class Asks:
    keep: Keep
    layer: int = 2

    def scores(self, read: Read) -> Tensor:
        norms = read.of_image(read.hidden.float().norm(dim=-1)[..., None])[..., 0]
        return norms if norms.sum().item() > 0 else -norms


def test_what_asks_for_values_is_not_counted_and_said(llava: Any) -> None:
    counted = Counted(llava.config, llava.dtype)
    found = counted.budget(HybridConfig(method=(Asks(Keep(count=9)),)))
    assert (found.flops, found.tokens) == (None, 9)
    assert found.cells[2] == "not counted"


def test_a_fault_of_a_method_that_ships_is_no_gap_in_a_table(
    llava: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> Tensor:
        raise RuntimeError("planted")

    monkeypatch.setattr(Dart, "scores", faulty)
    with pytest.raises(RuntimeError, match="planted"):
        Counted(llava.config, llava.dtype).budget(HybridConfig(method=(Dart(Keep(count=9)),)))


def test_a_method_of_ones_own_has_a_budget_in_each_table(mine: Path, typed: Typed) -> None:
    edited(mine, "layer: int = 2", "layer: int = 1")
    work = str(mine.parent / "work")
    line = ["--limit", "2", "--keep", "9", "--method", f"{mine}:Mine"]
    ran = typed("run", "--data", "tiny-mmbench", "--model", "tiny", *line, "--work-dir", work)
    assert ran.code == 0
    rows = {row.split()[0]: row.split()[1:3] for row in ran.out.splitlines() if row.strip()}
    assert (rows["dense"], rows["Mine"]) == (["144", "144.0"], ["9", "36.0"])


def test_a_run_records_what_it_spends_and_its_readers_say_it(tmp_path: Path, typed: Typed) -> None:
    keep = Keep(count=9)
    (expected,) = spent(load_profile("tiny"), ["hybrid"], keep).values()
    asked = ("--data", "tiny-mmbench", "--model", "tiny_hybrid", "--keep", "9", "--limit", "2")
    command = ("run", *asked, "--work-dir", str(tmp_path))
    assert typed(*command).code == 0
    path = tmp_path / "tiny_hybrid" / "tiny-mmbench" / "run.json"
    document = json.loads(path.read_text())
    assert document["budget"] == asdict(expected)
    for line in ((*command, "--mode", "eval"), ("score", str(path.parent))):
        ended = typed(*line)
        assert ended.code == 0 and TITLE in ended.out
        assert ended.out.split(TITLE)[1].split("cache\n")[1].split()[1:3] == expected.cells[:2]
    del document["budget"]
    path.write_text(json.dumps(document))
    assert typed("score", str(path.parent)).out.split(TITLE)[1].count("not recorded") == 4
    assert typed(*command, "--reuse").code == 0  # what was made before budgets goes on
    path.write_text(json.dumps(document | {"budget": {"tokens": "9"}}))
    ended = typed("score", str(path.parent))
    assert ended.code == 2 and "run.json is damaged" in ended.err


def test_numbers_have_three_digits_and_a_prefix() -> None:
    assert [scaled(n) for n in (0, 999, 1000, 662_403_328, 4.6e12)] == [
        "0 ",
        "999 ",
        "1 k",
        "662 M",
        "4.6 T",
    ]
    assert Budget(36, 43.75, 10**9, 512_000).cells == ["36", "43.8", "1 G", "512 kB"]
