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
