"""Each family: transformers' own where nothing is reduced, and every method on it where it is."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.gates.sync.scenarios import watch_hybrid, watch_transformers
from hybrid import ConfigError, HybridConfig, HybridLlava, Keep, hybridize
from hybrid.families import FAMILIES as RUN
from hybrid.methods import METHODS
from hybrid.pruning import Allowance, keep_counts
from tests.families import FAMILIES, IMAGE, THREE_AXES, apart, ours, qwen_batch, theirs

STEPS = 8
EXACT = 1e-10  # of the logits' deviation, in float64
ROUNDED = 1e-3  # the same where transformers' own norm rounds to float32 in each layer
EACH = pytest.mark.parametrize("name", FAMILIES)
QWEN = pytest.mark.parametrize("name", THREE_AXES)
# In the tower of a LLaVA alone.
ELSEWHERE = {"tome", "downsample"}
METHOD = pytest.mark.parametrize("method", ["fastv", *(m for m in METHODS if m not in ELSEWHERE)])


@cache
def model_of(name: str) -> Any:
    return FAMILIES[name].make(5)


def reduced(llava: Any, method: str, keep: str, **others: Any) -> HybridLlava:
    if method == "fastv":
        config = HybridConfig(keep=keep, aggregation_layer=1, **others)
    else:
        config = HybridConfig(method=(METHODS[method](Keep.parse(keep)),), **others)
    return hybridize(llava, config)


def test_every_family_has_a_small_model() -> None:
    assert RUN.keys() == FAMILIES.keys()


@EACH
@pytest.mark.parametrize("rows", [[0], [1], [2], [3], [0, 1, 2, 3], [3, 2, 0], [0, 2]], ids=str)
def test_nothing_reduced_is_transformers_own(name: str, rows: list[int]) -> None:
    """Several images, none, other sizes in one batch, left padding; with the cache."""
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, sorted(rows))
    ids, logits = theirs(llava, given, STEPS)
    state, found = ours(hybridize(llava, HybridConfig()), given, STEPS)
    assert state.ids.equal(ids)
    assert apart(found, logits) <= ROUNDED


@EACH
def test_an_answer_has_the_prompt_as_it_was_given(name: str) -> None:
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, None)
    model = hybridize(llava, HybridConfig())
    answer: Tensor = model.generate(max_new_tokens=3, trace=False, **given)
    assert answer[:, : given["input_ids"].shape[1]].equal(given["input_ids"])


@METHOD
@EACH
def test_a_method_does_what_it_promises_on_every_family(name: str, method: str) -> None:
    """Everything kept is off; a prompt answers alone as among others; hidden is dropped."""
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, None)
    _, off = ours(hybridize(llava, HybridConfig()), given, 1)
    _, kept = ours(reduced(llava, method, "none"), given, 1)
    assert apart(kept, off) <= EXACT
    for keep in ("7", "0.5"):
        model = reduced(llava, method, keep)
        _, dropped = ours(model, given, 4)
        _, hidden = ours(reduced(llava, method, keep, prune="mask"), given, 4)
        assert apart(hidden, dropped) <= EXACT
        assert apart(dropped[:, 0], off[:, 0]) > EXACT
        assert apart(dropped[2, 0], off[2, 0]) <= EXACT, "a prompt without an image loses nothing"
        for row in range(len(kind.prompts)):
            _, alone = ours(model, kind.batch(kind.prompts, [row]), 2)
            assert apart(alone[0], dropped[row, :2]) <= EXACT, (keep, row)


@METHOD
@EACH
def test_the_host_never_waits(name: str, method: str) -> None:
    """From inputs that are on the device until the answer is read back."""
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, None)
    asked: dict[str, Any] = {**given, "max_new_tokens": 3}
    report, _ = watch_hybrid(reduced(llava, method, "7"), **asked)
    assert report.in_stage("prefill") == report.in_stage("decode") == 0, report.text()


@QWEN
def test_transformers_waits_where_this_does_not(name: str) -> None:
    kind, llava = FAMILIES[name], model_of(name)
    given = kind.batch(kind.prompts, [0, 1])
    given["mm_token_type_ids"] = (given["input_ids"] == IMAGE).int()
    report, _ = watch_transformers(llava, given, max_new_tokens=2)
    lines = [finding.site.source for finding in report.findings]
    assert any("lengths.tolist()" in line for line in lines), lines


@pytest.mark.parametrize("method", ["fastv", "dart", "pyramiddrop"])
@EACH
def test_a_budget_can_be_that_of_each_image(name: str, method: str) -> None:
    """No image's budget is spent on its neighbour; alone, hidden and dropped as ever."""
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, None)
    for keep in ("5", "0.5"):
        model = reduced(llava, method, keep, within="image")
        state, dropped = ours(model, given, 3)
        _, hidden = ours(reduced(llava, method, keep, within="image", prune="mask"), given, 3)
        assert apart(hidden, dropped) <= EXACT
        for row in range(len(kind.prompts)):
            _, alone = ours(model, kind.batch(kind.prompts, [row]), 2)
            assert apart(alone[0], dropped[row, :2]) <= EXACT, (keep, row)
        images, kept = model.place(**given).images, state.trace.kept
        assert images and kept
        position = state.trace.visual.position.gather(1, kept.slot)
        stages = model.stages.language
        for row, sizes in enumerate(images.sizes):
            of_image = images.number[row, position[row][kept.valid[row]]].tolist()
            for image, size in enumerate(sizes):
                for stage in stages:
                    size = stage.keep.of(size)  # noqa: PLW2901
                assert of_image.count(image) == size


