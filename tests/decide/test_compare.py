from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

import seedstudy as ss
from seedstudy.decide import compare as judgement
from seedstudy.decide.compare import Correction
from seedstudy.decide.verdict import Rule, decide, overall
from seedstudy.errors import StudyError
from seedstudy.read.numbers import group_of_numbers
from seedstudy.read.request import Request
from seedstudy.store.store import Store

MakeStore = Callable[..., Store]
Cli = Callable[..., tuple[int, str, str]]
A, B, C = [78.012, 78.304, 78.098, 78.401], [78.5, 78.402, 78.9, 78.597], [78.4, 78.203, 78.7, 78.301]


def test_several_candidates_are_adjusted_against_the_baseline() -> None:
    first, second = ss.compare(A, B, C)
    p = [float(stats.ttest_ind(arm, A, equal_var=False).pvalue) for arm in (B, C)]
    assert (first.comparison.p_value, second.comparison.p_value) == pytest.approx(p)
    assert (first.p_adjusted, second.p_adjusted) == pytest.approx((2 * p[0], 2 * p[1]))
    # Bonferroni: each interval at 97.5 %.
    reference = stats.ttest_ind(B, A, equal_var=False).confidence_interval(0.975)
    assert first.to_dict()["ci_adjusted"] == pytest.approx([reference.low, reference.high])
    assert first.to_dict()["ci"][0] > reference.low
    assert (first.to_dict()["family_size"], first.to_dict()["correction"]) == (2, "bonferroni")
    holm = ss.compare(A, B, C, correction="holm")
    assert holm[0].p_adjusted == pytest.approx(2 * min(p))
    assert holm[1].p_adjusted == pytest.approx(max(2 * min(p), max(p)))


@pytest.mark.parametrize("correction", ["bonferroni", "holm", "none"])
def test_an_interval_excludes_0_exactly_where_its_p_is_below_alpha(correction: Correction) -> None:
    outcomes = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        arms = [rng.normal(79 + shift, 0.2, 6) for shift in (0.0, 0.1, 0.2, 0.35)]
        for answer in ss.compare(*arms, correction=correction):
            interval = answer.interval_adjusted
            is_shown = interval.low > 0 or interval.high < 0
            assert is_shown == (answer.p_adjusted < 0.05) == (answer.verdict.word != "inconclusive")
            outcomes.add(is_shown)
    assert outcomes == {True, False}


def test_the_level_changes_intervals_and_no_verdict() -> None:
    near = [78.402, 78.55, 78.448, 78.8]  # p = .034
    usual, wide, strict = ss.compare(A, near)[0], ss.compare(A, near, level=0.99)[0], ss.compare(A, near, alpha=0.01)[0]
    assert (usual.verdict.word, wide.verdict.word, strict.verdict.word) == ("better", "better", "inconclusive")
    assert wide.interval_adjusted.low < 0 < usual.interval_adjusted.low == strict.interval_adjusted.low


