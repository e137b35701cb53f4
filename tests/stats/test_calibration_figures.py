"""The calibration measures the product: every figure is counted again, one replicate at a time, by what users call."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from seedstudy.decide.verdict import Rule, decide
from seedstudy.stats import race_calibration
from seedstudy.stats.compare import compare
from seedstudy.stats.describe import describe
from seedstudy.stats.doubt import safe_p
from seedstudy.stats.effect import small_sample_factor
from seedstudy.stats.grid import two_way
from seedstudy.stats.many import against_baseline, all_pairs
from seedstudy.stats.race import Plan, planned
from seedstudy.stats.welch import TDistance, welch
from studies.calibration import borderline, designs, report, run
from studies.calibration.borderline import Borderline, Caveats, Claims, caveats, claims
from studies.calibration.coverage import Coverages, coverages_of
from studies.calibration.designs import SHAPES, Design
from studies.calibration.found import Power, power_of
from studies.calibration.one_recipe import OneArm, one_arm
from studies.calibration.rows import permutation_rows
from studies.calibration.several import FamilyError, family_error
from studies.calibration.wrong import Sizes, sizes_of

NORMAL, LATTICE, SKEWED = SHAPES["normal"], SHAPES["lattice"], SHAPES["skewed"]


def rng():
    return np.random.default_rng(11)


def design(draw_a, draw_b, n_a, n_b, sd_b=1.0, name="some"):
    return Design(name=name, draw_a=draw_a, draw_b=draw_b, n_a=n_a, n_b=n_b, sd_b=sd_b)


def compared(a, b, **options):
    return [compare(x, y, rng=np.random.default_rng(0), **options) for x, y in zip(a, b, strict=True)]


def share(flags):
    flags = list(flags)
    return sum(map(bool, flags)) / len(flags)


@pytest.mark.parametrize(
    "some", [design(LATTICE, LATTICE, 3, 3), design(SKEWED, NORMAL, 5, 4, 2.0), design(LATTICE, LATTICE, 2, 3)], ids=str
)
def test_sizes_of_few_seeds(some):
    n = 100
    measured = sizes_of(some, replicates=n, rng=rng())
    draws = rng()
    ones = compared(*some.arms(draws, n))
    apart = compared(*some.arms(draws, n, shift=1.0), margin=1.0)
    assert measured.design is some
    assert measured.welch == share(one.p_value < 0.05 and one.method == "welch" for one in ones)
    assert measured.verdict == share(decide(one, Rule()).word in ("better", "worse") for one in ones)
    assert measured.permutation == share(one.permutation_p <= 0.05 for one in ones)
    assert measured.equivalent == share(one.equivalence_p < 0.05 for one in apart if one.method == "welch") * share(
        one.method == "welch" for one in apart
    )
    assert measured.no_spread == share(one.method == "permutation" for one in ones)
    assert math.isnan(measured.mann_whitney)
    assert math.isnan(measured.brunner_munzel)


def test_sizes_of_many_seeds():
    some, n = design(NORMAL, NORMAL, 40, 30, 3.0), 120
    measured = sizes_of(some, replicates=n, rng=rng())
    draws = rng()
    a, b = some.arms(draws, n)
    ones = compared(a, b, resamples=19)
    permuted = permutation_rows(a, b, draws)
    apart = compared(*some.arms(draws, n, shift=1.0), margin=1.0, resamples=19)
    assert measured.mann_whitney == share(one.mann_whitney.p_value < 0.05 for one in ones)
    assert measured.brunner_munzel == share(one.brunner_munzel.p_value < 0.05 for one in ones)
    assert measured.permutation == share(permuted <= 0.05)
    assert measured.equivalent == share(one.equivalence_p < 0.05 for one in apart)
    assert measured.verdict == measured.welch == share(one.p_value < 0.05 for one in ones)


@pytest.mark.parametrize(
    ("some", "shift"),
    [
        (design(NORMAL, NORMAL, 6, 5), 1.0),
        (design(SKEWED, SKEWED, 4, 3), 0.0),
        (design(NORMAL, NORMAL, 3, 7, 3.0), 2.0),
        (design(LATTICE, LATTICE, 5, 5), 1.0),
    ],
    ids=str,
)
def test_coverages(some, shift):
    n = 80
    measured = coverages_of(some, shift, replicates=n, rng=rng())
    draws = rng()
    large_a, large_b = design(some.draw_a, some.draw_b, 1, 1, some.sd_b).arms(draws, 1_000_000, shift)
    prob = np.mean(large_b[:, 0] > np.random.default_rng(1).permutation(large_a[:, 0]))
    prob += np.mean(large_b == large_a) / 2
    if some.draw_a is NORMAL:
        from scipy import stats

        prob = stats.norm.cdf(shift / math.hypot(1.0, some.sd_b))
    ones = compared(*some.arms(draws, n, shift))
    pooled = ((some.n_a - 1) + (some.n_b - 1) * some.sd_b**2) / (some.n_a + some.n_b - 2)
    g = small_sample_factor(some.n_a + some.n_b - 2) * shift / math.sqrt(pooled)
    assert measured.difference == share(one.difference.low <= shift <= one.difference.high for one in ones)
    assert measured.hedges_g == share(one.hedges_g.low <= g <= one.hedges_g.high for one in ones)
    # The true probability is known to a thousandth only: an interval or two may end there.
    assert measured.prob_b_greater == pytest.approx(
        share(one.prob_b_greater.low <= prob <= one.prob_b_greater.high for one in ones), abs=0.026
    )
    if some.draw_a is LATTICE or some.sd_b != 1.0:
        assert math.isnan(measured.hodges_lehmann)
    else:
        assert measured.hodges_lehmann == share(
            one.hodges_lehmann.low < shift < one.hodges_lehmann.high for one in ones
        )
    assert measured.hodges_lehmann_level == ones[0].hodges_lehmann.level
    if min(some.n_a, some.n_b) < 5:
        assert math.isnan(measured.ratio)
    else:
        assert measured.ratio == pytest.approx(
            share(one.spread and one.spread.ratio.low <= some.sd_b <= one.spread.ratio.high for one in ones), abs=0.013
        )
    assert math.isnan(measured.bootstrap)


def test_coverage_of_the_bootstrap():
    some, n = design(SKEWED, SKEWED, 20, 25, 2.0), 60
    measured = coverages_of(some, 1.0, replicates=n, rng=rng(), bootstrap=True)
    draws = rng()
    design(some.draw_a, some.draw_b, 1, 1, some.sd_b).arms(draws, 1_000_000, 1.0)
    ones = compared(*some.arms(draws, n, 1.0), resamples=999)
    # Other random draws of the bootstrap: a few limits fall on the other side of the truth.
    assert measured.bootstrap == pytest.approx(
        share(one.bootstrap.low <= 1.0 <= one.bootstrap.high for one in ones), abs=0.034
    )
    few = coverages_of(design(NORMAL, NORMAL, 19, 40), 0.0, replicates=4, rng=rng(), bootstrap=True)
    assert math.isnan(few.bootstrap)


@pytest.mark.parametrize(("shape", "n"), [("normal", 3), ("normal", 5), ("outliers", 30), ("lattice", 10)])
def test_intervals_of_one_recipe(shape, n):
    measured = one_arm(shape, n, replicates=100, rng=rng())
    draws, draw = rng(), SHAPES[shape]
    population = draw(draws, (1_000_000, 1))[:, 0]
    median = np.median(population)
    x, new = draw(draws, (100, n)), draw(draws, (100, 1))[:, 0]
    ones = [describe(row) for row in x]

    def holds(estimate, value):
        return estimate.low <= value <= estimate.high

    assert (measured.shape, measured.n) == (shape, n)
    assert measured.mean == share(holds(one.mean, 0.0) for one in ones)
    assert measured.std == share(holds(one.std, 1.0) for one in ones)
    assert measured.median == share(holds(one.median, median) for one in ones)
    assert measured.median_level == ones[0].median.level
    assert measured.new_seed == share(holds(one.new_seed, value) for one, value in zip(ones, new, strict=True))
    content = [np.mean((population >= one.tolerance.low) & (population <= one.tolerance.high)) for one in ones]
    assert measured.tolerance == share(value >= 0.95 for value in content)
    if n < 5:
        assert math.isnan(measured.std_robust)
    else:
        assert measured.std_robust == share(holds(one.std_robust, 1.0) for one in ones)
    if n < 30:
        assert measured.warned == 1.0
    else:
        assert measured.warned == share(any("skewed or have outliers" in w for w in one.warnings) for one in ones)


@pytest.mark.parametrize(
    ("k", "n", "unequal"),
    [(3, 4, True), pytest.param(4, 3, False, marks=pytest.mark.slow)],  # seconds of quantiles each
)
def test_families(k, n, unequal):
    replicates = 40
    measured = family_error(k, n, unequal, replicates=replicates, rng=rng())
    draws = rng()
    x = draws.standard_normal((replicates, k, n)) * (np.linspace(1, 3, k) if unequal else np.ones(k))[:, None]
    y = draws.standard_normal((replicates, 4, n)) * (np.array([1, 3, 1, 3]) if unequal else np.ones(4))[:, None]
    named = [{f"r{i}": row for i, row in enumerate(rows)} for rows in x]

    def errs(family):
        return any(pair.p_adjusted < 0.05 for pair in family.pairs)

    assert (measured.k, measured.n, measured.spreads) == (k, n, "1 to 3" if unequal else "equal")
    assert measured.welch_holm == share(errs(all_pairs(g, rng=rng())) for g in named)
    # Upper 5 % points of the studentised range for 3 and 4 means, 2 to 6 degrees of freedom, from textbook tables.
    points = {3: [8.33, 5.91, 5.04, 4.60, 4.34], 4: [9.80, 6.82, 5.76, 5.22, 4.90]}[k]
    tests = [all_pairs(g, rng=rng()).pairs for g in named]
    reach = [[np.interp(-1 / pair.df, -1 / np.arange(2, 7), points) / math.sqrt(2) for pair in ps] for ps in tests]
    rejects = [any(abs(p.statistic) > c for p, c in zip(*both, strict=True)) for both in zip(tests, reach, strict=True)]
    assert measured.games_howell == share(rejects)
    assert measured.dunnett == share(errs(against_baseline("r0", g, rng=rng(), method="dunnett")) for g in named)
    grids = [two_way(dict(zip([("x", "p"), ("x", "q"), ("y", "p"), ("y", "q")], row, strict=True))) for row in y]
    interactions = [next(s for s in grid.sources if s.name == "interaction") for grid in grids]
    assert measured.interaction == share(source.p_value < 0.05 for source in interactions)


def test_power():
    measured = power_of(5, 1.5, replicates=80, rng=rng(), margin=1.4)
    draws = rng()
    ones = compared(*design(NORMAL, NORMAL, 5, 5).arms(draws, 80, 1.5), margin=1.4)
    assert measured.detected == share(one.p_value < 0.05 for one in ones)
    assert measured.permutation == share(one.permutation_p <= 0.05 for one in ones)
    assert math.isnan(measured.mann_whitney)
    assert measured.equivalent == share(one.equivalence_p < 0.05 for one in ones)
    assert measured.inconclusive == share(one.p_value >= 0.05 and one.equivalence_p >= 0.05 for one in ones)
    assert measured.wrong_direction == share(one.p_value < 0.05 and one.difference.value < 0 for one in ones)
    assert measured.single_run_error == pytest.approx(np.mean([one.single_run_error for one in ones]))
    assert measured.single_run_error_true == pytest.approx(0.1444, abs=1e-4)  # Phi(-1.5 / sqrt 2)
    from statsmodels.stats.power import TTestIndPower

    assert measured.planned == pytest.approx(TTestIndPower().power(1.5, 5, 0.05), abs=1e-6)
    many = power_of(30, 0.0, replicates=60, rng=rng())
    ones = compared(*design(NORMAL, NORMAL, 30, 30).arms(rng(), 60), margin=0.5, resamples=19)
    assert math.isnan(many.planned)
    assert many.mann_whitney == share(one.mann_whitney.p_value < 0.05 for one in ones)
    assert many.equivalent == share(one.equivalence_p < 0.05 for one in ones)


def test_claims_and_caveats():
    some = design(SKEWED, NORMAL, 4, 9, 2.0)
    measured = claims(some, replicates=90, rng=rng())
    a, b = some.arms(rng(), 90)
    ones, above, below = compared(a, b), compared(a, b + 1, margin=1.0), compared(a, b - 1, margin=1.0)
    bounds = [safe_p(4, 9, alpha=0.05, claim=claim) for claim in ("difference", "equivalence")]
    for bound, p, equal in (
        (0.05, measured.difference, measured.equivalence),
        (None, measured.difference_unwarned, measured.equivalence_unwarned),
    ):
        assert p == share(one.p_value < (bound or bounds[0]) for one in ones)
        assert equal == max(share(one.equivalence_p < (bound or bounds[1]) for one in side) for side in (above, below))
    cost = caveats(4, 2.0, replicates=90, rng=rng())
    p = [one.p_value for one in compared(*design(NORMAL, NORMAL, 4, 4).arms(rng(), 90, 2.0))]
    assert (cost.n, cost.shift) == (4, 2.0)
    assert cost.detected == share(value < 0.05 for value in p)
    safe = safe_p(4, 4, alpha=0.05, claim="difference")
    assert cost.borderline == pytest.approx(share(value >= safe for value in p if value < 0.05))
    assert caveats(2, 0.0, replicates=3, rng=np.random.default_rng(0)).borderline == 0.0


@pytest.mark.parametrize("paired", [False, True])
def test_p_values_behind_the_bounds(paired):
    some = design(designs.mirrored(SKEWED), SKEWED, 4, 4)
    p, (low, high) = borderline._p_values(some, paired, replicates=40, rng=rng())
    a, b = some.arms(rng(), 40)
    options = {"paired": paired, "margin": 1.0}
    assert p == pytest.approx([one.p_value for one in compared(a, b, **options)])
    assert low == pytest.approx([one.equivalence_p for one in compared(a, b + 1, **options)])
    assert high == pytest.approx([one.equivalence_p for one in compared(a, b - 1, **options)])


def test_bounds_are_the_smallest_quantile_over_the_designs():
    for kind, n_large in (("equal", 5), ("paired", 5), ("unequal", 10)):
        measured = borderline.borderline(kind, 5, replicates=80, rng=rng())
        draws = rng()
        quantiles = []
        for some in borderline._designs(kind, 5):
            p, sides = borderline._p_values(some, kind == "paired", replicates=80, rng=draws)
            quantiles.append((np.quantile(p, 0.05), min(np.quantile(side, 0.05) for side in sides)))
        assert (measured.kind, measured.n) == (kind, 5)
        assert measured.difference == min(q for q, _ in quantiles)
        assert measured.equivalence == min(q for _, q in quantiles)
        used = [
            safe_p(5, n_large, alpha=0.05, claim=claim, paired=kind == "paired")
            for claim in ("difference", "equivalence")
        ]
        assert [measured.difference_used, measured.equivalence_used] == used
    sizes = [(some.n_a, some.n_b, some.sd_b) for some in borderline._designs("unequal", 30)]
    assert sizes == [(m, 30, sd) for m in (60, 90, 300) for sd in (1.0, 3.0, 3.0, 1.0)]
    assert [(some.n_a, some.n_b) for some in borderline._designs("unequal", 100)] == [(200, 100)] * 4 + [(300, 100)] * 4
    assert [(some.n_a, some.n_b) for some in borderline._designs("paired", 7)] == [(7, 7)]


def test_every_shape_has_mean_zero_and_std_one():
    for name, draw in SHAPES.items():
        x = draw(rng(), (4, 250_000))
        assert x.shape == (4, 250_000)
        assert x.mean() == pytest.approx(0.0, abs=0.005), name
        assert x.std() == pytest.approx(1.0, abs=0.01), name
    from scipy import stats

    assert stats.skew(designs.skewed(rng(), (1, 1_000_000))[0]) == pytest.approx(2.0, abs=0.05)
    assert stats.skew(designs.mirrored(designs.skewed)(rng(), (1, 1_000_000))[0]) == pytest.approx(-2.0, abs=0.05)
    assert stats.kurtosis(SHAPES["t5"](rng(), (1, 1_000_000))[0]) == pytest.approx(6.0, abs=2.0)
    # One seed in ten with a variance of 25: kurtosis 3 (.9 + .1 x 625) / 3.4^2 - 3.
    assert stats.kurtosis(SHAPES["outliers"](rng(), (1, 1_000_000))[0]) == pytest.approx(13.45, abs=0.5)
    assert set(np.unique(LATTICE(rng(), (10, 10)))) <= set(range(-4, 5))
    shifted = design(NORMAL, NORMAL, 2, 3, 3.0).arms(rng(), 100_000, 0.5)
    assert [arm.shape for arm in shifted] == [(100_000, 2), (100_000, 3)]
    assert (shifted[1].mean(), shifted[1].std()) == (pytest.approx(0.5, abs=0.03), pytest.approx(3.0, abs=0.03))


def test_the_designs_of_the_page():
    described = [(some.name, some.n_a, some.n_b, some.sd_b) for some in designs.designs()]
    for n in (3, 5, 10, 30, 100):
        equal = [(*SHAPES, 1.0), "opposite skews"]
        assert {row[0] for row in described if row[1:] == (n, n, 1.0)} == {*equal[0][:-1], equal[1]}
        assert [row[0] for row in described if row[1:] == (n, n, 3.0)] == ["std 1 : 3"]
        assert [row[0] for row in described if row[1:] == (3 * n, n, 3.0)] == [
            "3x seeds, small arm 3x std",
            "skewed, 3x seeds, small arm 3x std",
        ]
        assert ("3x seeds, large arm 3x std", n, 3 * n, 3.0) in described
        assert [row[0] for row in described if row[1:] == (3 * n, n, 1.0)] == ["3x seeds", "skewed, 3x seeds"]
    assert len(set(described)) == len(described)
    assert str(design(NORMAL, NORMAL, 9, 3, name="normal")) == "normal, 9 and 3"


def a_calibration():
    some = design(NORMAL, NORMAL, 9, 3, name="some seeds")
    return run.Calibration(
        replicates=20_000,
        rng_seed=1,
        sizes=(
            Sizes(
                design=some,
                welch=0.0547,
                verdict=0.0546,
                permutation=0.1,
                mann_whitney=math.nan,
                brunner_munzel=0.0,
                equivalent=0.04,
                no_spread=0.2,
            ),
        ),
        coverages=(
            Coverages(
                design=some,
                shift=1.0,
                difference=0.9299,
                hedges_g=0.93,
                prob_b_greater=1.0,
                hodges_lehmann=0.8799,
                hodges_lehmann_level=0.9,
                ratio=math.nan,
                bootstrap=0.99,
            ),
        ),
        one_arm=(
            OneArm(
                shape="t5",
                n=3,
                mean=0.94,
                std=0.5,
                std_robust=0.92,
                median=0.7299,
                median_level=0.75,
                new_seed=0.929,
                tolerance=0.931,
                warned=0.3,
            ),
        ),
        families=(
            FamilyError(k=6, n=3, spreads="1 to 3", welch_holm=0.026, games_howell=0.076, dunnett=0.0, interaction=0.9),
        ),
        powers=(
            Power(
                n=5,
                shift=0.5,
                planned=0.1,
                detected=0.2,
                permutation=0.3,
                mann_whitney=0.4,
                equivalent=0.5,
                inconclusive=0.6,
                wrong_direction=0.7,
                single_run_error=0.8,
                single_run_error_true=0.9996,
            ),
        ),
        claims=(
            Claims(
                design=some,
                difference=0.06,
                difference_unwarned=0.05,
                equivalence=0.054,
                equivalence_unwarned=0.055,
            ),
        ),
        caveats=(Caveats(n=10, shift=5.0, detected=1.0, borderline=0.1),),
        borderline=(
            Borderline(
                kind="paired", n=7, difference=0.1, difference_used=0.2, equivalence=0.3, equivalence_used=0.00004
            ),
        ),
    )


def test_tables_mark_what_misses_its_promise():
    last_lines = {name: table.splitlines()[-1] for name, table in report.tables(a_calibration()).items()}
    assert last_lines == {
        "sizes": "| some seeds | 9 / 3 | **.055** | .055 | .040 | **.100** | · | .000 | .200 |",
        "coverages": "| some seeds | 9 / 3 | 1 | **.930** | .930 | 1.000 | · | .990 | **.880** | .900 |",
        "one arm": "| t5 | 3 | .940 | **.500** | **.920** | **.730** | .750 | **.929** | .931 | .300 |",
        "families": "| 6 | 1 to 3 | 3 | .026 | **.076** | .000 | **.900** |",
        "powers": "| 5 | 0.5 | .100 | .200 | .300 | .400 | .500 | .600 | .700 | .800 | 1.000 |",
        "claims": "| some seeds | 9 / 3 | **.060** | .050 | .054 | **.055** |",
        "caveats": "| 10 | 5 | 1.000 | .100 |",
        "borderline": "| paired | 7 | 0.1000 | 0.2000 | 0.3000 | 0.0000 |",
    }
    for table in report.tables(a_calibration()).values():
        header, rule, row = table.splitlines()
        assert header.count("|") == rule.count("|") == row.count("|")
        assert rule == "|" + "---|" * (header.count("|") - 1)


def test_the_page_has_the_columns_of_the_tables():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")
    for name, table in report.tables(a_calibration()).items():
        start = f"<!-- {name} -->\n"
        assert page.partition(start)[2].startswith(table.splitlines()[0]), name
        assert f"\n<!-- end of {name} -->" in page
    assert report.replaced("x <!-- a -->old<!-- end of a --> y", "a", "new") == (
        "x <!-- a -->\nnew\n<!-- end of a --> y"
    )


def test_every_figure_has_a_random_stream_of_its_own(monkeypatch):
    asked = []

    def record(name):
        def measure(*what, replicates, rng, **options):
            asked.append((name, *map(str, what), tuple(options.items())))
            assert replicates == 7
            return name, *map(str, what), float(rng.random())

        return measure

    for name in (
        "sizes_of",
        "coverages_of",
        "one_arm",
        "family_error",
        "power_of",
        "claims",
        "caveats",
        "borderline",
    ):
        monkeypatch.setattr(run, name, record(name))
    told = []
    result = run.calibrate(replicates=7, progress=told.append)
    parts = {
        "sizes": result.sizes,
        "coverages": result.coverages,
        "one arm": result.one_arm,
        "families": result.families,
        "powers": result.powers,
        "claims": result.claims,
        "caveats": result.caveats,
        "borderline": result.borderline,
    }
    assert (result.replicates, result.rng_seed) == (7, 1)
    assert tuple(parts) == run.PARTS
    n_designs = len(list(designs.designs()))
    assert {name: len(rows) for name, rows in parts.items()} == {
        "sizes": n_designs,
        "coverages": 3 * n_designs,
        "one arm": 5 * len(SHAPES),
        "families": 4 * 5,
        "powers": 5 * 5,
        "claims": n_designs,
        "caveats": 4 * 5,
        "borderline": 3 * 8,
    }
    drawn = [row[-1] for rows in parts.values() for row in rows]
    assert len(set(drawn)) == len(drawn) == len(told) == len(set(told))
    assert "power 3 0.5" in told
    assert "coverage normal, 3 and 3 1.0" in told
    bootstrapped = {ask[1] for ask in asked if ask[0] == "coverages_of" and ask[-1] == (("bootstrap", True),)}
    assert "normal, 100 and 100" in bootstrapped
    assert "3x seeds, large arm 3x std, 100 and 300" not in bootstrapped
    assert all(ask[2] == "0.0" for ask in asked if ask[0] == "coverages_of" and ask[-1] == (("bootstrap", True),))
    # A part or a number of seeds alone gives the same figures; another seed others.
    alone = run.calibrate(replicates=7, parts=("powers",))
    assert (alone.powers, alone.sizes) == (result.powers, ())
    some = run.calibrate(replicates=7, sizes=(10,), parts=("sizes", "borderline", "one arm"))
    assert set(some.sizes) < set(result.sizes)
    assert {(row[1].split(", ")[-1]) for row in some.sizes} == {"10 and 10", "30 and 10", "10 and 30"}
    assert [row[1:3] for row in some.borderline] == [("equal", "10"), ("paired", "10"), ("unequal", "10")]
    assert run.calibrate(replicates=7, rng_seed=2, parts=("powers",)).powers != result.powers


def test_the_command_prints_or_replaces_the_tables_that_were_asked_for(monkeypatch, tmp_path, capsys):
    from studies.calibration import __main__ as command

    given = {}

    def calibrate(*, progress, **options):
        given.update(options)
        progress("a figure")
        return a_calibration()

    monkeypatch.setattr(command, "calibrate", calibrate)
    assert command.main(["--only", "caveats", "families"]) == 0
    assert given == {"replicates": 20_000, "rng_seed": 1, "sizes": designs.SIZES, "parts": ("caveats", "families")}
    printed = capsys.readouterr()
    assert "## caveats\n\n| n |" in printed.out
    assert printed.out.count("## ") == 2
    assert printed.err.endswith(" s] a figure\n")
    page = tmp_path / "page.md"
    page.write_text("before <!-- sizes -->\nold\n<!-- end of sizes --> after · <!-- claims -->x<!-- end of claims -->")
    arguments = ["--replicates", "9", "--rng-seed", "4", "--seeds", "3", "5", "--only", "sizes", "--into", str(page)]
    assert command.main(arguments) == 0
    assert given == {"replicates": 9, "rng_seed": 4, "sizes": (3, 5), "parts": ("sizes",)}
    assert capsys.readouterr().out == ""
    expected = report.tables(a_calibration())["sizes"]
    assert page.read_text(encoding="utf-8") == (
        f"before <!-- sizes -->\n{expected}\n<!-- end of sizes --> after · <!-- claims -->x<!-- end of claims -->"
    )


@pytest.mark.parametrize("margin", [None, 1.0])
def test_a_simulated_race_is_the_race_of_the_product(margin):
    draws = rng()
    a, b = draws.standard_normal((60, 9)), 2.0 * draws.standard_normal((60, 9))
    plan = Plan(first=3, every=2, most=9, margin=margin)
    paths = race_calibration.Paths(a, b)
    measured = race_calibration.run(paths, plan, 2.0)
    called, seeds, covered, errors, equal = [], [], [], [], []
    for x, y in zip(a, b, strict=True):
        for n, limit in zip(plan.looks, planned(plan), strict=True):
            moments = (x[:n].mean(), x[:n].std(ddof=1), n, y[:n].mean() + 2.0, y[:n].std(ddof=1), n)
            t = welch(*moments)
            is_equal = margin is not None and bool(limit.shows_equivalence(t, margin))
            is_different = not is_equal and bool(limit.shows_difference(t))
            if is_equal or is_different or n == 9:
                break
        called.append(is_different)
        equal.append(is_equal)
        seeds.append(n)
        errors.append(float(t.difference) - 2.0)
        covered.append(not limit.shows_difference(TDistance(t.difference - 2.0, t.se, t.df)))
    assert measured.difference_called == share(called)
    assert measured.equivalent == share(equal)
    assert measured.mean_n == np.mean(seeds)
    assert measured.covered == share(covered)
    assert measured.bias == pytest.approx(np.mean(errors))
    assert len(set(seeds)) > 1


def test_a_row_of_the_race_tables_is_races_at_every_difference_and_at_the_margin():
    made = list(race_calibration.measure(300, 4, lambda text: None, budgets=(6,)))
    assert len(made) == len(race_calibration.SHAPES) * 9
    row = next(o for o in made if o.shape == "normal" and o.plan.method == "pocock" and o.plan.every == 1)
    draws = np.random.default_rng((4, 0, 6))  # the first shape's own stream
    paths = race_calibration.Paths(draws.standard_normal((300, 6)), draws.standard_normal((300, 6)))
    plan, with_margin = (Plan(first=3, every=1, most=6, method="pocock", margin=margin) for margin in (None, 1.0))
    plain = [race_calibration.run(paths, plan, difference) for difference in (0.0, 0.5, 1.0, 2.0)]
    at_margin, equal = (race_calibration.run(paths, with_margin, difference) for difference in (1.0, 0.0))
    assert row.size == plain[0].difference_called
    assert row.power == tuple(r.difference_called for r in plain[1:])
    assert row.mean_n == tuple(r.mean_n for r in plain)
    assert row.bias == plain[2].bias
    assert (row.wrong_equivalence, row.equivalent, row.mean_n_equivalent) == (
        at_margin.equivalent,
        equal.equivalent,
        equal.mean_n,
    )
    assert row.coverage == min(r.covered for r in (*plain, at_margin, equal))


def test_tables_of_races_hold_what_was_measured_and_mark_broken_promises():
    plan = Plan(most=10, every=3, method="pocock")
    kept = race_calibration.Outcome(
        shape="normal",
        plan=plan,
        size=0.0546,
        wrong_equivalence=0.01,
        coverage=0.9454,
        power=(0.1, 0.2, 0.3),
        mean_n=(9.9, 9.0, 8.0, 7.0),
        bias=0.25,
        equivalent=0.4,
        mean_n_equivalent=6.5,
    )
    broken = replace(kept, shape="t5", size=0.0547, coverage=0.9453)
    made = race_calibration.rendered(
        [kept, broken], [("fixed, 5 seeds", 0.8, 5, 0.05)], [(3, "pocock", 0.0547)], 20_000
    )
    cells = {name: [line.strip("| ").split(" | ") for line in table.splitlines()[2:]] for name, table in made.items()}
    assert cells["errors"] == [
        ["normal", "pocock", "10", "3", ".055", ".010", ".945"],
        ["t5", "pocock", "10", "3", "**.055**", ".010", "**.945**"],
    ]
    assert cells["power"] == [
        ["pocock", "10", "3", ".100", ".200", ".300", "9.9", "9.0", "8.0", "7.0", "+0.25", ".400", "6.5"]
    ]
    assert cells["two"] == [["fixed, 5 seeds", ".800", "5.00", ".050"]]
    assert cells["arms"] == [["3", "pocock", "**.055**"]]


def test_fixed_designs_beside_the_races_are_single_welch_tests():
    n = 4_000
    rows = {name: rest for name, *rest in race_calibration.two_std(n, np.random.default_rng(0))}
    for seeds in (5, 6):
        power, mean_n, error = rows[f"fixed, {seeds} seeds"]
        # Welch with equal spreads is Student's test on about 2 n - 2 degrees of freedom, a little weaker.
        df = 2 * seeds - 2
        expected = stats.nct.sf(stats.t.isf(0.025, df), df, 2.0 * math.sqrt(seeds / 2))
        assert power == pytest.approx(expected, abs=0.03)
        assert mean_n == seeds
        assert error < 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)


def test_tables_go_between_their_marks_in_the_page(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- two -->\nold\n<!-- /two -->\nafter\n")
    asked = []
    monkeypatch.setattr(race_calibration, "tables", lambda n, seed, tell: asked.append((n, seed)) or {"two": "new"})
    monkeypatch.setattr("sys.argv", ["race_calibration", "--replicates", "7", "--rng-seed", "3", "--into", str(page)])
    race_calibration.main()
    assert asked == [(7, 3)]
    assert page.read_text() == "before\n<!-- two -->\nnew\n<!-- /two -->\nafter\n"