@EACH
def test_virtual_unmerging_is_refused_where_a_prompt_has_not_one_square_image(name: str) -> None:
    kind, config = FAMILIES[name], HybridConfig(rope="virtual")
    with pytest.raises(ConfigError, match="virtual' unmerges one square image a prompt"):
        hybridize(model_of(name), config).place(**kind.batch(kind.prompts, [1]))


def test_within_a_prompt_the_best_of_all_images_stay() -> None:
    scores = torch.tensor([[9.0, 8.0, 7.0, 1.0, 2.0, 3.0]])
    present, image = torch.ones(1, 6).bool(), torch.tensor([[0, 0, 0, 1, 1, 1]])
    counts = torch.tensor(keep_counts(Keep(count=2), 6))
    assert Allowance(counts, 2).keep(scores, present).slot.tolist() == [[0, 1]]
    each = Allowance(counts, 4, image, 2)
    assert each.keep(scores, present).slot.tolist() == [[0, 1, 4, 5]]
    assert each.of_images(present).tolist() == [[2, 2]]
    gone = present.clone()
    gone[0, 3:5] = False
    kept = each.keep(scores, gone)
    assert kept.slot[kept.valid].tolist() == [0, 1, 5]


def rope_index(llava: Any, given: dict[str, Tensor]) -> Tensor:
    """transformers' own (t, h, w) of the unreduced prompts: [3, B, S]."""
    types = (given["input_ids"] == IMAGE).int()
    index, _ = llava.model.get_rope_index(
        given["input_ids"],
        mm_token_type_ids=types,
        image_grid_thw=given["image_grid_thw"],
        attention_mask=given["attention_mask"],
    )
    found: Tensor = index
    return found


@QWEN
def test_nothing_reduced_stands_where_transformers_has_it(name: str) -> None:
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, None)
    expected = rope_index(llava, given)
    found = hybridize(llava, HybridConfig()).place(**given).position_ids
    assert found[..., -expected.shape[-1] :].equal(expected)


@QWEN
@pytest.mark.parametrize("method", ["fastv", "divprune", "pyramiddrop"])
def test_what_stays_keeps_its_time_height_and_width_and_text_goes_on_from_the_unreduced_image(
    method: str, name: str
) -> None:
    llava, kind = model_of(name), FAMILIES[name]
    for row in (0, 1, 3):
        given = kind.batch(kind.prompts, [row])
        state, _ = ours(reduced(llava, method, "7"), given, 2)
        expected = rope_index(llava, given)[:, 0]  # [3, S]
        is_image = given["input_ids"][0] == IMAGE
        triples = {tuple(triple) for triple in expected[:, is_image].T.tolist()}
        found = state.trace.pruned_position_ids[:, 0].T.tolist()
        text = expected[:, ~is_image].T.tolist()
        visual = [triple for triple in found if triple not in text]
        assert [triple for triple in found if triple in text] == text
        assert 0 < len(visual) <= 7 * len(given["image_grid_thw"])
        assert {tuple(triple) for triple in visual} < triples
        after = int(expected.max()) + 1
        assert [span.next_position.tolist() for span in state.spans] == [
            [[after]] * 3 for _ in state.spans
        ]


