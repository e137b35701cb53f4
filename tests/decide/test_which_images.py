"""`images`: which images seeds and recipes disagree about, as a frame and as a contact sheet."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

import seedstudy as ss
from seedstudy import data as datasets
from seedstudy.data.base import Dataset
from seedstudy.decide.which_images import IMAGES
from seedstudy.errors import StudyError
from seedstudy.stats.which_images import differing_images
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result, make_dataset
from tests.decide.test_variance import correct_by_hand

Cli = Callable[..., tuple[int, str, str]]
N_SEEDS = 8


@pytest.fixture
def study(tmp_path: Path, make_trial: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a study of a3 and a2 with 8 seeds; a2 alone has every fifth image right."""
    monkeypatch.chdir(tmp_path)
    data, rng = make_dataset(n_val=100), np.random.default_rng(3)
    store = Store(tmp_path / "results", "main")
    trials = [make_trial(seed, name=name) for name in ("a3", "a2") for seed in range(N_SEEDS)]
    store.plan(Study(recipes=("a3", "a2")), trials)
    for trial in trials:
        result, val = drawn_result(data, 0.7, rng), data.eval_sets["val"]
        predicted = result.evaluations["val"].predicted.copy()
        predicted[::5] = val.label_values[::5] if trial.recipe.name == "a2" else (val.label_values[::5] + 1) % 4
        n_correct = int((predicted == val.label_values).sum())
        evaluation = replace(result.evaluations["val"], predicted=predicted, n_correct=n_correct)
        result = replace(result, evaluations={"val": evaluation}, best_n_correct=n_correct)
        store.publish(trial, result, {"val": val}, "2026-01-01T00:00:00+00:00")
    return store


def test_the_frame_has_every_image_of_every_arm(study: Store) -> None:
    answer = ss.images("a3", "a2")
    frame = answer.to_frame()
    assert dict(frame.schema) == IMAGES
    assert frame.height == 200
    by_hand = {name: correct_by_hand(study, name, "val") for name in ("a3", "a2")}
    for name, matrix in by_hand.items():
        rows = frame.filter(pl.col("arm") == f"{name}@resnet8_nano")
        assert rows["example_id"].to_list() == sorted(rows["example_id"])
        np.testing.assert_array_equal(rows["n_right"].to_numpy(), matrix.sum(axis=0))
        pairs = [matrix[i] != matrix[j] for i in range(N_SEEDS) for j in range(i)]
        np.testing.assert_allclose(rows["flips"].to_numpy(), np.mean(pairs, axis=0))
    later = frame.filter(arm="a2@resnet8_nano")
    assert frame.filter(arm="a3@resnet8_nano")["p_value"].null_count() == 100
    np.testing.assert_allclose(later["difference"], by_hand["a2"].mean(axis=0) - by_hand["a3"].mean(axis=0))
    expected = differing_images(*(x for m in by_hand.values() for x in (m.sum(axis=0), N_SEEDS)), fdr=0.05)
    np.testing.assert_allclose(later["p_value"], expected.p_values)
    np.testing.assert_array_equal(later["differs"], expected.differs)
    assert later["differs"].to_numpy()[::5].all()
    (pair,) = answer.pairs
    assert pair.more == expected.differs.sum() == 20
    assert pair.less == 0


def test_one_recipe_is_read_by_itself(study: Store, cli: Cli) -> None:
    code, out, err = cli("images", "a2")
    assert code == 0, err
    matrix = correct_by_hand(study, "a2", "val")
    some = int((matrix.any(axis=0) & ~matrix.all(axis=0)).sum())
    assert out.startswith(f"a2 on val: seeds disagree about {some} of 100.\n")
    assert max(map(len, out.splitlines())) <= 80


def test_what_is_printed_fits_and_names_the_images(study: Store, cli: Cli) -> None:
    code, out, err = cli("images", "a3", "a2")
    assert code == 0, err
    assert " ".join(out.split()).startswith(
        "a2 has 20 images of 100 on val right more often than a3, and 0 less often, beyond chance."
    )
    assert "val-000" in out
    assert "a2 right more often than a3: 20 images, the first 8" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, err = cli("images", "a3", "a2", "--json")
    document = json.loads(out)
    assert document["pairs"][0]["more"] == 20
    assert [arm["n_seeds"] for arm in document["arms"]] == [N_SEEDS, N_SEEDS]


