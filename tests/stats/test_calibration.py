"""The simulations of error rates: what they simulate, that they measure the product, and the pages that they write."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from seedstudy.stats.race import Plan
from studies.calibration import __main__ as command
from studies.calibration import designs, race, report, run
from studies.calibration.__main__ import main
from studies.calibration.components import Parts, parts_of
from studies.calibration.data_sets import Across, across_of
from studies.calibration.designs import SHAPES, Design
from studies.calibration.one_recipe import OneArm, one_arm
from studies.calibration.rows import Comparisons, Deviation
from studies.calibration.several import FamilyError, family_error
from studies.calibration.two_arms import (
    Borderline,
    Caveats,
    Claims,
    Coverages,
    Power,
    Sizes,
    borderline,
    caveats,
    claims,
    coverages_of,
    power_of,
    sizes_of,
)

NORMAL, LATTICE, SKEWED = SHAPES["normal"], SHAPES["lattice"], SHAPES["skewed"]


def rng():
    return np.random.default_rng(11)


def design(draw_a, draw_b, n_a, n_b, sd_b=1.0, name="some"):
    return Design(name=name, draw_a=draw_a, draw_b=draw_b, n_a=n_a, n_b=n_b, sd_b=sd_b)


# --- every figure is compared with what users call ------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "some", [design(LATTICE, LATTICE, 2, 3), design(SKEWED, NORMAL, 5, 4, 2.0), design(NORMAL, NORMAL, 30, 31)], ids=str
)
def test_every_figure_of_two_arms_agrees_with_compare_details_and_decide(some):
    sizes = sizes_of(some, replicates=12, rng=rng())
    assert math.isnan(sizes.mann_whitney) == (some.n_a < 30)
    coverages = coverages_of(some, 1.0, replicates=12, rng=rng())
    assert math.isnan(coverages.ratio) == (some.n_b < 5)
    assert math.isnan(coverages.hodges_lehmann) == (some.draw_a is not NORMAL)
    claims(some, replicates=12, rng=rng())


def test_every_other_figure_agrees_too():
    power, reach, shift = power_of(5, 1.5, replicates=12, rng=rng()), stats.t.isf(0.025, 8), 1.5 * math.sqrt(5 / 2)
    assert power.planned == pytest.approx(stats.nct.sf(reach, 8, shift) + stats.nct.cdf(-reach, 8, shift), abs=1e-6)
    assert power.single_run_error_true == pytest.approx(stats.norm.cdf(-1.5 / math.sqrt(2)))
    caveats(3, 2.0, replicates=12, rng=rng())
    borderline("paired", 4, 1.0, replicates=12, rng=rng())
    borderline("arms", 3, 1.5, replicates=12, rng=rng())
    across_of(4, 3, 1.0, 10.0, replicates=12, rng=rng())
    parts = parts_of("one source", 3, replicates=12, rng=rng())
    assert (parts.n_levels, parts.is_warned, math.isnan(parts.pairs)) == (3, True, True)
    family_error(3, 3, True, replicates=4, rng=rng())
    one = one_arm("normal", 4, replicates=12, rng=rng())
    assert (one.median_level, one.warned) == (0.875, 1.0)
    assert math.isnan(one.std_robust)


@pytest.mark.parametrize("name", ["p_value", "equivalence_p", "interval", "hedges_g", "prob_b_greater", "sd_ratio"])
def test_a_figure_that_is_not_the_printed_one_is_refused(monkeypatch, name):
    arms = design(NORMAL, NORMAL, 5, 6).arms(rng(), 3)
    rows = Comparisons(*arms, margin=1.0)
    getattr(rows, name)
    rows.check()
    rows.__dict__[name] = np.asarray(rows.__dict__[name]) * 1.001
    with pytest.raises(Deviation, match=name):
        rows.check()


def test_the_printed_interval_of_g_is_the_one_that_is_measured():
    # The limits multiplied by the small-sample factor, as they were printed once: too short at few seeds.
    rows = Comparisons(*design(NORMAL, NORMAL, 3, 3).arms(rng(), 3))
    rows.__dict__["hedges_g"] = tuple(limit * (1 - 3 / 15) for limit in rows.hedges_g)
    with pytest.raises(Deviation, match="hedges_g"):
        rows.check()


def test_a_verdict_that_is_not_the_printed_one_is_refused():
    rows = Comparisons(*design(NORMAL, NORMAL, 5, 6).arms(rng(), 3, shift=3.0))
    rows.__dict__["verdict"] = np.array(["worse"] * 3)
    with pytest.raises(Deviation, match="verdict"):
        rows.check()


def test_permutation_p_of_many_rows():
    from seedstudy.stats.compare import compare

    a, b = design(LATTICE, NORMAL, 4, 5).arms(rng(), 6)
    expected = [compare(x, y, rng=rng()).permutation_p for x, y in zip(a, b, strict=True)]
    assert Comparisons(a, b).permutation_p(rng()) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("margin", [None, 1.0])
def test_a_simulated_race_is_the_race_of_the_product(monkeypatch, margin):
    monkeypatch.setattr(race, "_CHECKED", 12)
    a, b = rng().standard_normal((2, 12, 9))
    plan = Plan(first=3, every=2, most=9, margin=margin)
    assert 3 <= race.run(a, 2.0 * b, plan, 2.0).mean_n <= 9
    stops = race.race_rows(a, b, plan)
    with pytest.raises(Deviation, match="stop"):
        race._check_race(stops, 0, a[0], b[0] + 0.01, plan)


# --- what is simulated ----------------------------------------------------------------------------------


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
    assert stats.skew(designs.lognormal(rng(), (1, 1_000_000))[0]) == pytest.approx(3.69, abs=0.3)
    fallen = designs.failing(rng(), (1, 100_000))[0] < -1.5  # 6 std of 1 / 1.65 below the others
    assert fallen.mean() == pytest.approx(0.05, abs=0.005)
    assert set(np.unique(LATTICE(rng(), (10, 10)))) <= set(range(-4, 5))
    shifted = design(NORMAL, NORMAL, 2, 3, 3.0).arms(rng(), 100_000, 0.5)
    assert [arm.shape for arm in shifted] == [(100_000, 2), (100_000, 3)]
    assert (shifted[1].mean(), shifted[1].std()) == (pytest.approx(0.5, abs=0.03), pytest.approx(3.0, abs=0.03))


def test_the_designs_of_the_page():
    described = [(some.name, some.n_a, some.n_b, some.sd_b) for some in designs.designs()]
    for n in (2, 3, 5, 10, 30):
        against = {"opposite skews", "opposite lognormals", "failing B"}
        assert {row[0] for row in described if row[1:] == (n, n, 1.0)} == {*SHAPES, *against}
        assert [row[0] for row in described if row[1:] == (n, n, 3.0)] == [
            "std 1 : 3",
            "opposite skews, std 1 : 3",
            "failing, std 1 : 3",
        ]
        assert [row[0] for row in described if row[1:] == (3 * n, n, 3.0)] == [
            "3x seeds, small arm 3x std",
            "skewed, 3x seeds, small arm 3x std",
        ]
        assert ("3x seeds, large arm 3x std", n, 3 * n, 3.0) in described
        assert [row[0] for row in described if row[1:] == (3 * n, n, 1.0)] == ["3x seeds", "skewed, 3x seeds"]
    assert len(set(described)) == len(described)
    assert str(design(NORMAL, NORMAL, 9, 3, name="normal")) == "normal, 9 and 3"


def test_blocks_add_up():
    sizes, is_first = zip(*designs.blocks(4_500), strict=True)
    assert sum(sizes) == 4_500
    assert max(sizes) <= 2_000
    assert is_first == (True, False, False)


# --- the pages ------------------------------------------------------------------------------------------


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
                prob_by_ranks=0.95,
                hodges_lehmann=0.8799,
                hodges_lehmann_level=0.9,
                ratio=math.nan,
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
                warned=0.3,
            ),
        ),
        families=(FamilyError(k=6, n=3, spreads="1 to 3", welch_holm=0.076, interaction=0.9),),
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
                kind="arms",
                n=7,
                ratio=1.5,
                difference=0.1,
                difference_used=0.2,
                difference_from="skewed",
                equivalence=0.3,
                equivalence_used=0.00004,
            ),
        ),
        across=(Across(k=3, n=5, tau=0.0, spreads=10.0, size=0.05, tau_shown=0.06, new_data_set=0.9),),
        components=(
            Parts(
                truth="one source",
                n_levels=3,
                largest_bias=1.2,
                alone=0.9,
                pairs=math.nan,
                whole=0.951,
                total=0.96,
                absent=0.975,
                is_warned=True,
            ),
        ),
    )


def test_tables_mark_what_misses_its_promise():
    last_lines = {name: table.splitlines()[-1] for name, table in report.tables(a_calibration()).items()}
    assert last_lines == {
        "sizes": "| some seeds | 9 / 3 | **.055** | .055 | **.100** | · | .000 | .200 |",
        "coverages": "| some seeds | 9 / 3 | 1 | **.930** | **.930** | 1.000 | .950 | · | **.880** | .900 |",
        "one arm": "| t5 | 3 | **.940** | **.500** | **.920** | **.730** | .750 | **.929** | .300 |",
        "families": "| 6 | 1 to 3 | 3 | **.076** | **.900** |",
        "powers": "| 5 | 0.5 | .100 | .200 | .300 | .400 | .500 | .600 | .700 | .800 | 1.000 |",
        "claims": "| some seeds | 9 / 3 | **.060** | .050 | .054 | **.055** |",
        "caveats": "| 10 | 5 | 1.000 | .100 |",
        "borderline": "| arms | 7 | 1.5 | 0.1000 | 0.2000 | skewed | 0.3000 | 0.0000 |",
        "across": "| 3 | 5 | 0 | 1 : 10 | .050 | **.060** | **.900** |",
        "components": "| one source | 3 | 1.2 | **.900** | · | .951 | .960 | .975 | yes |",
    }
    for table in report.tables(a_calibration()).values():
        header, rule, row = table.splitlines()
        assert header.count("|") == rule.count("|") == row.count("|")
        assert rule == "|" + "---|" * (header.count("|") - 1)


def test_the_page_has_the_columns_of_the_tables():
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
        "across_of",
        "parts_of",
    ):
        monkeypatch.setattr(run, name, record(name))
    lines = []
    result = run.calibrate(replicates=7, progress=lines.append)
    parts = {
        "sizes": result.sizes,
        "coverages": result.coverages,
        "one arm": result.one_arm,
        "families": result.families,
        "powers": result.powers,
        "claims": result.claims,
        "caveats": result.caveats,
        "borderline": result.borderline,
        "across": result.across,
        "components": result.components,
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
        "borderline": 5 * 5 + 4,
        "across": 4 * 2 * 4 * 2,
        "components": 3 * 4,
    }
    drawn = [row[-1] for rows in parts.values() for row in rows]
    assert len(set(drawn)) == len(drawn) == len(lines) == len(set(lines))
    assert "power 3 0.5" in lines
    assert "coverage normal, 3 and 3 1.0" in lines
    # A part or a number of seeds alone gives the same figures; another seed others.
    alone = run.calibrate(replicates=7, parts=("powers",))
    assert (alone.powers, alone.sizes) == (result.powers, ())
    some = run.calibrate(replicates=7, sizes=(10,), parts=("sizes", "borderline", "one arm"))
    assert set(some.sizes) < set(result.sizes)
    assert {(row[1].split(", ")[-1]) for row in some.sizes} == {"10 and 10", "30 and 10", "10 and 30", "14 and 10"}
    assert [row[1:4] for row in some.borderline] == [
        *(("arms", "10", ratio) for ratio in ("1.0", "1.5", "3.0", "10.0")),
        ("paired", "10", "1.0"),
    ]
    assert run.calibrate(replicates=7, rng_seed=2, parts=("powers",)).powers != result.powers


def test_the_command_prints_or_replaces_the_tables_that_were_asked_for(monkeypatch, tmp_path, capsys):
    given = {}

    def calibrate(*, progress, **options):
        given.update(options)
        progress("a figure")
        return a_calibration()

    monkeypatch.setattr(command, "calibrate", calibrate)
    assert main(["--only", "caveats", "families"]) == 0
    assert given == {"replicates": 20_000, "rng_seed": 1, "sizes": designs.SIZES, "parts": ("caveats", "families")}
    printed = capsys.readouterr()
    assert "## caveats\n\n| n |" in printed.out
    assert printed.out.count("## ") == 2
    assert printed.err.endswith(" s] a figure\n")
    page = tmp_path / "page.md"
    page.write_text("before <!-- sizes -->\nold\n<!-- end of sizes --> after · <!-- claims -->x<!-- end of claims -->")
    arguments = ["--replicates", "9", "--rng-seed", "4", "--seeds", "3", "5", "--only", "sizes", "--into", str(page)]
    assert main(arguments) == 0
    assert given == {"replicates": 9, "rng_seed": 4, "sizes": (3, 5), "parts": ("sizes",)}
    assert capsys.readouterr().out == ""
    expected = report.tables(a_calibration())["sizes"]
    assert page.read_text(encoding="utf-8") == (
        f"before <!-- sizes -->\n{expected}\n<!-- end of sizes --> after · <!-- claims -->x<!-- end of claims -->"
    )


def test_tables_of_races_hold_what_was_measured_and_mark_broken_promises():
    plan = Plan(most=10, every=3, method="pocock")
    kept = race.Outcome(
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
    stop = race._Stop(difference_called=0.04, mean_n=9.5, covered=0.95, bias=0.0, equivalent=0.0)
    careful = [("pocock", 10, 0.01, 0.05, 0.06, (stop, stop, stop))]
    of_arms = [(3, "pocock", 0.0547)]
    made = race.rendered([kept, broken], [("fixed, 5 seeds", 0.8, 5, 0.05)], of_arms, careful, 20_000)
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
    assert cells["careful"] == [["pocock", "10", "0.01", ".050", "**.060**", ".040", ".040, 9.5", ".040, 9.5"]]


def test_tables_go_between_their_marks_in_the_page(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- two -->\nold\n<!-- /two -->\nafter\n")
    asked = []
    monkeypatch.setattr(race, "tables", lambda n, seed, tell: asked.append((n, seed)) or {"two": "new"})
    monkeypatch.setattr("sys.argv", ["race", "--replicates", "7", "--rng-seed", "3", "--into", str(page)])
    race.main()
    assert asked == [(7, 3)]
    assert page.read_text() == "before\n<!-- two -->\nnew\n<!-- /two -->\nafter\n"


# --- figures known from elsewhere -----------------------------------------------------------------------


def three_errors(p, replicates):
    return 3 * math.sqrt(p * (1 - p) / replicates)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "size"), [(3, 0.049), (5, 0.053), (10, 0.053)])
def test_size_of_welch_with_one_std_three_times_the_other(n, size):
    # Simulated independently for the design notes of this project.
    design = Design(name="", draw_a=NORMAL, draw_b=NORMAL, n_a=n, n_b=n, sd_b=3.0)
    result = sizes_of(design, replicates=20_000, rng=np.random.default_rng(1))
    assert result.welch == pytest.approx(size, abs=three_errors(0.05, 20_000) * math.sqrt(2))
    assert result.verdict == result.welch


@pytest.mark.slow
@pytest.mark.parametrize(("n", "coverage"), [(3, 0.9475), (5, 0.9473), (10, 0.9485)])
def test_coverage_of_the_mean(n, coverage):
    result = one_arm("normal", n, replicates=20_000, rng=np.random.default_rng(1))
    assert result.mean == pytest.approx(coverage, abs=three_errors(0.05, 20_000) * math.sqrt(2))
    for value in (result.mean, result.std, result.new_seed):
        assert value == pytest.approx(0.95, abs=three_errors(0.05, 20_000))
    assert result.median >= result.median_level - three_errors(0.05, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("sd_b", [1.0, 3.0])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_prob_greater_covers_with_few_seeds_and_unequal_spreads(n, sd_b):
    design = Design(name="", draw_a=NORMAL, draw_b=NORMAL, n_a=n, n_b=n, sd_b=sd_b)
    for shift in (0.0, 2.0):
        result = coverages_of(design, shift, replicates=2_000, rng=np.random.default_rng(1))
        assert result.prob_b_greater > 0.93
        assert result.difference > 0.93


OPPOSITE = {"draw_a": designs.mirrored(designs.skewed), "draw_b": designs.skewed}


@pytest.mark.slow
@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (5, 5), (10, 10), (9, 3), (30, 10)])
def test_claims_that_do_not_call_themselves_borderline_keep_five_percent(n_a, n_b):
    # The very worst shapes: Welch errs in 8 % and more; what it claims without a caveat in 5 %.
    sd_b = 1.0 if n_a == n_b else 3.0
    shapes = OPPOSITE if n_a == n_b else {"draw_a": designs.skewed, "draw_b": designs.skewed}
    design = Design(name="", n_a=n_a, n_b=n_b, sd_b=sd_b, **shapes)
    result = claims(design, replicates=20_000, rng=np.random.default_rng(2))
    assert result.difference > 0.07
    assert result.difference_unwarned <= 0.05 + three_errors(0.05, 20_000)
    assert result.equivalence_unwarned <= 0.05 + three_errors(0.05, 20_000)
    if n_a != n_b:  # with 9 and 3 even normal seeds of one std err in 6 %
        return
    # And where nothing is wrong the caveat is rare.
    kept = Design(name="", draw_a=NORMAL, draw_b=NORMAL, n_a=n_a, n_b=n_b)
    fine = claims(kept, replicates=20_000, rng=np.random.default_rng(2))
    assert fine.difference - fine.difference_unwarned < 0.045


@pytest.mark.slow
def test_bounds_of_borderline_claims_are_the_measured_ones():
    found = borderline("arms", 5, 1.0, replicates=20_000, rng=np.random.default_rng(3))
    # A quantile at 5 % of 20,000 values of density 1: error about .0015 / density, here below .0015.
    assert found.difference == pytest.approx(found.difference_used, abs=0.002)
    assert found.equivalence == pytest.approx(found.equivalence_used, abs=0.002)
    assert found.difference_used <= found.difference + 0.001


@pytest.mark.slow
def test_a_clear_difference_is_hardly_ever_called_borderline():
    assert 0.4 < caveats(5, 2.0, replicates=4_000, rng=np.random.default_rng(0)).borderline < 0.8
    clear = caveats(5, 6.0, replicates=4_000, rng=np.random.default_rng(0))
    assert clear.detected > 0.99
    assert clear.borderline < 0.02


@pytest.mark.slow
def test_fixed_designs_beside_the_races_are_single_welch_tests():
    n = 4_000
    rows = {name: rest for name, *rest in race.two_std(n, np.random.default_rng(0))}
    for seeds in (5, 6):
        power, mean_n, error = rows[f"fixed, {seeds} seeds"]
        # Welch with equal spreads is Student's test on about 2 n - 2 degrees of freedom, a little weaker.
        df = 2 * seeds - 2
        expected = stats.nct.sf(stats.t.isf(0.025, df), df, 2.0 * math.sqrt(seeds / 2))
        assert power == pytest.approx(expected, abs=0.03)
        assert mean_n == seeds
        assert error < 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)
