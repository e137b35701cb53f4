"""Audits of published tables, plans, and what luck does to a number: closed forms, simulations, the command line."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

import seedstudy as ss
from seedstudy.decide.plan import FROM_ONE, Spread, curve, plan_seeds
from seedstudy.errors import StatisticsError
from seedstudy.stats.audit import (
    Cells,
    best_spread,
    compare_pairs,
    normal_best,
    pair_p,
    prob_best,
    rank_intervals,
    shrink,
    worth,
)
from seedstudy.stats.power import difference_power, estimated_df_power
from seedstudy.stats.welch import two_sided_p, welch
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]
STUDIES = Path(__file__).parents[2] / "studies"


# --- statistics ---------------------------------------------------------------------------------------


def test_two_rows_have_the_closed_form():
    expected = 2 * stats.norm.sf(0.3 / (0.1 * math.sqrt(2)))
    assert pair_p(0.3, 0.1) == pytest.approx(expected)
    assert pair_p(-0.3, 0.1, cells=Cells(n=3)) == pytest.approx(2 * stats.norm.sf(0.3 * math.sqrt(3) / math.sqrt(0.02)))
    assert pair_p(0.3, 0.1, df=9) == pytest.approx(2 * stats.t.sf(0.3 / math.sqrt(0.02), 9))


def test_a_reference_sweep_of_few_seeds_keeps_the_error_rate():
    rng, n = np.random.default_rng(0), 5
    sd = rng.standard_normal((40_000, n)).std(axis=1, ddof=1)
    runs = rng.standard_normal((40_000, 2))
    t = np.abs(runs[:, 0] - runs[:, 1]) / (math.sqrt(2) * sd)
    p = np.array([pair_p(1.0, 1.0 / (x * math.sqrt(2)), df=n - 1) for x in (1.0, 2.0)])
    assert p == pytest.approx(2 * stats.t.sf([1.0, 2.0], n - 1))
    assert np.mean(2 * stats.t.sf(t, n - 1) < 0.05) == pytest.approx(0.05, abs=0.0035)


def test_rank_intervals_hold_the_true_ranks_of_all_rows_together():
    rng, sd = np.random.default_rng(1), np.full(6, 1.0)
    means = np.array([0.0, 0.5, 1.5, 3.0, 4.5, 8.0])
    true = 1 + np.sum(means[None, :] > means[:, None], axis=1)
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    missed, widths = 0, []
    for _ in range(600):
        found = rank_intervals(6, compare_pairs(means + rng.standard_normal(6), pairs, sd), 0.05, lower_is_better=False)
        missed += any(not low <= rank <= high for (low, high), rank in zip(found, true, strict=True))
        widths.append(np.mean([high - low for low, high in found]))
    assert missed / 600 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert np.mean(widths) < 4  # and they do tell something


def test_the_probability_of_being_best_is_the_posterior_share():
    rng, values = np.random.default_rng(2), np.array([80.0, 80.1, 79.7])
    draws = values + 0.15 * rng.standard_normal((200_000, 3))
    shares = np.bincount(draws.argmax(axis=1), minlength=3) / 200_000
    assert prob_best(values, 0.15) == pytest.approx(shares, abs=0.004)
    assert prob_best(values, 0.15, lower_is_better=True)[2] > 0.7
    sigma = 0.15 * np.sqrt(4 / rng.chisquare(4, 200_000))
    draws = values + sigma[:, None] * rng.standard_normal((200_000, 3))
    shares = np.bincount(draws.argmax(axis=1), minlength=3) / 200_000
    assert prob_best(values, 0.15, df=4) == pytest.approx(shares, abs=0.005)


def test_what_a_number_is_worth_depends_on_how_it_was_chosen():
    single, best = worth(80.0, 0.1, Cells()), worth(80.0, 0.1, Cells(kind="best", n=5))
    assert (single.low, single.high) == pytest.approx((80 - 0.19600, 80 + 0.19600), abs=1e-4)
    assert best.mean == pytest.approx(80 - 0.1 * 1.16296, abs=1e-5)
    rng = np.random.default_rng(3)
    seen = rng.standard_normal((40_000, 5)).max(axis=1)
    ends = worth(0.0, 1.0, Cells(kind="best", n=5))
    assert np.mean((seen + ends.low < 0) & (seen + ends.high > 0)) == pytest.approx(0.95, abs=0.0035)
    assert seen.std() == pytest.approx(best_spread(5), abs=0.006)
    lower = worth(3.0, 0.1, Cells(kind="best", n=5), lower_is_better=True)
    assert lower.mean > 3.0


def test_shrinking_takes_back_luck():
    rng = np.random.default_rng(4)
    true = rng.standard_normal((2_000, 12))
    seen = true + rng.standard_normal((2_000, 12))
    plain, pulled = [], []
    for means, row in zip(true, seen, strict=True):
        best = row.argmax()
        plain.append(row[best] - means[best])
        pulled.append(shrink(row, 1.0)[0][best] - means[best])
    assert np.mean(plain) > 0.8
    assert abs(np.mean(pulled)) < 0.25
    assert shrink(np.array([1.0, 2.0]), 1.0)[1] == 0.0
    everything = shrink(np.array([1.0, 1.1, 1.2, 1.3]), 1.0)  # less spread than seeds alone would give
    assert everything[0] == pytest.approx([1.15] * 4)
    assert everything[1] == 1.0


def test_means_of_several_seeds_are_as_good_as_one_seed_of_a_narrower_recipe():
    values = np.array([79.0, 79.1, 79.25])
    assert prob_best(values, 0.3, cells=Cells(n=4)) == pytest.approx(prob_best(values, 0.15))


@pytest.mark.slow
def test_the_interval_of_the_best_of_several_holds_it():
    rng, truth = np.random.default_rng(5), normal_best(5)
    found = [ss.best_of(row, 5) for row in rng.standard_normal((800, 8))]
    assert np.mean([x.low < truth < x.high for x in found]) == pytest.approx(0.95, abs=0.023)
    assert np.mean([x.value for x in found]) == pytest.approx(truth, abs=0.05)
    values = [1.0, 2.0, 4.0]
    assert ss.best_of(values, 2).value == pytest.approx((2 + 4 + 4) / 3)
    assert ss.best_of(values, 2, lower_is_better=True).value == pytest.approx((1 + 1 + 2) / 3)
    assert ss.best_of(values, 50).warnings
    with pytest.raises(StatisticsError, match="at least 1"):
        ss.best_of(values, 0)


# --- power --------------------------------------------------------------------------------------------


def test_power_equals_that_of_r():
    # power.t.test(n = 20, delta = 1, sd = 1); power.t.test(power = .90, delta = 1); and n at 80 % power.
    assert difference_power(welch(0, 1, 20, 1, 1, 20), 0.05) == pytest.approx(0.8689530, abs=1e-6)
    assert difference_power(welch(0, 1, 22.02109, 1, 1, 22.02109), 0.05) == pytest.approx(0.9, abs=1e-6)
    for difference, n in (
        (0.2, 393.41),
        (0.5, 63.77),
        (0.8, 25.52),
        (1.0, 16.71),
        (1.5, 8.06),
        (2.0, 5.09),
        (3.0, 3.07),
    ):
        assert difference_power(welch(0, 1, n, difference, 1, n), 0.05) == pytest.approx(0.8, abs=3e-4)
        assert ss.power(1.0, difference=difference).n_per_arm == math.ceil(n)


def test_the_real_power_of_few_seeds_by_simulation():
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((2, 40_000, 3))
    t = welch(a.mean(1), a.std(1, ddof=1), 3, 2 + 2 * b.mean(1), 2 * b.std(1, ddof=1), 3)
    assert estimated_df_power(2.0, 1.0, 2.0, 3) == pytest.approx(np.mean(two_sided_p(t) < 0.05), abs=0.007)


def test_plans_answer_each_other():
    found = ss.power(0.1, difference=0.2)
    assert ss.power(0.1, n=found.n_per_arm).difference < 0.2
    assert ss.power(0.1, n=found.n_per_arm - 1).difference > 0.2
    assert ss.power(0.1, n=5, difference=0.2).power == pytest.approx(0.79, abs=0.01)
    both = ss.power((0.1, 0.2), margin=0.3)
    assert both.power >= 0.8
    assert ss.power((0.1, 0.2), margin=0.3, n=both.n_per_arm - 1).power < 0.8
    assert ss.power(0.1, margin=0.1, difference=0.2).n_per_arm is None


def test_a_pilot_of_few_seeds_gives_a_band_and_the_curve_follows_it():
    plan = plan_seeds(Spread(sd_a=0.1, sd_b=0.1, n_a=4, n_b=4), difference=0.2)
    low, high = plan.band
    assert low < plan.n_per_arm < high
    # Browne's upper 80 % limit: sqrt(3 / chi2.ppf(.2, 3)).
    assert plan.spread.band[0][1] == pytest.approx(0.1 * math.sqrt(3 / stats.chi2.ppf(0.2, 3)))
    lines = curve(plan)
    assert np.all(np.diff(lines["power"]) > 0)
    assert np.all((lines["low"] <= lines["power"]) & (lines["power"] <= lines["high"]))


# --- tables -------------------------------------------------------------------------------------------


def test_the_published_tables_are_judged_as_their_studies_say():
    table = ss.audit(STUDIES / "rsb_table3" / "table3.csv", sd=0.1)
    assert (len(table.across), sum(table.is_decided(pair) for _, pair in table.across)) == (147, 112)
    a1 = table.columns[0]
    assert a1.ranks[a1.rows.index("ResNet-101")] == (7, 12)
    assert [row[2] for row in table.sensitivity] == [124, 112, 100, 93, 75]
    weights = ss.audit(STUDIES / "rsb_table3" / "resnet50_weights.csv", sd="rsb")
    assert [(n, decided) for _, _, n, decided in weights.disagreements] == [(12, 0), (9, 0), (11, 0)]
    assert weights.across == ()  # accuracies on different eval sets are not compared with each other
    ladder = ss.audit(STUDIES / "resnet_rs_ladder_published" / "ladder.csv", sd=0.1, is_ladder=True)
    steps = {ladder.columns[0].rows[pair.b] for pair in ladder.columns[0].pairs if ladder.is_decided(pair)}
    assert len(steps) == 6
    assert "Stochastic depth" not in steps


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("model,val\na,80.1\nb,80.3\n", (), "give --sd 0.1"),
        ("model,val\na,80.1\nb,0.803\n", ("--sd", "0.1"), "percent and fraction are mixed"),
        ("model,val\na,80.1\nb,about 80\n", ("--sd", "0.1"), '"about 80" is not a number'),
        ("model,val\na,0.801\nb,0.803\n", ("--sd", "0.1"), "percent or fraction?"),
        ("model,val\na,80.1\nb,80.3\n", ("--sd", "0"), "positive number"),
        ("model,val\na,80.1\nb,80.3\n", ("--sd", "v2=0.1"), 'no column "v2"'),
        ("model,val\na,80.1\nb,80.3\n", ("--sd", "0.1", "--columns", "vall"), 'Did you mean "val"'),
        ("model,val\na,80.1\na,80.3\n", ("--sd", "0.1"), "several rows"),
        ("model,val\na,80.1\nb\n", ("--sd", "0.1"), "line 3"),
        ("model,val\na,80.1\nb,80.3\n", ("--sd", "0.1", "--seeds", "0"), "at least 1"),
    ],
)
def test_wrong_tables_are_told_in_one_line(
    cli: Cli, tmp_path: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "table.csv").write_text(text)
    code, out, err = cli("audit", "table.csv", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_audit_prints_json_and_draws(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("model,a,b\nx,80.10,80.42\ny,80.35,80.30\nz,81.00,\n")
    (tmp_path / "sweep.txt").write_text("80.0\n80.1\n80.2\n80.1\n")
    code, out, _ = cli("audit", "table.csv", "--reference", "sweep.txt", "--json", "--save", "picture.png")
    assert code == 0
    document = json.loads(out)
    assert document["sd_df"] == 3
    assert document["across_columns"]["n_pairs"] == 2  # the empty cell is in no pair
    assert [c["as"] for c in document["columns"][0]["claims"]] == ["single run", "mean of 3", "best of 5"]
    assert (tmp_path / "picture.png").stat().st_size > 5_000
    code, out, _ = cli("audit", "table.csv", "--sd", "0.1")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert "\na: 2 of 3 pairs of rows exceed seed noise.\nb: 0 of 1 pairs of rows exceed seed noise.\n" in out
    assert ["a", "z", "y", "+0.65", "8.6e-6"] in rows
    assert ["z", "x", "+0.90", "5.9e-10"] in rows
    assert ["x", "b", "-", "a", "+0.32", "0.047"] in rows
    assert all(len(line) <= 80 for line in out.splitlines())


def test_power_prints_the_contract(cli: Cli) -> None:
    code, out, _ = cli("power", "--difference", "0.2", "--sd", "0.1", "--json", "--cost", "resnet50@a2")
    assert code == 0
    document = json.loads(out)
    assert {"n_per_arm", "difference", "sd_a", "sd_b", "alpha", "power"} <= document.keys()
    assert (document["n_per_arm"], document["gpu_hours"]) == (6, 2640.0)
    assert (
        "6 seeds per arm detect a difference of 0.2 points with"
        in cli("power", "--difference", "0.2", "--sd", "0.1")[1]
    )
    for wrong in (("--sd", "0.1"), ("--n", "5"), ("--n", "5", "--sd", "x"), ("--n", "1", "--sd", "0.1")):
        code, out, err = cli("power", *wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_cost_is_in_hours_of_what_was_measured(cli: Cli, make_store: Callable[..., Store]) -> None:
    make_store(n_seeds=6, a2=0.8)
    trials = ss.load_trials("results/main")
    hours = trials["train_s"].mean() / 3600
    answer = ss.power(pilots=["a2"], difference=5.0)
    assert answer.cost is not None
    assert (answer.cost.device, answer.cost.hours_per_seed) == (trials["device"][0], pytest.approx((hours, hours)))
    document = answer.to_dict()
    assert (document["gpu_hours"], document["hours"]) == (None, pytest.approx(2 * answer.n_per_arm * hours))
    out = " ".join(cli("power", "--difference", "5", "--pilot", "a2")[1].split())
    assert f"as measured on {trials['device'][0]}, for both arms" in out
    assert "GPU" not in out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("--difference 0.01 --sd rsb-v2", "8,306 seeds per arm detect a difference of 0.01 points with 80% power."),
        ("--difference 0.01 --sd rsb-v2", "it takes 7,434 to 9,450 seeds per arm"),
        ("--difference 0.5 --sd rsb-val", "it takes 3 seeds per arm at either"),
        ("--n 5 --sd rsb-val", "the smallest detectable difference is 0.192 points to 0.216 points"),
        ("--n 5 --difference 0.2 --sd rsb-val", "the power is 83% to 74%"),
        (
            "--difference 0.01 --sd 0.02 --metric val_loss",
            "64 seeds per arm detect a difference of 0.01 with",
        ),
        ("--difference 1e-5 --sd 0.1", "No number of seeds up to 100,000 per arm would detect"),
        ("--margin 0.1 --sd 0.1,0.2", "std over seeds 0.1 points and 0.2 points (given)"),
    ],
)
def test_power_is_said_in_whole_seeds_and_in_units(cli: Cli, arguments: str, text: str) -> None:
    code, out, err = cli("power", *arguments.split())
    assert code == 0, err
    assert text in " ".join(out.split())
    assert all(len(line) <= 80 for line in out.splitlines())


def test_one_training_gives_limits_and_the_upper_one_is_planned_with(
    make_store: Callable[..., Any], cli: Callable[..., tuple[int, str, str]]
) -> None:
    make_store(n_seeds=1, a2=0.8)
    trials = ss.load_trials("results/main").filter(pl.col("eval_set") == "val")
    n_correct, n = trials.row(0, named=True)["n_correct"], trials["n_examples"][0]
    base = 100 * math.sqrt((1 - n_correct / n) / (2 * n))
    plan = ss.power(from_one="a2", difference=200.0)
    assert plan.spread.sd_a == pytest.approx(FROM_ONE[1] * base)
    document = plan.to_dict()
    assert document["sd_band"][0] == pytest.approx([factor * base for factor in FROM_ONE])
    assert document["band"][0] <= document["band"][1] == document["n_per_arm"]
    code, out, err = cli("power", "--from-one", "a2", "--difference", "200")
    assert code == 0, err
    assert "one training does not show the spread" in " ".join(out.split())
    for wrong in (("--from-one", "a2", "--sd", "0.1"), ("--from-one", "79.5±0.1 n=3")):
        assert cli("power", *wrong, "--difference", "1")[0] == 2
