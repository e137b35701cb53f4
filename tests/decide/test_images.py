"""One difference read three ways: on these images, on new images like these, and beside another eval set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.errors import StudyError
from seedstudy.stats.images import arm_on_images, difference_on_new_images, mean_on_new_images
from seedstudy.store.correct import FOLDER
from seedstudy.store.store import Store
from seedstudy.study.study import Study, load_study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result, make_dataset
from tests.decide.test_variance import correct_by_hand

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def study(tmp_path: Path, make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a study of a3 and a2 with 6 seeds on val, on its half with label sets, and on other images (v2)."""
    monkeypatch.chdir(tmp_path)
    data = make_dataset(n_val=200)
    val = data.eval_sets["val"]
    ids = np.array([f"v2-{row:03d}" for row in range(200)])
    data = replace(data, eval_sets={**data.eval_sets, "v2": replace(val, name="v2", example_ids=ids)})
    store, rng = Store(tmp_path / "results", "main"), np.random.default_rng(3)
    trials = [make_trial(seed, name=name) for name in ("a3", "a2") for seed in range(6)]
    store.plan(Study(recipes=("a3", "a2")), trials)
    for trial in trials:
        accuracy = rng.normal(0.70 if trial.recipe.name == "a3" else 0.75, 0.01)
        store.publish(trial, drawn_result(data, accuracy, rng), data.eval_sets, "2026-01-01T00:00:00+00:00")
    return store


def by_hand(store: Store, eval_set: str) -> tuple[np.ndarray, np.ndarray]:
    return correct_by_hand(store, "a3", eval_set), correct_by_hand(store, "a2", eval_set)


def test_a_comparison_holds_both_readings_and_decides_on_these_images(study: Store, cli: Cli) -> None:
    code, out, err = cli("compare", "a3", "a2", "--json")
    assert code == 0, err
    found = {each["eval_set"]: each for each in json.loads(out)["comparisons"]}
    assert list(found) == ["val", "real", "v2"]
    for name, each in found.items():
        expected = difference_on_new_images(*map(arm_on_images, by_hand(study, name)))
        images = each["images"]
        assert each["verdict_on"] == "these images"
        assert images["on_these_images_ci"] == pytest.approx(each["ci"])
        assert images["on_these_images_p"] == pytest.approx(each["p_value"])
        ends = expected.estimate.low, expected.estimate.high
        assert images["on_new_images_ci"] == pytest.approx([100 * end for end in ends])
        assert images["on_new_images_p"] == pytest.approx(expected.p_value)
        assert images["error_of_images"] == pytest.approx(100 * expected.variance_images**0.5)
    assert found["real"]["images"]["beside"] is None  # the same images as val
    v2 = found["v2"]["images"]
    assert v2["beside"] == "val"
    assert v2["change"] == pytest.approx(found["v2"]["difference"] - found["val"]["difference"])
    (variance,) = [x for x in ss.variance("a3", "a2").to_dict()["differences"] if x["eval_set"] == "v2"]
    assert {key: variance[key] for key in v2 if key != "beside" and not key.startswith("change")} == {
        key: value for key, value in v2.items() if key != "beside" and not key.startswith("change")
    }


def test_the_change_has_the_variance_of_seeds_and_of_both_samples_of_images(study: Store) -> None:
    answers = {answer.a.eval_set: answer for answer in ss.compare("a3", "a2")}
    val, v2 = answers["val"], answers["v2"]
    seeds = sum(float((x.values - y.values).var(ddof=1)) / 6 for x, y in ((val.a, v2.a), (val.b, v2.b)))
    assert val.reading is not None
    assert v2.reading is not None
    images = sum((each.reading.error_of_images or 0.0) ** 2 for each in (val, v2) if each.reading)
    change = v2.reading.change
    assert change is not None
    half = (change.high - change.low) / 2
    assert 1.96 * (seeds + images) ** 0.5 < half < 2.4 * (seeds + images) ** 0.5
    assert (change.low > 0.0 or change.high < 0.0) == (v2.reading.change_p is not None and v2.reading.change_p < 0.05)


def test_declared_for_new_images_the_verdict_is_about_them(study: Store, cli: Cli) -> None:
    these, new = ss.compare("a3", "a2"), ss.compare("a3", "a2", images="new", margin=1.0)
    for before, after in zip(these, new, strict=True):
        reading = after.reading
        assert reading is not None
        assert reading == before.reading
        c = after.comparison
        assert (c.method, after.verdict_on) == ("welch-images", "new images")
        assert c.p_value == pytest.approx(reading.on_new_images_p)
        assert (c.difference.low, c.difference.high) == pytest.approx(
            (reading.on_new_images.low, reading.on_new_images.high)
        )
        assert c.se**2 == pytest.approx(reading.error_of_seeds**2 + reading.error_of_images**2)  # type: ignore[operator]
        assert c.image_error == reading.error_of_images
        assert c.permutation_p == before.comparison.permutation_p  # what seeds say stays
        assert "the luck of seeds and test images" in after.verdict.reasons[0]
        assert c.equivalence_p is not None
    code, out, err = cli("compare", "a3", "a2", "--images", "new", "--eval", "val,v2")
    assert code == 0, err
    text = " ".join(out.split())
    assert "About new seeds on new images like these; on these val [" in text
    assert "Welch t over seeds and images" in text
    text = " ".join(cli("compare", "a3", "a2", "--images", "new", "--eval", "val,v2", "--details")[1].split())
    assert "v2 beside val: " in text


