"""Numbers that others computed: R, NIST, the authors of the data, printed tables. Sources stand beside them."""

from importlib import resources
from inspect import signature

import numpy as np
import pytest
from scipy import stats

from seedstudy.stats import best_of, describe, effect, example_noise, many, permutation, power
from seedstudy.stats.compare import compare
from seedstudy.stats.welch import welch


def run(a, b, **options):
    return compare(a, b, rng=np.random.default_rng(0), **options)


# modded-nanogpt speed-run records: validation losses, "p < 0.01 that the mean is below 3.28"; the author printed
# p = 0.0059, 0.0084 and 0.0005.
N14 = [3.2774, 3.2782, 3.2796, 3.2815, 3.276, 3.2777, 3.2784, 3.2795, 3.281, 3.2802, 3.2767, 3.2772, 3.28, 3.2786]
N10A = [3.2781, 3.2792, 3.2765, 3.2796, 3.2803, 3.2801, 3.2787, 3.2798, 3.2787, 3.2786]
N10B = [3.2786, 3.2798, 3.2762, 3.2781, 3.2778, 3.2801, 3.2774, 3.2772, 3.2777, 3.2789]


@pytest.mark.parametrize(
    ("losses", "t", "p", "printed"),
    [
        (N14, -2.927819, 0.00588127, 0.0059),
        (N10A, -2.931937, 0.00835215, 0.0084),
        (N10B, -4.811740, 4.7896e-4, 0.0005),
    ],
)
def test_speed_runs_against_their_target(losses, t, p, printed):
    result = describe.against_target(losses, 3.28)
    assert result.statistic == pytest.approx(t, abs=5e-7)
    assert result.p_below == pytest.approx(p, rel=1e-5)
    assert result.p_below == pytest.approx(printed, abs=5e-5)
    assert result.p_above == pytest.approx(1 - p, rel=1e-5)
    assert result.p_value == pytest.approx(2 * p, rel=1e-5)


def test_speed_run_summary_as_printed():
    result = describe.describe(N14)
    assert result.mean.value == pytest.approx(3.2787, abs=5e-5)
    assert result.std.value == pytest.approx(0.0016, abs=5e-5)


def test_imagenet_three_against_three():
    # ImageNet ResNet-50 top-1, three runs against three; scipy.
    result = run([0.7779, 0.7780, 0.7782], [0.7789, 0.7792, 0.7792])
    assert result.difference.value == pytest.approx(0.00106667, abs=5e-9)
    assert result.statistic == pytest.approx(8.0, abs=1e-9)
    assert result.df == pytest.approx(3.93846, abs=5e-6)
    assert result.p_value == pytest.approx(0.00141257, abs=5e-9)
    assert (result.difference.low, result.difference.high) == pytest.approx((0.00069418, 0.00143915), abs=5e-9)
    assert result.permutation_p == pytest.approx(0.1)
    assert result.mann_whitney.p_value == pytest.approx(0.1)


def test_mlperf_epochs_to_converge():
    # MLPerf ResNet-50 at three batch sizes; scipy.
    groups = {
        "4096": [39, 42, 40, 41, 39, 40, 41, 39, 40, 39],
        "8192": [42, 44, 43, 41, 41, 41, 42, 42, 43, 41],
        "13056": [46, 46, 44, 46, 45, 46, 45, 45, 45, 46],
    }
    result = many.omnibus(groups)
    assert result.f == pytest.approx(82.475410, abs=5e-7)
    assert result.f_p == pytest.approx(3.16e-12, rel=2e-3)
    assert result.kruskal_h == pytest.approx(23.931585, abs=5e-7)
    assert result.kruskal_p == pytest.approx(6.358e-6, rel=1e-4)


def test_sleep():
    # R: t.test(extra ~ group, data = sleep), and paired = TRUE.
    one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    result = run(two, one)
    assert result.statistic == pytest.approx(-1.8608134675, abs=5e-11)
    assert result.df == pytest.approx(17.7764735162, abs=5e-11)
    assert result.p_value == pytest.approx(0.0793941402, abs=5e-11)
    assert (result.difference.low, result.difference.high) == pytest.approx((-3.3654832307, 0.2054832307), abs=5e-11)
    paired = run(two, one, paired=True)
    assert paired.statistic == pytest.approx(-4.0621276834, abs=5e-11)
    assert paired.p_value == pytest.approx(0.0028328902, abs=5e-11)


# NIST Statistical Reference Datasets, univariate.
def test_nist_numacc():
    one = describe.describe([10000001, 10000003, 10000002])
    assert (one.mean.value, one.std.value) == (10000002.0, 1.0)
    three = [1000000.2, *[1000000.1, 1000000.3] * 500]
    result = describe.describe(three)
    assert result.n == 1001
    assert result.mean.value == pytest.approx(1000000.2, rel=1e-15)
    assert result.std.value == pytest.approx(0.1, abs=1e-9)
    four = [10000000.2, *[10000000.1, 10000000.3] * 500]
    assert describe.describe(four).std.value == pytest.approx(0.1, abs=1e-7)


