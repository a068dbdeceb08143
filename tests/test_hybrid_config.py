"""FASTV_K says how many visual tokens stay; every other text is one clear error."""

import pytest

from hybrid import ConfigError, HybridConfig, Keep


@pytest.mark.parametrize(
    ("text", "tokens", "kept"),
    [
        ("36", 576, 36),
        ("36", 20, 20),
        ("1", 576, 1),
        ("0.7", 100, 30),
        ("0.8", 50, 10),  # binary floats leave 9
        ("0.9", 10, 1),  # binary floats leave 0
        ("0.99", 10, 1),
        (".5", 7, 3),
        ("none", 576, 576),
    ],
)
def test_keep_counts_exactly(text: str, tokens: int, kept: int) -> None:
    assert Keep.parse(text).of(tokens) == kept


@pytest.mark.parametrize("text", ["0", "1.0", "36.5", "-3", "nan", "abc", "", "0.0", "1e-1", "٣"])
def test_nonsense_is_one_line_that_names_value_source_and_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        Keep.parse(text, source="FASTV_K")
    message = str(error.value)
    assert f"FASTV_K={text!r}" in message
    assert "whole number" in message and "\n" not in message


def test_argument_comes_before_environment_comes_before_profile() -> None:
    environ = {"FASTV_K": "36"}
    assert Keep.resolve("72", default=18, environ=environ).count == 72
    assert Keep.resolve(None, default=18, environ=environ).count == 36
    assert Keep.resolve(None, default=18, environ={}).count == 18


def test_an_empty_fastv_k_is_an_error_and_not_the_default() -> None:
    with pytest.raises(ConfigError, match="FASTV_K=''"):
        Keep.resolve(None, default=18, environ={"FASTV_K": ""})


def test_keep_prints_as_it_is_typed() -> None:
    assert [str(Keep.parse(t)) for t in ("36", "0.7", "none")] == ["36", "0.7", "none"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"rope": "physical"}, "rope='physical'"),
        ({"prune": "hide"}, "prune='hide'"),
        ({"rank": "norm"}, "rank='norm'"),
        ({"aggregation_layer": -1}, "aggregation_layer=-1"),
        ({"thresholds": (0.9, float("nan"))}, "thresholds"),
        ({"capacity": 64}, "capacity=64"),
        ({"capacity": 0, "thresholds": (0.9,)}, "capacity=0"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        HybridConfig(**wrong)  # type: ignore[arg-type]


ALLOWED = (
    "a whole number of visual tokens to keep (36), "
    "a share to remove strictly between 0 and 1 (0.7), or none"
)
THRESHOLDS = (0.9, 0.8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"keep": "abc"}, f"keep='abc' is not {ALLOWED}"),
        (
            {"aggregation_layer": -1},
            "aggregation_layer=-1 must be a whole number from 0: "
            "ranking needs a layer's attention before it can prune",
        ),
        (
            {"capacity": 0, "thresholds": THRESHOLDS},
            "capacity=0 must be at least 1 visual slot",
        ),
        (
            {"capacity": 64},
            "capacity=64 merges tokens, so it needs thresholds "
            "(1.0 for each CLIP block merges only what the capacity forces)",
        ),
        (
            {"thresholds": (0.5, 1.5)},
            "thresholds must be cosine similarities in [-1, 1], not (0.5, 1.5)",
        ),
        (
            {"thresholds": (-1.25,)},
            "thresholds must be cosine similarities in [-1, 1], not (-1.25,)",
        ),
        (
            {"rope": "virtual", "keep": "5"},
            "rope='virtual' attends to every patch, so it cannot prune: keep=5 must be none",
        ),
        ({"rope": "xy"}, "rope='xy' must be one of logical, compact, virtual"),
        ({"prune": "xy"}, "prune='xy' must be one of drop, mask"),
        ({"rank": "xy"}, "rank='xy' must be one of attention, random, lowest"),
    ],
)
def test_an_error_says_in_one_sentence_what_is_allowed(
    wrong: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        HybridConfig(**wrong)  # type: ignore[arg-type]
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("argument", "environ", "source"),
    [
        ("x", {"FASTV_K": "36"}, "--keep='x'"),
        (None, {"FASTV_K": "y"}, "FASTV_K='y'"),
        (None, {}, "the profile's keep='z'"),
    ],
)
def test_a_wrong_budget_says_where_it_came_from(
    argument: str | None, environ: dict[str, str], source: str
) -> None:
    with pytest.raises(ConfigError) as error:
        Keep.resolve(argument, default="z", environ=environ)
    assert str(error.value) == f"{source} is not {ALLOWED}"


@pytest.mark.parametrize(
    "allowed",
    [
        {"rope": "logical", "keep": "5"},
        {"rope": "compact", "keep": "5"},
        {"rope": "virtual"},
        {"prune": "drop"},
        {"prune": "mask"},
        {"rank": "attention"},
        {"rank": "random"},
        {"rank": "lowest"},
        {"aggregation_layer": 0},
        {"capacity": 1, "thresholds": THRESHOLDS},
        {"thresholds": (-1.0, 1.0)},
    ],
    ids=str,
)
def test_what_is_allowed_is_kept_as_it_was_given(allowed: dict[str, object]) -> None:
    config = HybridConfig(**allowed)  # type: ignore[arg-type]
    for name, value in allowed.items():
        found = getattr(config, name)
        assert (str(found) if name == "keep" else found) == value


def test_settings_are_stored_parsed() -> None:
    config = HybridConfig(keep=" 36 ", thresholds=[1, 0])  # type: ignore[arg-type]
    assert config.keep == Keep(count=36)
    assert isinstance(config.thresholds, tuple)
    assert [type(t) for t in config.thresholds] == [float, float]
    assert HybridConfig(keep=config.budget).budget is config.budget


def test_the_default_reduces_nothing() -> None:
    config = HybridConfig()
    assert not config.budget.prunes
    assert (config.thresholds, config.capacity) == (None, None)
    assert (config.aggregation_layer, config.rope) == (2, "logical")
    assert (config.prune, config.rank) == ("drop", "attention")