def test_more_seeds_do_not_reduce_what_images_leave_open(study: Store) -> None:
    answer = ss.compare("a3", "a2", images="new", margin=0.2, eval_sets="val")[0]
    assert answer.verdict.word == "inconclusive"
    assert answer.verdict.missing.number is None
    assert "the draw of the images alone leaves a standard error of" in " ".join(answer.verdict.reasons)


def test_pairs_that_share_their_seed_are_paired_on_new_images_too(study: Store) -> None:
    answer = ss.compare("a3", "a2", images="new", paired=True, eval_sets="val")[0]
    a, b = by_hand(study, "val")
    expected = mean_on_new_images(arm_on_images(b.astype(np.int8) - a.astype(np.int8)))
    assert answer.comparison.method == "paired-t-images"
    assert answer.comparison.p_value == pytest.approx(expected.p_value)
    assert answer.reading is not None
    assert answer.reading.on_these_images_p == pytest.approx(
        ss.compare("a3", "a2", paired=True, eval_sets="val")[0].comparison.p_value
    )


def test_classes_may_be_drawn_as_a_whole(study: Store, cli: Cli) -> None:
    code, out, err = cli("compare", "a3", "a2", "--clusters", "class", "--eval", "val", "--json")
    assert code == 0, err
    (entry,) = json.loads(out)["comparisons"]
    assert entry["images"]["n_clusters"] == 4
    labels = make_dataset(n_val=200).eval_sets["val"].label_values
    arms = [arm_on_images(each, clusters=labels) for each in by_hand(study, "val")]
    assert entry["images"]["on_new_images_p"] == pytest.approx(difference_on_new_images(*arms).p_value)