@QWEN
def test_compact_positions_are_renumbered_on_every_axis(name: str) -> None:
    llava, kind = model_of(name), FAMILIES[name]
    given = kind.batch(kind.prompts, [0])
    state, _ = ours(reduced(llava, "fastv", "7", rope="compact"), given, 1)
    length = 7 + 3 + 5 + 2
    assert state.trace.pruned_position_ids.tolist() == [[[*range(length)]]] * 3


@QWEN
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda g: g.pop("image_grid_thw"), "come with image_grid_thw"),
        (lambda g: g.update(image_grid_thw=g["image_grid_thw"] + 1), "image 0 has 2 x 9 x 13"),
        (lambda g: g.update(image_grid_thw=g["image_grid_thw"].flip(1)), "one frame, whose sides"),
        (lambda g: g.update(pixel_values=g["pixel_values"][1:]), "image_grid_thw asks for"),
        (lambda g: g.update(image_grid_thw=g["image_grid_thw"][:, [0, 2, 1]]), ""),
        (lambda g: g["input_ids"].masked_fill_(g["input_ids"] == IMAGE, 7), "have no placeholders"),
        (lambda g: g["input_ids"][0, 5].fill_(7), "image placeholders in a row"),
        (lambda g: g["input_ids"][0, -1].fill_(93), "videos are not supported"),
        (lambda g: g.update(pixel_values=None, image_grid_thw=None), "there is no image left"),
    ],
)  # fmt: skip
def test_what_a_qwen_does_not_take_is_one_line_that_says_so(
    change: Any, said: str, name: str
) -> None:
    given = qwen_batch([[3, (4, 6), 5]])
    change(given)
    model = hybridize(model_of(name), HybridConfig())
    if not said:  # 6 x 4 tokens are as many as 4 x 6
        model.place(**given)
        return
    with pytest.raises(ConfigError, match=said):
        model.place(**given)


@QWEN
@pytest.mark.parametrize("method", sorted(ELSEWHERE))
def test_what_acts_in_a_clip_tower_is_refused_on_another(method: str, name: str) -> None:
    with pytest.raises(ConfigError, match="take a method of the hand-over or language place"):
        reduced(model_of(name), method, "7")


@EACH
def test_a_checkpoint_is_loaded_by_what_its_config_says(name: str, tmp_path: Path) -> None:
    llava, kind = model_of(name), FAMILIES[name]
    llava.save_pretrained(tmp_path)
    given = kind.batch(kind.prompts, [0, 1])
    loaded = HybridLlava.from_pretrained(tmp_path, HybridConfig(), dtype=torch.float64)
    _, found = ours(loaded, given, 2)
    assert apart(found, ours(hybridize(llava, HybridConfig()), given, 2)[1]) <= EXACT


@EACH
def test_what_a_family_does_not_take_is_refused_by_its_name(name: str) -> None:
    kind = FAMILIES[name]
    given = kind.batch(kind.prompts, [2]) | {"pixel_values_videos": torch.zeros(1)}
    with pytest.raises(ConfigError, match="does not take pixel_values_videos: beside ids"):
        hybridize(model_of(name), HybridConfig()).place(**given)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "llava"])
def test_prompts_that_are_on_the_device_already_are_refused(name: str) -> None:
    kind = FAMILIES[name]
    given = {key: tensor.to("meta") for key, tensor in kind.batch(kind.prompts, [0]).items()}
    with pytest.raises(ConfigError, match="are looked at on the host: leave them there"):
        hybridize(model_of(name), HybridConfig()).place(**given)


def test_another_family_is_refused_with_the_list_of_those_that_run() -> None:
    config = model_of("llava").config
    with pytest.raises(ConfigError, match=r"idefics3 is not supported.*LLaVA-1\.5 \(llava\)"):
        hybridize(type("Model", (), {"config": _renamed(config, "idefics3")})(), HybridConfig())


def _renamed(config: Any, model_type: str) -> Any:
    return type("Config", (), {"model_type": model_type, "text_config": config.text_config})()