def test_the_same_trials_twice_are_no_comparison(make_store: MakeStore, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    trials = ss.load_trials(make_store(n_seeds=4, a3=0.7, a2=0.75).root)
    Path("a.txt").write_text("78.01\n78.12\n78.33\n")
    for same in ((trials, "a3", "a3"), (trials, "a2", "a3", "a3"), ("a.txt", "./a.txt")):
        with pytest.raises(StudyError, match="the same trials are given twice"):
            ss.compare(*same)
    assert ss.compare([78.01, 78.12], [78.01, 78.12])[0].verdict.word == "inconclusive"


def test_a_single_comparison_is_not_adjusted() -> None:
    entry = ss.compare(A, B)[0].to_dict()
    assert entry["p_adjusted"] == entry["p_value"]
    assert (entry["ci_adjusted"], entry["correction"]) == (entry["ci"], "none")


def test_the_verdict_is_read_from_the_adjusted_p() -> None:
    near = [78.402, 78.55, 78.448, 78.8]  # p = .034 alone
    assert ss.compare(A, near)[0].verdict.word == "better"
    many = ss.compare(A, near, C, C, C)
    assert many[0].verdict.word == "inconclusive"
    assert "adjusted for 4 comparisons" in many[0].verdict.reasons[0]
    assert "(p = 0.034; p = 0.14 adjusted" in many[0].verdict.reasons[0]
    alone, together = ss.compare(A, C, margin=0.2)[0], ss.compare(A, near, C, C, C, margin=0.2)[2]
    assert together.verdict.missing.number > alone.verdict.missing.number
    assert ss.compare(A, near, C, C, C, correction="none")[0].verdict.word == "better"


def test_equivalence_is_adjusted_too() -> None:
    rng = np.random.default_rng(0)
    arms = [79 + rng.normal(0, 0.1, 10) for _ in range(4)]
    alone = ss.compare(arms[0], arms[1], margin=0.2)[0]
    together = ss.compare(*arms, margin=0.2)
    for answer in together:
        assert answer.equivalence_p_adjusted == pytest.approx(min(1.0, 3 * answer.comparison.equivalence_p))
    assert alone.equivalence_p_adjusted == alone.comparison.equivalence_p


def test_all_pairs_have_letters_that_agree_with_the_tests() -> None:
    far = [70.0, 70.2, 70.1, 70.3]
    comparisons = ss.compare(A, C, far, all_pairs=True)
    assert [(x.a.label, x.b.label) for x in comparisons] == [("A", "B"), ("A", "C"), ("B", "C")]
    letters = comparisons.to_dict()["letters"]["val"]
    for answer in comparisons:
        shares = bool(set(letters[answer.a.label]) & set(letters[answer.b.label]))
        assert shares == (answer.p_adjusted >= 0.05)
    assert letters["B"].startswith("a")  # the best
    assert list(letters) == ["B", "A", "C"]
    turned = ss.compare(A, C, far, all_pairs=True, metric="val_loss").to_dict()["letters"]["val"]
    assert list(turned) == ["C", "A", "B"]


def test_one_eval_set_decides_and_the_others_are_adjusted(make_store: MakeStore) -> None:
    trials = ss.load_trials(make_store(n_seeds=12, a3=0.7, a2=0.75).root)
    val, real = ss.compare(trials, "a3", "a2")
    assert (val.is_primary, real.is_primary) == (True, False)
    assert (val.p_adjusted, val.n_family) == (val.comparison.p_value, 1)
    assert real.p_adjusted == real.comparison.p_value  # one other eval set: a family of one
    assert [x.is_primary for x in ss.compare(trials, "a3", "a2", primary="real")] == [False, True]
    with pytest.raises(StudyError, match="not compared"):
        ss.compare(trials, "a3", "a2", primary="v2")
    document = ss.compare(trials, "a3", "a2").to_dict()
    assert document["overall"][0]["verdict"] == document["comparisons"][0]["verdict"]


def test_candidates_on_the_other_eval_sets_are_one_family(make_store: MakeStore) -> None:
    trials = ss.load_trials(make_store(n_seeds=6, a3=0.7, a2=0.75, a1=0.72).root)
    answers = ss.compare(trials, "a3", "a2", "a1")
    assert [(x.a.eval_set, x.n_family) for x in answers] == [("val", 2), ("real", 2), ("val", 2), ("real", 2)]


def test_max_t_uses_that_eval_sets_go_together() -> None:
    from seedstudy.decide import compare as judgement
    from seedstudy.decide.summary import Group

    rng = np.random.default_rng(1)

    def arm(label: str, shift: float) -> list[Group]:
        base = 78 + shift + rng.normal(0, 0.1, 8)
        return [
            Group(
                label=label,
                recipe=label,
                model=None,
                data=None,
                eval_set=name,
                metric="top1",
                unit="pp",
                seeds=tuple(range(8)),
                values=base + offset,
            )
            for name, offset in (("val", 0.0), ("real", 5.0), ("v2", -10.0))
        ]

    arms = [arm("A", 0.0), arm("B", 0.12)]
    usual = judgement.judge([arms], Rule())
    joint = judgement.judge([arms], Rule(), design=judgement.Design(correction="max-t"))
    # Equal up to a shift: max-T knows it is one test, Bonferroni doubles.
    assert usual[1].p_adjusted == pytest.approx(2 * usual[1].comparison.p_value)
    assert joint[1].p_adjusted == pytest.approx(joint[1].comparison.permutation_p)
    assert (joint[1].interval_adjusted.low > 0) == (joint[1].p_adjusted < 0.05)
    assert joint[1].interval_adjusted.low > usual[1].interval_adjusted.low
    few = [[replace(g, values=g.values[:3], seeds=(0, 1, 2)) for g in groups] for groups in arms]
    with pytest.raises(StudyError, match=r"relabelling 3 and 3 seeds gives no p below 0\.1, and alpha is 0\.05"):
        judgement.judge([few], Rule(), design=judgement.Design(correction="max-t"))
    with pytest.raises(StudyError, match="one unpaired pair"):
        judgement.judge([[*arms, arm("C", 0.0)]], Rule(), design=judgement.Design(correction="max-t"))


def test_paired_by_seed_whatever_the_order(make_store: MakeStore) -> None:
    trials = ss.load_trials(make_store(n_seeds=6, a3=0.7, a2=0.75).root)
    val = trials.filter(trials["eval_set"] == "val")
    top1 = {
        name: 100 * (rows["n_correct"] / rows["n_examples"]).to_numpy()
        for name in ("a3", "a2")
        for rows in [val.filter(val["recipe"] == name).sort("seed")]
    }
    reference = stats.ttest_rel(top1["a2"], top1["a3"])
    entry = ss.compare(trials.sample(fraction=1, shuffle=True, seed=1), "a3", "a2", paired=True)[0].to_dict()
    assert (entry["method"], entry["p_value"]) == ("paired-t", pytest.approx(float(reference.pvalue)))
    assert entry["correlation"] == pytest.approx(np.corrcoef(top1["a3"], top1["a2"])[0, 1])
    assert entry["correlation_ci"] is not None
    few = trials.filter((trials["recipe"] == "a3") | (trials["seed"] < 4))
    pairs = ss.compare(few, "a3", "a2", paired=True)[0]  # seeds 4 and 5 of a3 have no partner
    of_four = stats.ttest_rel(top1["a2"][:4], top1["a3"][:4])
    assert (pairs.comparison.n_a, pairs.comparison.n_b) == (4, 4)
    assert pairs.comparison.p_value == pytest.approx(float(of_four.pvalue))
    assert pairs.means[0].value == pytest.approx(top1["a3"][:4].mean())
    assert len(pairs.a.trial_ids) == 4
    assert any("seeds 4, 5 have no partner in the other arm" in warning for warning in pairs.warnings)
    with pytest.raises(StudyError, match="have only seed 0 in common: a paired comparison needs 2"):
        ss.compare(trials.filter((trials["recipe"] == "a3") | (trials["seed"] < 1)), "a3", "a2", paired=True)


@given(
    st.dictionaries(st.integers(0, 9), st.integers(10, 1000).map(lambda k: k / 10), min_size=1),
    st.dictionaries(st.integers(0, 9), st.integers(10, 1000).map(lambda k: k / 10), min_size=1),
)
def test_pairs_are_of_equal_seeds_and_none_is_lost_without_a_word(
    of_a: dict[int, float], of_b: dict[int, float]
) -> None:
    arms = []
    for label, values in (("a", of_a), ("b", of_b)):
        group = group_of_numbers(list(values.values()), label, Request(unit="percent"))
        arms.append(replace(group, seeds=tuple(values)))
    shared = of_a.keys() & of_b.keys()
    if len(shared) < 2:
        with pytest.raises(StudyError, match="in common"):
            judgement.in_pairs(*arms)
        return
    a, b = judgement.in_pairs(*arms)
    assert a.seeds == b.seeds
    assert set(a.seeds or ()) == shared
    assert a.values.tolist() == [of_a[seed] for seed in a.seeds or ()]
    assert b.values.tolist() == [of_b[seed] for seed in b.seeds or ()]
    assert (bool(a.notes), bool(b.notes)) == (of_a.keys() > shared, of_b.keys() > shared)


def test_published_means_are_compared_with_their_n() -> None:
    # scipy's own answer from mean, std and n; with so many digits rounding hardly matters.
    reference = stats.ttest_ind_from_stats(79.8, 0.1, 5, 79.5, 0.12, 3, equal_var=False)
    for b in ("79.80000±0.10000 n=5", "a2: 79.80000 +- 0.10000 (n = 5)", "79.80000+/-0.10000, n=5"):
        entry = ss.compare("79.50000±0.12000 n=3", b, margin=0.1)[0].to_dict()
        assert entry["p_value"] == pytest.approx(float(reference.pvalue), rel=1e-3)
        assert (entry["n_a"], entry["n_b"]) == (3, 5)
    assert ss.compare("0.795±0.0012 n=3", "0.798±0.001 n=5", unit="fraction")[0].comparison.sd_b == pytest.approx(0.1)
    mixed = ss.compare([79.4, 79.5, 79.6], "79.8±0.1 n=5")[0]
    assert mixed.comparison.n_a == 3
    assert any("only mean, std and n are known" in warning for warning in mixed.comparison.warnings)
    with pytest.raises(StudyError, match="without its number of seeds"):
        ss.compare("79.5±0.1", "79.8±0.1 n=5")
    with pytest.raises(StudyError, match="cannot be paired"):
        ss.compare("79.5±0.1 n=5", "79.8±0.1 n=5", paired=True)


def test_a_published_difference_may_be_the_work_of_rounding() -> None:
    answer = ss.compare("79.5±0.1 n=3", "79.8±0.1 n=3")[0]
    p = [
        float(stats.ttest_ind_from_stats(79.5 + d, sd, 3, 79.5, sd, 3, equal_var=False).pvalue)
        for d, sd in ((0.4, 0.05), (0.3, 0.1), (0.2, 0.15))
    ]
    assert answer.rounding.p_values == pytest.approx((p[0], p[2]), rel=1e-6)
    assert (p[0] < 0.001, p[1] < 0.05, p[2] > 0.1) == (True, True, True)
    assert answer.verdict.word == "inconclusive"
    assert answer.p_adjusted == answer.to_dict()["p_value"] == pytest.approx(p[2])
    assert answer.interval_adjusted.low < 0 < answer.interval_adjusted.high
    assert f"any p from {p[0]:.2g} to {p[2]:.2g} ({p[1]:.2g} as printed)" in answer.verdict.reasons[1]
    assert ss.compare("79.50±0.10 n=3", "79.80±0.10 n=3")[0].verdict.word == "better"
    as_error = stats.ttest_ind_from_stats(79.8, 0.1 * 3**0.5, 3, 79.5, 0.1 * 3**0.5, 3, equal_var=False)
    assert answer.to_dict()["p_value_if_standard_error"] == pytest.approx(float(as_error.pvalue))
    # The box of values that round to 79.5 and 79.6 holds equal means.
    assert ss.compare("79.5±0.1 n=3", "79.6±0.1 n=3")[0].p_adjusted == 1.0


def test_the_least_favourable_rounding_decides_equivalence_too() -> None:
    fine, coarse = (
        ss.compare(f"{a}±0.10 n=30", f"{b}±0.10 n=30", margin=0.13)[0]
        for a, b in (("79.50", "79.52"), ("79.5", "79.5"))
    )
    assert (fine.verdict.word, coarse.verdict.word) == ("equivalent", "inconclusive")
    worst = stats.t.sf((0.13 - 0.1) / (0.105 * (2 / 30) ** 0.5), 58)
    assert coarse.comparison.equivalence_p == pytest.approx(worst, rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=5),
    st.lists(st.integers(3, 15), min_size=2, max_size=5),
    st.integers(0, 10_000),
)
@example(a=[0, 0, 10], b=[3, 3], seed=0)  # rounding may hide that there is no difference at all
def test_no_seeds_that_round_to_the_given_ones_have_a_larger_p(a: list[int], b: list[int], seed: int) -> None:
    first, second = 79 + np.array(a) / 10, 79 + np.array(b) / 10
    answer = ss.compare(first, second)[0]
    if answer.rounding is None:
        assert answer.comparison.method == "permutation" or max(np.std(first), np.std(second)) > 1.5
        return
    rng = np.random.default_rng(seed)
    for _ in range(20):
        exact = [values + rng.uniform(-0.05, 0.05, len(values)) for values in (first, second)]
        p = float(stats.ttest_ind(*exact, equal_var=False).pvalue)
        assert p <= answer.rounding.p_values[1] + 0.02  # Welch's p is not quite monotone in a std


