import math

import numpy as np
import pytest

from seedstudy.errors import StatisticsError
from seedstudy.stats.compare import compare
from seedstudy.stats.grid import two_way


def grid_of(effect, *, sd=lambda i, j: 1.0, n=lambda i, j: 5, levels=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return {
        (f"m{i}", f"r{j}"): effect(i, j) + sd(i, j) * rng.standard_normal(n(i, j))
        for i in range(levels[0])
        for j in range(levels[1])
    }


def test_each_source_sees_its_own_effect_and_no_other():
    only = {
        "architecture": lambda i, j: 5.0 * i,
        "recipe": lambda i, j: 5.0 * j,
        "interaction": lambda i, j: 5.0 * (-1) ** (i + j) * (i < 2),
    }
    for name, effect in only.items():
        sources = {source.name: source for source in two_way(grid_of(effect)).sources}
        assert sources[name].p_value < 1e-6
        assert all(source.p_value > 0.01 for other, source in sources.items() if other != name)


def test_spread_is_the_size_of_the_effect_in_the_unit():
    # Architectures at 0, 3, 6: root mean square deviation sqrt(6); recipes at 0, 2: 1.
    result = two_way(grid_of(lambda i, j: 3.0 * i + 2.0 * j, sd=lambda i, j: 0.5, n=lambda i, j: 40))
    architecture, recipe, interaction = result.sources
    assert architecture.spread.value == pytest.approx(math.sqrt(6), abs=0.1)
    assert recipe.spread.value == pytest.approx(1.0, abs=0.1)
    assert interaction.spread.value < 0.15
    assert interaction.spread.low == 0.0
    assert result.seed_noise.value == pytest.approx(0.5, abs=0.05)
    for source in result.sources:
        assert source.spread.low <= source.spread.value <= source.spread.high


def test_with_two_levels_the_statistic_is_welch_of_the_contrast():
    cells = grid_of(lambda i, j: i, sd=lambda i, j: 1.0 + j, n=lambda i, j: 3 + i + 2 * j, levels=(2, 2))
    result = two_way(cells)
    by_name = {(d.factor): d for d in result.differences}
    for source in result.sources[:2]:
        assert source.p_value == pytest.approx(by_name[source.name].p_value, rel=1e-9)
        assert source.df == pytest.approx(1.0)
    expected = (
        np.mean(cells["m1", "r0"])
        + np.mean(cells["m1", "r1"])
        - np.mean(cells["m0", "r0"])
        - np.mean(cells["m0", "r1"])
    ) / 2
    assert by_name["architecture"].difference.value == pytest.approx(expected)


def test_a_grid_of_equal_spreads_and_sizes_agrees_with_anova():
    from scipy import stats

    # One spread in every cell: the same residuals everywhere.
    residuals = np.array([-1.0, 0.2, 0.3, 0.5])
    cells = {(f"m{i}", f"r{j}"): i * 0.7 + j * 0.4 + residuals for i in range(3) for j in range(2)}
    n, cell_variance = 4, residuals.var(ddof=1)
    architecture = two_way(cells).sources[0]
    means = np.array([0.0, 0.7, 1.4])
    f = 2 * n * means.var(ddof=1) / cell_variance
    assert architecture.statistic == pytest.approx(f)
    assert architecture.df == pytest.approx(2.0)
    assert architecture.df_noise == pytest.approx(6 * 3)
    assert architecture.p_value == pytest.approx(stats.f.sf(f, 2, 18))


def test_pairs_of_levels_are_averaged_over_the_other_factor_and_adjusted():
    result = two_way(grid_of(lambda i, j: 2.0 * i))
    pairs = [d for d in result.differences if d.factor == "architecture"]
    assert [(d.a, d.b) for d in pairs] == [("m0", "m1"), ("m0", "m2"), ("m1", "m2")]
    assert [d.difference.value for d in pairs] == pytest.approx([2, 4, 2], abs=1.5)
    assert all(d.p_adjusted >= d.p_value for d in pairs)


@pytest.mark.slow
def test_size_with_unequal_spreads_and_sizes():
    rng = np.random.default_rng(7)
    replicates, hits = 4000, np.zeros(3)
    for _ in range(replicates):
        cells = {(f"m{i}", f"r{j}"): (1.0 + 2 * i) * rng.standard_normal(5 + 3 * j) for i in range(2) for j in range(2)}
        hits += [source.p_value < 0.05 for source in two_way(cells).sources]
    assert np.all(hits / replicates < 0.05 + 3 * math.sqrt(0.05 * 0.95 / replicates))


def test_unusable_grids_are_refused():
    cells = grid_of(lambda i, j: 0.0, levels=(2, 2))
    with pytest.raises(StatisticsError, match="no seeds for r1@m1"):
        two_way({key: value for key, value in cells.items() if key != ("m1", "r1")})
    with pytest.raises(StatisticsError, match="at least 2 x 2"):
        two_way({key: value for key, value in cells.items() if key[0] == "m0"})
    with pytest.raises(StatisticsError, match="r0@m0: 1 seed"):
        two_way({**cells, ("m0", "r0"): [1.0]})
    with pytest.raises(StatisticsError, match="no cell shows any spread"):
        two_way({key: [1.0, 1.0] for key in cells})
    one_flat = two_way({**cells, ("m0", "r0"): [1.0, 1.0, 1.0]})
    assert "r0@m0" in one_flat.warnings[0]


def test_a_grid_and_a_comparison_agree_where_they_ask_the_same():
    cells = grid_of(lambda i, j: 0.0, levels=(2, 2))
    # The second recipe without noise to speak of: the architecture difference is half that of the first recipe.
    cells["m0", "r1"] = cells["m1", "r1"] = np.array([0.0, 1e-9])
    alone = compare(cells["m0", "r0"], cells["m1", "r0"], rng=np.random.default_rng(0))
    difference = next(d for d in two_way(cells).differences if d.factor == "architecture")
    assert difference.difference.value == pytest.approx(alone.difference.value / 2)
    assert difference.p_value == pytest.approx(alone.p_value, rel=1e-6)


def test_many_grids_at_once_are_the_same_as_one_by_one():
    from seedstudy.stats.grid import anova_type, projection

    rng = np.random.default_rng(0)
    means, variances, n = rng.normal(0, 1, (3, 6)), rng.uniform(0.5, 2, (3, 6)), np.array([3.0, 4, 5, 6, 7, 8])
    for name in ("architecture", "recipe", "interaction"):
        matrix = projection(name, 3, 2)
        together = anova_type(matrix, means, variances, n)
        for i in range(3):
            alone = anova_type(matrix, means[i], variances[i], n)
            assert [value[i] for value in together] == pytest.approx([float(value) for value in alone])


def test_interval_of_the_spread_inverts_the_noncentral_f():
    from scipy import stats

    source = two_way(grid_of(lambda i, j: 1.5 * i)).sources[0]
    cells, expected = 6, None
    for end, tail in ((source.spread.low, 0.975), (source.spread.high, 0.025)):
        # spread^2 * cells / (expected / df) is the noncentrality; expected = spread^2 cells / (F - 1) at the estimate.
        expected = source.spread.value**2 * cells / (source.statistic - 1)
        noncentrality = end**2 * cells * source.df / expected
        reached = stats.ncf.cdf(source.statistic, source.df, source.df_noise, noncentrality)
        assert reached == pytest.approx(tail, abs=1e-6)
    huge = two_way(grid_of(lambda i, j: 500.0 * i)).sources[0]
    assert huge.spread.low < huge.spread.value < huge.spread.high


def test_cells_without_spread_leave_their_contrast_without_an_interval():
    flat = {("m0", "r0"): [1.0] * 3, ("m1", "r0"): [2.0] * 3, ("m0", "r1"): [1.0] * 3, ("m1", "r1"): [2.0] * 3}
    three = {**flat, ("m2", "r0"): [1.0, 2.0, 3.0], ("m2", "r1"): [2.0, 3.0, 4.5]}
    first = two_way(three).differences[0]
    assert (first.a, first.b, first.p_value) == ("m0", "m1", 1.0)
    assert not first.difference.has_interval


def test_few_seeds_in_a_cell_are_a_warning():
    assert not any("approximate" in w for w in two_way(grid_of(lambda i, j: 0.0, n=lambda i, j: 5)).warnings)
    assert any("4 seeds in a cell" in w for w in two_way(grid_of(lambda i, j: 0.0, n=lambda i, j: 4)).warnings)
