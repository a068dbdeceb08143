"""Steps that were planted are found where they are, and noise alone shows none."""

import itertools

import numpy as np
import pytest

from bench.report.history.steps import Level, find_levels

NOISE = 0.01


def series(seed: int, n: int, *, step: float = 0.0, at: int = 0) -> list[float]:
    values = np.random.default_rng(seed).normal(0, NOISE, n) + step * (np.arange(n) >= at)
    return [float(value) for value in values]


def test_noise_alone_shows_a_step_in_at_most_one_series_of_fifty() -> None:
    found = [len(find_levels(series(seed, n))) > 1 for seed in range(100) for n in (6, 10, 20)]
    assert sum(found) <= len(found) / 50


def test_a_planted_step_of_five_standard_deviations_is_found_where_it_is() -> None:
    exact = near = 0
    for seed in range(60):
        levels = find_levels(series(seed, 20, step=0.05, at=12))
        starts = [level.start for level in levels[1:]]
        exact += starts == [12]
        near += len(starts) == 1 and abs(starts[0] - 12) <= 1
    assert near >= 58
    assert exact >= 50


def test_the_size_of_a_step_is_told() -> None:
    first, second = find_levels(series(1, 30, step=0.1, at=10))
    assert second.value - first.value == pytest.approx(0.1, abs=0.01)


def test_two_steps_make_three_levels() -> None:
    values = [*series(2, 10), *(v + 0.1 for v in series(3, 10)), *(v + 0.02 for v in series(4, 10))]
    assert [(x.start, x.stop) for x in find_levels(values)] == [(0, 10), (10, 20), (20, 30)]


@pytest.mark.parametrize("place", [0, 7, 14])
def test_one_wild_run_is_no_step_wherever_it_stands(place: int) -> None:
    values = series(5, 15)
    values[place] += 1.0
    assert len(find_levels(values)) == 1


def test_a_run_that_knows_itself_to_be_noisy_weighs_less() -> None:
    values = [0.0, 0.01, -0.01, 0.0, 0.01, 0.0, 0.1, 0.11, 0.1, 0.09, 0.1, 0.11]
    sharp = find_levels(values, [0.01] * 12)
    blunt = find_levels(values, [0.01] * 6 + [0.2] * 6)
    assert [level.start for level in sharp] == [0, 6]
    assert len(blunt) == 1


def test_the_fit_is_the_best_of_all_partitions() -> None:
    from bench.report.history.steps import _costs, _partition

    generator = np.random.default_rng(7)
    for _ in range(20):
        x, weights = generator.normal(size=7), generator.uniform(0.5, 2, 7)

        def cost(
            starts: tuple[int, ...], x: np.ndarray = x, weights: np.ndarray = weights
        ) -> float:
            ends = [*starts[1:], 7]
            parts = [
                min(float((weights[a:b] * abs(x[a:b] - m)).sum()) for m in x[a:b])
                for a, b in zip(starts, ends, strict=True)
            ]
            return sum(parts) + 0.8 * (len(starts) - 1)

        partitions = [
            (0, *inner)
            for size in range(3)
            for inner in itertools.combinations(range(2, 6), size)
            if all(b - a >= 2 for a, b in itertools.pairwise((0, *inner, 7)))
        ]
        found = tuple(_partition(x, weights, 0.8))
        assert cost(found) == pytest.approx(min(cost(p) for p in partitions))
        for k, value in _costs(x, weights):
            assert value == pytest.approx(
                min(float((weights[:k] * abs(x[:k] - m)).sum()) for m in x[:k])
            )


def test_few_or_equal_values_have_one_level() -> None:
    assert find_levels([]) == []
    assert find_levels([1.0, 5.0, 9.0]) == [Level(0, 3, 5.0)]
    assert find_levels([2.0] * 9) == [Level(0, 9, 2.0)]


@pytest.mark.parametrize(
    ("values", "errors"),
    [([1.0, float("nan")], None), ([1.0], [-1.0]), ([1.0, 2.0], [1.0]), ([1.0], [float("inf")])],
)
def test_what_is_no_number_is_refused(values: list[float], errors: list[float] | None) -> None:
    with pytest.raises(ValueError, match=r"finite|negative"):
        find_levels(values, errors)