LOTTERY = """
162 671 933 414 788 730 817 33 536 875 670 236 473 167 877 980 316 950 456 92 517 557 956 954 104 178 794 278
147 773 437 435 502 610 582 780 689 562 964 791 28 97 848 281 858 538 660 972 671 613 867 448 738 966 139 636
847 659 754 243 122 455 195 968 793 59 730 361 574 522 97 762 431 158 429 414 22 629 788 999 187 215 810 782
47 34 108 986 25 644 829 630 315 567 919 331 207 412 242 607 668 944 749 168 864 442 533 805 372 63 458 777
416 340 436 140 919 350 510 572 905 900 85 389 473 758 444 169 625 692 140 897 672 288 312 860 724 226 884 508
976 741 476 417 831 15 318 432 241 114 799 955 833 358 935 146 630 830 440 642 356 373 271 715 367 393 190 669
8 861 108 795 269 590 326 866 64 523 862 840 219 382 998 4 628 305 747 247 34 747 729 645 856 974 24 568 24
694 608 480 410 729 947 293 53 930 223 203 677 227 62 455 387 318 562 242 428 968
"""


def test_nist_lottery():
    result = describe.describe([float(number) for number in LOTTERY.split()])
    assert result.n == 218
    assert result.mean.value == pytest.approx(518.958715596330, rel=1e-14)
    assert result.std.value == pytest.approx(291.699727470969, rel=1e-14)


def nist(name):
    """Read groups and the certified F from the files that the scipy wheel ships."""
    text = (resources.files("scipy.stats.tests") / "data" / "nist_anova" / f"{name}.dat").read_text()
    lines = text.splitlines()
    certified = next(float(line.split()[-1]) for line in lines if line.startswith("Between "))
    groups = {}
    for line in lines[60:]:
        group, value = line.split()
        groups.setdefault(group, []).append(float(value))
    return groups, certified


@pytest.mark.parametrize(
    ("name", "f", "digits"),
    [
        ("SiRstv", 1.18046237440255, 1e-12),
        ("AtmWtAg", 15.9467335677930, 1e-9),
        ("SmLs01", 21.0, 1e-12),
        ("SmLs04", 21.0, 1e-9),
        # 13 leading digits: the values themselves are rounded to 1.2e-4 in double precision.
        ("SmLs07", 21.0, 1e-4),
        ("SmLs03", 2001.0, 1e-12),
        ("SmLs06", 2001.0, 1e-9),
        ("SmLs09", 2001.0, 1e-4),
    ],
)
def test_nist_anova(name, f, digits):
    groups, certified = nist(name)
    assert certified == pytest.approx(f, rel=1e-13)
    assert many.omnibus(groups).f == pytest.approx(f, rel=digits)


def test_r_power_t_test():
    # R: power.t.test(n = 20, delta = 1, sd = 1); power.t.test(power = .90, delta = 1) gives n = 22.02109.
    assert power.difference_power(welch(0, 1, 20, 1, 1, 20), 0.05) == pytest.approx(0.8689530, abs=2e-6)
    assert power.difference_power(welch(0, 1, 22.02109, 1, 1, 22.02109), 0.05) == pytest.approx(0.90, abs=1e-6)
    for d, n in ((0.2, 393.41), (0.5, 63.77), (0.8, 25.52), (1, 16.71), (1.5, 8.06), (2, 5.09)):
        assert power.difference_power(welch(0, 1, n, d, 1, n), 0.05) == pytest.approx(0.8, abs=3e-4)
        assert power.seeds_per_arm(d, 1, 1) == int(np.ceil(n))
    assert power.seeds_per_arm(3, 1, 1) == 4


def test_dunnett():
    # Dunnett (1955), the blood counts; R multcomp, and the scipy documentation: p = .62004941, .0058.
    groups = {
        "control": [7.40, 8.50, 7.20, 8.24, 9.84, 8.32],
        "a": [9.76, 8.80, 7.68, 9.36],
        "b": [12.80, 9.68, 12.16, 9.20, 10.55],
    }
    family = many.against_baseline("control", groups, rng=np.random.default_rng(0), method="dunnett")
    assert [pair.p_adjusted for pair in family.pairs] == pytest.approx([0.620, 0.0058], abs=5e-4)