def test_few_seeds_are_told_what_they_cannot_show(
    make_store: Callable[..., Store], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(n_seeds=3)
    code, out, err = cli("images", "a3", "a2")
    assert code == 0, err
    assert "no single image can be shown to differ; from 4 seeds each" in " ".join(out.split())


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dataset:
    """Have the trials' data set found, with a class whose name would break a page."""
    data = replace(make_dataset(n_val=100), classes=("<b>a", "b & b", 'c"c', "d"))
    monkeypatch.setattr(datasets, "prepare", lambda *_, **__: tmp_path)
    monkeypatch.setattr(datasets, "load", lambda *_, **__: data)
    return data


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_contact_sheet_is_one_page_with_its_images(study: Store, loaded: Dataset, cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("images", "a3", "a2", "-o", "sheet.html", "--show", "5")
    assert code == 0, err
    page = (tmp_path / "sheet.html").read_text()
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "link", "b", "iframe"} & {tag for tag, _ in tags.found}
    assert "&lt;b&gt;a" in page
    assert not re.search(r"https?:", page)
    pictures = [attributes for tag, attributes in tags.found if tag == "img"]
    sections = page.count("<section")
    assert len(pictures) == 5 * sections == 15
    assert "a2 right more often than a3" in page
    shown = re.findall(r'class="small">(val-\d+)</span>', page)
    assert len(shown) == 15
    for example_id, picture in zip(shown, pictures, strict=True):
        content = base64.b64decode(str(picture["src"]).removeprefix("data:image/png;base64,"))
        pixels = (255 * imread(io.BytesIO(content))[..., :3]).round().astype(np.uint8)
        np.testing.assert_array_equal(pixels, loaded.images["val"][int(example_id[4:])])


def test_a_contact_sheet_is_a_picture_too(study: Store, loaded: Dataset, cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("images", "a3", "a2", "-o", "sheet.png", "--show", "5")
    assert code == 0, err
    assert imread(tmp_path / "sheet.png").std() > 0.1


def test_the_frame_is_written(study: Store, cli: Cli, tmp_path: Path) -> None:
    frame = ss.images("a3", "a2").to_frame()
    for name in ("all.parquet", "all.csv"):
        code, _, err = cli("images", "a3", "a2", "-o", name)
        assert code == 0, err
    assert pl.read_parquet(tmp_path / "all.parquet").equals(frame)
    assert pl.read_csv(tmp_path / "all.csv")["n_right"].to_list() == frame["n_right"].to_list()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a3", "a2", "-o", "sheet.gif"], "ends in .html or .png"),
        (["a3", "a2", "-o", "nowhere/sheet.png"], "no such folder"),
        (["a3", "a2", "--fdr", "0.6"], "must lie between 0 and 0.5"),
        (["a3", "a2", "-o", "sheet.png"], "unknown data set"),
        (["a3", "a2", "-o", "sheet.png", "-d", "folder:x/tiny"], 'no trial of data "folder-tiny"'),
        (["a3", "a2", "-o", "sheet.png", "--show", "0"], "at least one image"),
        ([], "images needs a recipe"),
    ],
)
def test_what_is_wrong_is_one_line(study: Store, cli: Cli, tmp_path: Path, arguments: list[str], words: str) -> None:
    code, _, err = cli("images", *arguments)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("sheet*"))


def test_other_images_than_those_tested_are_refused(
    study: Store, loaded: Dataset, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load", lambda *_, **__: make_dataset(n_val=3))
    code, _, err = cli("images", "a3", "a2", "-o", "sheet.html")
    assert code == 2
    assert "has no image" in err
    assert not (tmp_path / "sheet.html").exists()


def test_numbers_without_predictions_are_refused() -> None:
    with pytest.raises(StudyError, match="holds accuracies alone"):
        ss.images([78.0, 78.1, 78.2], [79.0, 79.1, 79.2])
