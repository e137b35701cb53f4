"""Numbers that others computed: R, NIST, the authors of the data, printed tables. Sources stand beside them."""

import numpy as np
import pytest

from seedstudy.stats import audit, describe, images, many, permutation, power, variance
from seedstudy.stats.compare import compare, details
from seedstudy.stats.welch import welch


def run(a, b, **options):
    return compare(a, b, rng=np.random.default_rng(0), **options)


# modded-nanogpt speed-run record: validation losses; the author printed mean 3.2787 and std 0.0016.
N14 = [3.2774, 3.2782, 3.2796, 3.2815, 3.276, 3.2777, 3.2784, 3.2795, 3.281, 3.2802, 3.2767, 3.2772, 3.28, 3.2786]


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
    assert details([0.7779, 0.7780, 0.7782], [0.7789, 0.7792, 0.7792]).mann_whitney_p == pytest.approx(0.1)


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


def test_r_power_t_test():
    # R: power.t.test(n = 20, delta = 1, sd = 1); power.t.test(power = .90, delta = 1) gives n = 22.02109.
    assert power.difference_power(welch(0, 1, 20, 1, 1, 20), 0.05) == pytest.approx(0.8689530, abs=2e-6)
    assert power.difference_power(welch(0, 1, 22.02109, 1, 1, 22.02109), 0.05) == pytest.approx(0.90, abs=1e-6)
    for d, n in ((0.2, 393.41), (0.5, 63.77), (0.8, 25.52), (1, 16.71), (1.5, 8.06), (2, 5.09)):
        assert power.difference_power(welch(0, 1, n, d, 1, n), 0.05) == pytest.approx(0.8, abs=3e-4)
        assert power.seeds_per_arm(d, 1, 1) == int(np.ceil(n))
    assert power.seeds_per_arm(3, 1, 1) == 4


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
        assert audit.normal_best(n) == pytest.approx(expected, abs=5e-6)
    assert audit.expected_best([3, 1, 2], 2) == pytest.approx(8 / 3)


def test_jordan_toy():
    matrix = [[int(c) for c in row] for row in ("1101", "1001", "1110", "1100", "0111")]
    result = images.split_variance(matrix)
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
        assert variance.sd_factors(n - 1, 0.95) == pytest.approx((low, high), abs=5e-5)
        values = np.arange(n, dtype=float)
        values = values / np.std(values, ddof=1)
        result, new_seed = describe.describe(values), describe.describe_details(values).new_seed
        assert result.mean.high - result.mean.value == pytest.approx(half, abs=5e-5)
        assert new_seed.high - new_seed.value == pytest.approx(new, abs=6e-5)
        assert (result.std.low, result.std.high) == pytest.approx((low, high), abs=5e-5)


def test_piepho_letters():
    # Four recipes; a-d and b-d differ.
    letters = many.compact_letters({"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, {("a", "d"), ("b", "d")})
    assert letters == {"a": "a", "b": "a", "c": "ab", "d": "b"}