@pytest.mark.skipif("equal_var" not in signature(stats.tukey_hsd).parameters, reason="this SciPy has no Games-Howell")
def test_games_howell():
    # The Tukey example of the SAS documentation, unequal variances; scipy.stats.tukey_hsd(equal_var=False).
    groups = {
        "x": [24.5, 23.5, 26.4, 27.1, 29.9],
        "y": [28.4, 34.2, 29.5, 32.2, 30.1],
        "z": [26.1, 28.3, 24.3, 26.2, 27.8],
    }
    family = many.all_pairs(groups, rng=np.random.default_rng(0), method="games-howell")
    expected = stats.tukey_hsd(*groups.values(), equal_var=False)
    interval = expected.confidence_interval(0.95)
    for pair, (i, j) in zip(family.pairs, ((0, 1), (0, 2), (1, 2)), strict=True):
        assert pair.p_adjusted == pytest.approx(expected.pvalue[i, j], abs=1e-10)
        assert pair.difference.low == pytest.approx(interval.low[j, i], abs=1e-6)
        assert pair.difference.high == pytest.approx(interval.high[j, i], abs=1e-6)
    # Under one spread and equal sizes the classic answers .0144, .9803, .0203 (SAS) lie close by.
    classic = stats.tukey_hsd(*groups.values()).pvalue
    assert [classic[0, 1], classic[0, 2], classic[1, 2]] == pytest.approx(
        [0.0144483267, 0.9803107241, 0.0203311367], abs=5e-10
    )


def test_permutation_floors():
    for n, floor in ((2, 0.333333), (3, 0.1), (4, 0.028571), (5, 0.007937), (6, 0.002165)):
        apart = run(np.arange(n), np.arange(n) + 100.0)
        assert apart.permutation_floor == pytest.approx(floor, abs=5e-7)
        assert apart.permutation_p == pytest.approx(floor, abs=5e-7)
    for n, floor in ((3, 0.25), (4, 0.125), (5, 0.0625), (6, 0.03125)):
        pairs = run(np.arange(n), np.arange(n) ** 2 + 100.0, paired=True)
        assert pairs.permutation_floor == pairs.permutation_p == floor
    assert permutation.floor_two_sample(3, 5) == pytest.approx(1 / 56)


def test_best_of_n():
    for n, expected in (
        (2, 0.56419),
        (3, 0.84628),
        (5, 1.16296),
        (10, 1.53875),
        (20, 1.86748),
        (50, 2.24907),
        (100, 2.50759),
    ):
        assert best_of.normal_best(n) == pytest.approx(expected, abs=5e-6)
    assert best_of.expected_best([3, 1, 2], 2, with_replacement=True) == pytest.approx(22 / 9)
    assert best_of.expected_best([3, 1, 2], 2) == pytest.approx(8 / 3)


def test_jordan_toy():
    matrix = [[int(c) for c in row] for row in ("1101", "1001", "1110", "1100", "0111")]
    result = example_noise.split_variance(matrix)
    assert result.on_test_set == pytest.approx(0.01875)
    assert result.if_independent * 16 == pytest.approx(1.0)
    assert result.distribution_wise_raw == pytest.approx(-0.0583333, abs=5e-8)
    assert result.distribution_wise == 0.0
    covariance = np.cov(np.array(matrix), rowvar=False)
    off_diagonal = covariance[~np.eye(4, dtype=bool)].mean()
    assert result.distribution_wise_raw == pytest.approx(off_diagonal)


def test_interval_factors():
    # Chi-square tables; t tables.
    for n, low, high, half, new in (
        (3, 0.5207, 6.2847, 2.4841, 4.9683),
        (5, 0.5991, 2.8736, 1.2417, 3.0414),
        (10, 0.6878, 1.8256, 0.7154, 2.3726),
        (100, 0.8780, 1.1617, 0.1984, 1.9941),
    ):
        assert describe.sd_factors(n, 0.95) == pytest.approx((low, high), abs=5e-5)
        values = np.arange(n, dtype=float)
        result = describe.describe(values / np.std(values, ddof=1))
        assert result.mean.high - result.mean.value == pytest.approx(half, abs=5e-5)
        assert result.new_seed.high - result.new_seed.value == pytest.approx(new, abs=6e-5)
        assert (result.std.low, result.std.high) == pytest.approx((low, high), abs=5e-5)


def test_normal_tolerance_factors():
    # Odeh & Owen (1980), two-sided, content 95 %, confidence 95 %, as in R tolerance::K.factor(method = "EXACT").
    for n, k in ((2, 36.519), (3, 9.789), (5, 5.077), (10, 3.393)):
        assert describe.tolerance_factor(n, content=0.95, level=0.95) == pytest.approx(k, abs=6e-4)


def test_noether_sample_size():
    # Bouthillier et al. (2021): 29 pairs for gamma = .75 at alpha = beta = .05.
    assert effect.noether_n() == pytest.approx(28.86, abs=5e-3)


def test_piepho_letters():
    # Four recipes, a-d and b-d told apart.
    letters = many.compact_letters({"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, {("a", "d"), ("b", "d")})
    assert letters == {"a": "a", "b": "a", "c": "ab", "d": "b"}