def test_coarse_seeds_are_decided_by_the_least_favourable_rounding() -> None:
    coarse = ss.compare([79.5, 79.6, 79.6], [79.8, 79.8, 79.9])[0]
    assert coarse.verdict.word == "inconclusive"
    assert "Seeds are given in steps of 0.1, more than their std" in coarse.verdict.reasons[1]
    # The same numbers with more digits, and the same as shares of 1,000 images, are exact.
    assert ss.compare([79.51, 79.59, 79.6], [79.8, 79.81, 79.9])[0].verdict.word == "better"
    fine = ss.compare([79.5, 79.9, 79.7, 79.3], [80.0, 80.3, 80.1, 80.4])[0]  # steps below the std
    assert fine.verdict.word == "better"
    assert fine.comparison.p_value == pytest.approx(
        float(stats.ttest_ind([79.5, 79.9, 79.7, 79.3], [80.0, 80.3, 80.1, 80.4], equal_var=False).pvalue)
    )
    assert any("if that is rounding" in w for w in fine.warnings) == (fine.rounding.p_values[1] >= 0.05)
    epochs = ss.compare([39, 42, 40, 41], [46, 46, 44, 46], metric="epochs", lower_is_better=True)[0]
    assert epochs.rounding is None, "whole numbers of another metric are counts"


