"""The race: replay, resumption, several arms, lost seeds, and the command line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import seedstudy as ss
from seedstudy.decide.race import RaceRule, replay
from seedstudy.errors import StudyError
from seedstudy.stats.race import Plan

N14 = "3.2774 3.2782 3.2796 3.2815 3.276 3.2777 3.2784 3.2795 3.281 3.2802 3.2767 3.2772 3.28 3.2786"
N10A = "3.2781 3.2792 3.2765 3.2796 3.2803 3.2801 3.2787 3.2798 3.2787 3.2786"
N10B = "3.2786 3.2798 3.2762 3.2781 3.2778 3.2801 3.2774 3.2772 3.2777 3.2789"


def race_replay(*samples: Any, target: float | None = None, margin: float | None = None, **given: Any) -> Any:
    about = {key: given.pop(key) for key in ("metric", "lower_is_better") if key in given}
    return ss.race(*samples, replay=True, target=target, margin=margin, plan=given, **about)


def numbers(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=float)


@pytest.fixture
def arms() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    a, b, c = 80 + 0.1 * rng.standard_normal((3, 20))
    return {"a": a, "b": b + 0.2, "c": c}


@pytest.mark.parametrize(
    ("sweep", "one_sided_p"), [(N14, 0.00588127), (N10A, 0.00835215), (N10B, 4.7896e-4)], ids=["N14", "N10a", "N10b"]
)
def test_one_look_at_the_whole_sweep_is_the_test_its_author_printed(sweep, one_sided_p):
    x = numbers(sweep)
    race = race_replay(x, target=3.28, first=x.size, alpha=0.02, lower_is_better=True, metric="val_loss")
    (pair,) = race.pairs
    assert pair.last.p_value / 2 == pytest.approx(one_sided_p, rel=1e-5)
    assert (pair.verdict, pair.last.round) == ("better", x.size)


@pytest.mark.parametrize(
    ("sweep", "n", "method"),
    [(N14, 12, "obrien-fleming"), (N10A, 10, "obrien-fleming"), (N10B, 8, "obrien-fleming"), (N10B, 8, "pocock")],
)
def test_looks_after_every_seed_decide_the_published_sweeps(sweep, n, method):
    race = race_replay(numbers(sweep), target=3.28, method=method, lower_is_better=True, metric="val_loss")
    (pair,) = race.pairs
    assert (pair.verdict, pair.last.round, race.seeds_used) == ("better", n, n)
    # The boundary is stricter than a single look's .05, and was not crossed before.
    assert pair.last.p_value < pair.last.p_needed < 0.05
    assert all(look.p_value > look.p_needed for look in pair.looks[:-1])


def test_two_published_sweeps_are_equivalent_within_two_thousandths():
    race = race_replay(numbers(N14)[:10], numbers(N10A), margin=0.002, lower_is_better=True, metric="val_loss")
    (entry,) = race.to_dict()["comparisons"]
    assert (entry["verdict"], entry["n_a"], race.to_dict()["seeds_saved"]) == ("equivalent", 9, 2)


def test_the_last_look_shows_what_compare_shows(arms):
    a, b = arms["a"][:8], arms["c"][:8]
    (pair,) = race_replay(a, b, first=8).pairs
    seen = ss.compare(a, b)[0].comparison
    assert pair.last.p_value == pytest.approx(seen.p_value)
    assert (pair.last.low, pair.last.high) == pytest.approx((seen.difference.low, seen.difference.high))
    assert pair.last.p_value == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


@pytest.mark.slow
def test_a_race_that_is_fed_round_by_round_takes_the_path_of_the_whole(arms):
    rule = RaceRule(arms=("a", "b"), plan=Plan(margin=0.1))
    whole = replay(arms, rule)
    have, asked = {"a": 0, "b": 0}, []
    while True:
        values = {arm: arms[arm][:n] for arm, n in have.items()}
        race = replay(values, rule, costs={arm: [1.0] * n for arm, n in have.items()})
        if race.is_over:
            break
        asked.append(dict(race.needs))
        have.update(race.needs)
    assert replace(race, arms=whole.arms) == whole
    assert asked == [{"a": n, "b": n} for n in range(3, whole.pairs[0].last.round + 1)]
    assert race.cost_s == race.seeds_used


def test_results_beyond_the_stop_change_nothing(arms):
    rule = RaceRule(arms=("a", "b"), plan=Plan())
    stop = replay(arms, rule).pairs[0].last.round
    changed = {arm: np.where(np.arange(20) < stop, values, 0.0) for arm, values in arms.items()}
    assert replay(changed, rule) == replay(arms, rule)


@pytest.mark.slow
def test_losers_leave_a_race_of_three_and_their_seeds_are_saved(arms):
    race = replay(arms, RaceRule(arms=("a", "b", "c"), plan=Plan()))
    states = {arm.label: arm for arm in race.arms}
    assert {
        pair.b if pair.verdict == "better" else pair.a for pair in race.pairs if pair.verdict != "inconclusive"
    } == {"b"}
    assert states["b"].dropped_at is None
    assert states["a"].n == states["a"].dropped_at < 20
    assert race.is_over
    assert race.seeds_used < race.seeds_fixed == 60
    # A third of alpha until the first arm is shown to be worse, half of it after (Holm).
    assert (
        race.pairs[0].looks[0].p_needed
        < replay(arms, RaceRule(arms=("a", "b"), plan=Plan())).pairs[0].looks[0].p_needed
    )


@pytest.mark.slow
def test_a_race_of_equal_arms_calls_a_wrong_winner_no_more_often_than_promised():
    rng = np.random.default_rng(2)
    rule = RaceRule(arms=("a", "b", "c"), plan=Plan(most=5, every=2, method="pocock"))
    wrong = 0
    for _ in range(400):
        race = replay(dict(zip("abc", rng.standard_normal((3, 5)), strict=True)), rule)
        wrong += any(pair.verdict in ("better", "worse") for pair in race.pairs)
    assert wrong / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_a_seed_without_a_result_costs_information_and_nothing_else(arms):
    values = {"a": arms["a"].copy(), "b": arms["b"].copy()}
    values["b"][3] = np.nan
    race = replay(values, RaceRule(arms=("a", "b"), plan=Plan()))
    look = race.pairs[0].looks[1]
    assert (look.n_a, look.n_b) == (4, 3)
    assert race.arms[1].n == race.arms[1].n_results + 1
    assert race.pairs[0].verdict == "better"


def test_arms_without_spread_are_never_decided():
    race = race_replay([80.0] * 6, [81.0] * 6)
    assert race.pairs[0].verdict == "inconclusive"
    assert race.is_over


def test_the_rule_survives_its_file():
    rule = RaceRule(arms=("a", "b"), plan=Plan(margin=0.1, method="anytime"))
    assert RaceRule.from_dict(json.loads(json.dumps(rule.to_dict())), where="race.json") == rule
    with pytest.raises(StudyError, match="damaged"):
        RaceRule.from_dict({"arms": ["a", "b"]}, where="race.json")


# --- command line -------------------------------------------------------------------------------------

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def files(tmp_path: Path) -> None:
    (tmp_path / "n14.csv").write_text("val_loss\n" + "\n".join(N14.split()) + "\n")
    (tmp_path / "n10.csv").write_text("val_loss\n" + "\n".join(N10A.split()) + "\n")


@pytest.mark.usefixtures("files")
def test_replay_from_files_prints_looks_and_json_and_draws(cli: Cli, tmp_path: Path) -> None:
    command = (
        "race",
        "--replay",
        "n14.csv",
        "n10.csv",
        "--metric",
        "val_loss",
        "--lower-is-better",
        "--margin",
        "0.002",
    )
    code, out, _ = cli(*command, "--save", "race.png")
    assert code == 0
    first = "n10 is EQUIVALENT to n14 on val_loss, shown at 9 seeds each: within 0.002; +0.0002"
    assert first in " ".join(out.split())
    assert "18 seeds used, 2 of 20 saved" in out
    assert (tmp_path / "race.png").stat().st_size > 10_000
    code, out, _ = cli(*command, "--json")
    document = json.loads(out)
    assert document["comparisons"][0]["verdict"] == "equivalent"
    assert document["rule"]["plan"]["method"] == "obrien-fleming"
    assert cli(*command, "--json")[1] == out


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("n14.csv",), "race needs two recipes"),
        (("n14.csv", "n10.csv", "--spending", "peek"), 'method "peek"'),
        (("n14.csv", "n10.csv", "--first-look", "1"), "at least 2 seeds"),
        (("n14.csv", "n10.csv", "--margin", "-1"), "positive"),
        (("n14.csv", "n10.csv", "--target", "3"), "raced by one recipe"),
        (("n14.csv", "n10.csv", "--eval", "val,v2"), "one eval set"),
        (("n14.csv", "n14.csv"), "twice"),
        (("n14.csv", "n11.csv"), "n11.csv"),
    ],
)
def test_wrong_races_are_told_in_one_line(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = cli("race", "--replay", *arguments, "--metric", "val_loss")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"arms": "ab"},
        {"arms": [1, 2]},
        {"trains": 7},
        {"trains": {"a2": 1}},
        {"target": "x"},
        {"plan": {"first": "3"}},
        {"plan": {"first": None}},
        {"plan": []},
        {"lower_is_better": "no"},
    ],
    ids=str,
)
def test_a_kept_rule_of_wrong_content_is_one_line(change: dict[str, Any]) -> None:
    """Sealed by somebody else, or by another program."""
    kept = {**RaceRule(arms=("a3", "a2"), plan=Plan(margin=0.5)).to_dict(), "trains": {"a2": {"epochs": 3}}}
    assert RaceRule.from_dict(kept, where="race.json").plan.margin == 0.5
    with pytest.raises(StudyError, match=r"race\.json: damaged"):
        RaceRule.from_dict(kept | change, where="race.json")


def test_a_difference_on_these_images_alone_is_none_on_new_ones() -> None:
    """Each image suits one arm: on these 60 it adds up to a difference, which 60 others would not show."""
    rng = np.random.default_rng(1)
    taste = np.repeat((-0.45, 0.45), (27, 33))
    correct = {arm: rng.random((10, 60)) < 0.5 + sign * taste for arm, sign in (("a", -1), ("b", 1))}
    values = {arm: 100.0 * matrix.mean(axis=1) for arm, matrix in correct.items()}
    rule = RaceRule(arms=("a", "b"), plan=Plan(most=10))
    these = replay(values, rule).pairs[0]
    new = replay(values, replace(rule, images="new"), correct=correct).pairs[0]
    assert (these.verdict, new.verdict) == ("better", "inconclusive")
    assert new.looks[-1].se > 2 * these.looks[-1].se
    assert new.looks[0].chance_of_decision < 0.1 < these.looks[0].chance_of_decision