def test_a_study_declares_what_its_verdicts_are_about(study: Store, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('format = 1\nname = "main"\n[grid]\nrecipes = ["a2"]\n[rule]\nimages = "new"\n')
    study.declare(load_study(path))
    assert ss.compare("a3", "a2")[0].verdict_on == "new images"
    with pytest.warns(UserWarning, match="declared"):
        trials = ss.load_trials(study.root)
    assert ss.compare(trials, "a3", "a2")[0].verdict_on == "new images"
    assert ss.compare("a3", "a2", images="these")[0].verdict_on == "these images"
    assert "declared" in ss.compare("a3", "a2").late_rules[0]
    path.write_text(path.read_text().replace('"new"', '"others"'))
    with pytest.raises(StudyError, match=r"images = 'others' is wrong"):
        load_study(path)


def test_what_has_no_predictions_has_one_reading_and_is_refused_for_new_images(cli: Cli, tmp_path: Path) -> None:
    for name, first in (("a", 79.1), ("b", 79.6)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{first + step / 10}\n" for step in range(4)))
    code, out, _ = cli("compare", "a.txt", "b.txt", "--json")
    assert code == 0
    assert json.loads(out)["comparisons"][0]["images"] is None
    assert "test images" not in cli("compare", "a.txt", "b.txt")[1]
    code, out, err = cli("compare", "a.txt", "b.txt", "--images", "new")
    assert (code, out) == (2, "")
    assert "no prediction for each image is known" in err.splitlines()[-1]
    assert cli("compare", "a.txt", "b.txt", "--images", "all")[0] == 2


def test_relabelled_seeds_say_nothing_of_images(study: Store) -> None:
    with pytest.raises(StudyError, match="max-t relabels seeds alone"):
        ss.compare("a3", "a2", images="new", correction="max-t")


def test_a_mean_is_read_on_new_images_too(study: Store, cli: Cli) -> None:
    rows = {row["eval_set"]: row for row in ss.summary("a2").to_dict()["groups"]}
    arm = arm_on_images(by_hand(study, "val")[1])
    expected = mean_on_new_images(arm).estimate
    assert rows["val"]["images"]["on_new_images_ci"] == pytest.approx([100 * expected.low, 100 * expected.high])
    assert rows["v2"]["images"]["beside"] == "val"
    assert rows["v2"]["images"]["change"] == pytest.approx(rows["v2"]["mean"] - rows["val"]["mean"])
    assert rows["real"]["images"]["beside"] is None
    assert "on these images" in cli("summary", "a2")[1]
    assert "minus val" in cli("summary", "a2", "--details")[1]
    assert "minus" not in cli("summary", "a2", "--eval", "val", "--details")[1].split("median")[0]


def test_a_race_says_what_it_is_about(study: Store, cli: Cli) -> None:
    race = ss.race("a3", "a2", replay=True)
    assert race.pairs[0].last is not None
    n = race.pairs[0].last.n_a
    a, b = (each[:n] for each in by_hand(study, "val"))
    expected = difference_on_new_images(arm_on_images(a), arm_on_images(b))
    assert race.pairs[0].reading is not None
    assert race.pairs[0].reading.on_new_images_p == pytest.approx(expected.p_value)
    out = " ".join(cli("race", "--replay", "a3", "a2")[1].split())
    assert "about new seeds on these images" in out
    assert "On new images too, at this look alone" in out


def test_a_race_about_new_images_has_their_error_at_every_look(study: Store, cli: Cli) -> None:
    race = ss.race("a3", "a2", replay=True, images="new", margin=1.0)
    (pair,) = race.pairs
    a, b = by_hand(study, "val")
    assert [look.round for look in pair.looks] == [3, 4, 5, 6]
    for look in pair.looks:
        expected = difference_on_new_images(arm_on_images(a[: look.round]), arm_on_images(b[: look.round]))
        assert look.difference == pytest.approx(100 * expected.estimate.value)
        assert look.se**2 == pytest.approx(1e4 * (expected.variance_seeds + expected.variance_images))
        assert look.p_value == pytest.approx(expected.p_value)
    these = ss.race("a3", "a2", replay=True, margin=1.0).pairs[0]
    for here, there in zip(these.looks, pair.looks, strict=True):
        assert here.p_needed == there.p_needed
        assert here.difference == pytest.approx(there.difference)
        assert here.se <= there.se * (1 + 1e-9)
    assert pair.adjusted_difference is None
    code, out, err = cli("race", "--replay", "a3", "a2", "--images", "new", "--json")
    assert code == 0, err
    assert json.loads(out)["rule"]["images"] == "new"
    out = " ".join(cli("race", "--replay", "a3", "a2", "--images", "new")[1].split())
    assert "about new seeds and new images like these" in out
    assert "On these images alone, at this look alone" in out


def test_a_race_about_new_images_knows_that_seeds_alone_will_not_decide(study: Store) -> None:
    """Images leave an error of some four points: five more seeds hardly change what is known."""
    plan = {"first": 3, "most": 5}
    new = ss.race("a3", "a2", replay=True, images="new", plan=plan).pairs[0]
    these = ss.race("a3", "a2", replay=True, plan=plan).pairs[0]
    assert new.looks[0].chance_of_decision < these.looks[0].chance_of_decision


def test_a_race_against_a_target_may_be_about_new_images(study: Store) -> None:
    race = ss.race("a2", replay=True, images="new", target=60.0)
    last = race.pairs[0].last
    assert last is not None
    found = mean_on_new_images(arm_on_images(by_hand(study, "val")[1][: last.round]))
    assert last.difference == pytest.approx(100 * found.estimate.value - 60.0)
    assert last.se**2 == pytest.approx(1e4 * (found.variance_seeds + found.variance_images))


def test_a_race_about_new_images_needs_predictions(study: Store, cli: Cli, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("79.1\n79.2\n79.4\n")
    code, _, err = cli("race", "--replay", "a.txt", "b.txt", "--images", "new")
    assert code == 2
    assert "no prediction for each image is known" in err.splitlines()[-1]
    with pytest.raises(StudyError, match="which a command does not give"):
        ss.race("a3", "a2", images="new", command="true {seed}", study="other")


def test_a_study_declares_what_its_races_are_about(study: Store, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('format = 1\nname = "main"\n[grid]\nrecipes = ["a2"]\n[rule]\nimages = "new"\n')
    study.declare(load_study(path))
    assert ss.race("a3", "a2", replay=True).rule.images == "new"
    assert ss.race("a3", "a2", replay=True, images="these").rule.images == "these"


# --- the copy of what is right ---------------------------------------------------------------------------


def test_right_answers_are_kept_and_made_again_where_they_are_lost_or_damaged(study: Store) -> None:
    files = sorted((study.root / FOLDER).iterdir())
    assert len(files) == 12  # each trial's, written with its result
    before = ss.compare("a3", "a2").to_dict()["comparisons"]
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"\0")
    files[1].unlink()
    files[2].write_text('{"version": 1}\n')
    assert ss.compare("a3", "a2").to_dict()["comparisons"] == before
    for file in files:
        file.unlink()
    (study.root / FOLDER).rmdir()
    (study.root / FOLDER).symlink_to("/tmp")
    assert ss.compare("a3", "a2").to_dict()["comparisons"] == before  # done without: no write follows a link


def test_damaged_predictions_leave_the_verdict_on_seeds(study: Store) -> None:
    """A disk that rots without touching a time: the counts in the record are good, the table is not."""
    ss.compare("a3", "a2")  # every trial is indexed
    for file in (study.root / FOLDER).iterdir():
        file.unlink()
    trial = sorted((study.root / "trials").iterdir())[0]
    table = trial / "predictions.parquet"
    content = table.read_bytes()
    table.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    answers = ss.compare("a3", "a2")
    assert len(answers.left_out) == 1
    assert answers[0].reading is not None
    assert answers[0].comparison.n_a + answers[0].comparison.n_b == 11
