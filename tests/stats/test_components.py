from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from seedstudy.errors import StatisticsError
from seedstudy.stats import components
from seedstudy.stats.components import (
    Components,
    balanced_components,
    large_sample_limits,
    mean_squares,
    reml_components,
    subsets,
)

TRUE = {(0,): 1.0, (1,): 0.5, (2,): 0.25, (0, 1): 0.3, (0, 2): 0.1, (1, 2): 0.2, (0, 1, 2): 0.6}
LEVELS = (5, 4, 3)


def drawn(rng: np.random.Generator, levels: tuple[int, ...] = LEVELS, n_repetitions: int = 1) -> np.ndarray:
    """Draw a table with the components of TRUE, and 0.05 within cells where there are repetitions."""
    table = rng.normal(0, 0.05**0.5, (*levels, n_repetitions)) if n_repetitions > 1 else np.zeros((*levels, 1))
    for sources in subsets(len(levels)):
        shape = [n if axis in sources else 1 for axis, n in enumerate(levels)] + [1]
        table = table + rng.normal(0, TRUE[sources] ** 0.5, shape)
    return table


def variances(found: Components) -> dict[tuple[int, ...], float]:
    return {part.sources: part.variance for part in found.parts}


def test_mean_squares_are_those_of_statsmodels() -> None:
    import pandas as pd

    table = drawn(np.random.default_rng(0), n_repetitions=2)
    rows = [(*place, table[place]) for place in np.ndindex(*table.shape)]
    frame = pd.DataFrame(rows, columns=["a", "b", "c", "repetition", "y"])
    reference = anova_lm(ols("y ~ C(a) * C(b) * C(c)", frame).fit())
    found = mean_squares(table)
    names = {(0,): "C(a)", (0, 1): "C(a):C(b)", (1, 2): "C(b):C(c)", (0, 1, 2): "C(a):C(b):C(c)", (): "Residual"}
    for sources, name in names.items():
        assert found.df[sources] == reference.df[name]
        assert found.squares[sources] == pytest.approx(reference.mean_sq[name])


def test_components_are_the_textbooks_in_two_ways() -> None:
    """Burdick & Graybill 1992, two-fold crossed design with repetitions: the four differences of mean squares."""
    table = drawn(np.random.default_rng(1), (5, 4), n_repetitions=3)
    squares, found = mean_squares(table).squares, variances(balanced_components(table))
    a, b, ab, e = squares[(0,)], squares[(1,)], squares[(0, 1)], squares[()]
    assert found[()] == pytest.approx(e)
    assert found[(0, 1)] == pytest.approx((ab - e) / 3)
    assert found[(0,)] == pytest.approx((a - ab) / 12)
    assert found[(1,)] == pytest.approx((b - ab) / 15)


def test_the_sum_is_the_sum_of_the_parts() -> None:
    found = balanced_components(drawn(np.random.default_rng(2), n_repetitions=2))
    assert found.total.variance == pytest.approx(sum(part.variance for part in found.parts))
    assert len(found.parts) == 8


def test_shifts_and_units_change_nothing_else() -> None:
    table = drawn(np.random.default_rng(3))
    first, second = balanced_components(table), balanced_components(1e4 + 10 * table)
    for one, ten in zip((*first.parts, first.total), (*second.parts, second.total), strict=True):
        for name in ("variance", "low", "high"):
            assert getattr(ten, name) == pytest.approx(100 * getattr(one, name), rel=1e-6, abs=1e-6)


def test_the_limits_of_one_mean_square_are_exact() -> None:
    low, high = large_sample_limits(np.array([2.0]), np.array([7.0]), np.array([0.5]), 0.95)
    assert (low, high) == pytest.approx((7 / stats.chi2.ppf(0.975, 7), 7 / stats.chi2.ppf(0.025, 7)))


def test_the_limits_of_a_difference_are_the_f_test_s() -> None:
    """With one mean square of each sign, a limit is 0 exactly where F is its quantile (Ting et al. 1990)."""
    df = np.array([4.0, 16.0])
    for tail, side in ((0.975, 0), (0.025, 1)):
        squares = np.array([stats.f.ppf(tail, *df), 1.0])
        assert large_sample_limits(squares, df, np.array([1.0, -1.0]), 0.95)[side] == pytest.approx(0.0, abs=1e-9)


def test_equal_trainings_have_no_variance() -> None:
    found = balanced_components(np.full((5, 5, 2), 79.3))
    assert all((part.variance, part.low, part.high) == (0.0, 0.0, 0.0) for part in (*found.parts, found.total))


@pytest.mark.parametrize("shape", [(5,), (1, 5, 1), (5, 5, 0)])
def test_a_table_that_shows_nothing_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(StatisticsError, match="each source needs two levels"):
        balanced_components(np.zeros(shape))


def rows_of(table: np.ndarray, keep: np.ndarray | None = None) -> tuple[list[np.ndarray], np.ndarray]:
    places = np.indices(table.shape[:-1]).reshape(table.ndim - 1, -1)
    keep = np.ones(places.shape[1], dtype=bool) if keep is None else keep
    return [axis[keep] for axis in places], table[..., 0].ravel()[keep]


def test_reml_of_a_complete_table_is_the_analysis_of_variance() -> None:
    """Where no estimate is negative the two agree (Searle, Casella & McCulloch 1992, section 4.8)."""
    table = next(
        table
        for table in (drawn(np.random.default_rng(seed), (5, 6)) for seed in itertools.count())
        if min(variances(balanced_components(table)).values()) > 0.05
    )
    one, other = balanced_components(table), reml_components(*rows_of(table))
    assert list(variances(one)) == list(variances(other))
    np.testing.assert_allclose(list(variances(other).values()), list(variances(one).values()), rtol=1e-3)
    assert other.total.variance == pytest.approx(one.total.variance, rel=1e-3)


def test_reml_takes_tables_with_holes() -> None:
    rng = np.random.default_rng(5)
    table = drawn(rng, (8, 8))
    levels, values = rows_of(table, rng.random(64) < 0.8)
    found = reml_components(levels, values)
    assert all(part.low <= part.variance <= part.high for part in found.parts)
    whole = variances(balanced_components(table))
    assert variances(found)[(0, 1)] == pytest.approx(whole[(0, 1)], rel=0.5)
    assert all(part.variance == 0 for part in reml_components(levels, np.ones(len(values))).parts)


def test_reml_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "MOST_FOR_REML", 10)
    with pytest.raises(StatisticsError, match="at most 10"):
        reml_components(*rows_of(drawn(np.random.default_rng(0), (4, 3))))


def test_estimates_are_unbiased_and_limits_cover() -> None:
    """600 tables; docs/calibration.md has many more, with 3 to 20 levels."""
    rng, n = np.random.default_rng(6), 600
    found = [balanced_components(drawn(rng, (5, 5, 5))) for _ in range(n)]
    for position, sources in enumerate(subsets(3)):
        estimates = np.array([each.parts[position].variance for each in found])
        assert abs(estimates.mean() - TRUE[sources]) < 4 * estimates.std() / n**0.5, sources
        covered = np.mean([each.parts[position].low <= TRUE[sources] <= each.parts[position].high for each in found])
        assert abs(covered - 0.95) < 4 * (0.95 * 0.05 / n) ** 0.5, sources