def test_direction_is_told_by_the_name_or_asked_for() -> None:
    a, b = [3.1, 3.2, 3.15], [2.1, 2.2, 2.15]
    assert ss.compare(a, b, metric="val_loss")[0].verdict.word == "better"
    assert ss.compare(a, b, metric="val_loss", lower_is_better=False)[0].verdict.word == "worse"
    with pytest.raises(StudyError, match="is higher or lower better"):
        ss.compare(a, b, metric="wobble")


def test_files_of_one_name_are_told_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, start in (("x/one/r.txt", 78.0), ("x/two/r.txt", 79.0), ("r.txt", 77.0)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("".join(f"{start + i / 10}\n" for i in range(3)))
    two = ss.compare("x/one/r.txt", "x/two/r.txt")[0]
    assert (two.a.label, two.b.label) == ("one/r", "two/r")
    assert {ss.compare("r.txt", "x/two/r.txt")[0].a.label, ss.compare("r.txt", "x/two/r.txt")[0].b.label} == {
        "r",
        "two/r",
    }


def test_overall_never_overrules_the_primary() -> None:
    rng = np.random.default_rng(0)

    def verdict(shift: float):
        from seedstudy.stats.compare import compare

        return decide(compare(A, np.array(A) + shift, rng=rng), Rule())

    found = overall("val", verdict(2.0), {"real": verdict(2.0), "v2": verdict(-2.0), "x": verdict(0.0)})
    assert found.word == "better"
    assert found.reasons[1:] == (
        "real says the same",
        "v2 says the opposite (worse): report both",
        "x alone would be inconclusive",
    )


def test_a_gate_follows_the_eval_set_that_decides(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = ["recipe,seed,val,v2"]
    for recipe, val, v2 in (("old", 79.0, 68.0), ("new", 79.5, 67.0)):
        rows += [f"{recipe},{i},{val + rng.normal(0, 0.1):.3f},{v2 + rng.normal(0, 0.1):.3f}" for i in range(6)]
    Path("t.csv").write_text("\n".join(rows) + "\n")
    arms = ("t.csv:old", "t.csv:new")
    assert [x.verdict.word for x in ss.compare(*arms)] == ["better", "worse"]
    assert cli("compare", *arms, "--fail-on", "worse")[0] == 0, "v2 supports, val decides"
    assert cli("compare", *arms, "--fail-on", "worse", "--primary", "v2")[0] == 3
    assert cli("compare", *arms, "--fail-on", "better")[0] == 3


def test_of_many_answers_the_table_alone_is_shown(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for i in range(9):
        Path(f"r{i}.txt").write_text("".join(f"{79 + i / 4 + rng.normal(0, 0.1):.3f}\n" for _ in range(5)))
    arms = [f"r{i}.txt" for i in range(9)]
    code, out, err = cli("compare", *arms)
    assert code == 0, err
    assert "If they were equally good" not in " ".join(out.split())
    assert out.count("8 comparisons on val: ") == 1
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if re.match(r"r[1-8] ", line)}
    assert rows == {x.b.label: x.verdict.word for x in ss.compare(*arms)}
    assert "If they were equally good" in " ".join(cli("compare", *arms, "--details")[1].split())
