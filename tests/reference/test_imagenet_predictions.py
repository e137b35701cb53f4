"""Published predictions of twelve networks, scored by our labels: every published figure, exactly.

Source: modestyachts/ImageNetV2 @ 0b0c3fe, data/predictions (top-1 of 50,000 and 3 x 10,000 images); accuracies.csv
beside them was computed from the original top-5 arrays. resnet50 is torchvision's of 2018: 76.130 on val.
"""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedstudy.data import imagenet
from seedstudy.data.base import EvalSet
from seedstudy.store import outside
from seedstudy.study.trial import Evaluation
from tests.conftest import make_dataset
from tests.imagenet_tree import SHARED

FOLDER = SHARED / "reference" / "imagenetv2_predictions"
V2 = {"v2_matched": "v2", "v2_threshold07": "v2_threshold", "v2_topimages": "v2_top"}
MODELS = (
    "alexnet",
    "vgg11",
    "vgg16",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "densenet121",
    "se_resnet50",
    "inception_v3",
    "resnext101_32x4d",
)

pytestmark = [
    pytest.mark.train,  # timm knows ReaL
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the published predictions (imagenetv2_predictions)"),
]


def eval_set(name: str, ids: list[str], labels: np.ndarray) -> EvalSet:
    return EvalSet.of_labels(name, labels, np.array(ids))


@pytest.fixture(scope="module")
def published() -> dict[str, dict[str, str]]:
    with (FOLDER / "accuracies.csv").open() as file:
        return {row["model"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def val() -> EvalSet:
    labels = np.load(FOLDER / "val_labels.npz")
    ids = [f"ILSVRC2012_val_{index:08d}" for index in labels["image_index"]]  # class-sorted, not file order
    return eval_set("val", ids, labels["label"])


@pytest.fixture(scope="module")
def val_top1() -> dict[str, np.ndarray]:
    return {name: part[name] for n in range(1, 5) for part in [np.load(FOLDER / f"val_top1_{n}.npz")] for name in part}


def percent(is_correct: np.ndarray) -> str:
    return f"{100 * int(is_correct.sum()) / len(is_correct):.3f}"


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_val_and_real(
    model: str, val: EvalSet, val_top1: dict[str, np.ndarray], published: dict[str, dict[str, str]]
) -> None:
    real = imagenet.real_set(val, FOLDER)
    assert real is not None
    assert (len(val), len(real)) == (50_000, 46_837)
    predicted = val_top1[model]
    assert percent(val.is_correct(predicted)) == f"{float(published[model]['val_top1']):.3f}"
    assert percent(real.is_correct(predicted[real.rows])) == f"{float(published[model]['real_top1']):.3f}"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("variant", V2)
def test_v2(variant: str, model: str, published: dict[str, dict[str, str]]) -> None:
    arrays = np.load(FOLDER / f"{variant}.npz")
    v2 = eval_set(V2[variant], [str(row) for row in range(10_000)], arrays["label"])
    assert percent(v2.is_correct(arrays[model])) == f"{float(published[model][f'{variant}_top1']):.3f}"


def test_the_figures_of_resnet50(val: EvalSet, val_top1: dict[str, np.ndarray]) -> None:
    real = imagenet.real_set(val, FOLDER)
    assert real is not None
    assert percent(val.is_correct(val_top1["resnet50"])) == "76.130"
    assert percent(real.is_correct(val_top1["resnet50"][real.rows])) == "82.958"
    arrays = {variant: np.load(FOLDER / f"{variant}.npz") for variant in V2}
    found = {variant: percent(each["resnet50"] == each["label"]) for variant, each in arrays.items()}
    assert found == {"v2_matched": "63.330", "v2_threshold07": "72.700", "v2_topimages": "78.090"}


def test_agreement_of_val_labels_with_real_is_what_the_guard_expects(val: EvalSet) -> None:
    real = imagenet.real_set(val, FOLDER)
    assert real is not None
    agreement = real.is_correct(val.label_values[real.rows]).mean()
    assert agreement == pytest.approx(0.9, abs=0.02)


@pytest.fixture(scope="module")
def right(val: EvalSet, val_top1: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return eval set -> model -> which images it has right."""
    arrays = {V2[variant]: np.load(FOLDER / f"{variant}.npz") for variant in V2}
    on_v2 = {name: {model: each[model] == each["label"] for model in MODELS} for name, each in arrays.items()}
    return {"val": {model: val.is_correct(val_top1[model]).ravel() for model in MODELS}, **on_v2}


@pytest.mark.parametrize("name", ["val", *V2.values()])
def test_every_pair_of_networks_image_by_image(name: str, right: dict[str, dict[str, np.ndarray]]) -> None:
    """All 66 pairs against statsmodels: the mid-p is McNemar's exact p less half the outcome that was seen."""
    from scipy import stats
    from statsmodels.stats.contingency_tables import mcnemar

    from seedstudy.stats.images import paired_networks

    for a, b in itertools.combinations(MODELS, 2):
        first, second = right[name][a], right[name][b]
        result = paired_networks(first, second)
        table = [[int((x & y).sum()) for y in (second, ~second)] for x in (first, ~first)]
        exact = mcnemar(table, exact=True).pvalue
        seen = stats.binom.pmf(min(result.only_a, result.only_b), result.only_a + result.only_b, 0.5)
        expected = 1.0 if result.only_a == result.only_b else max(exact - seen, 2.3e-308)
        assert result.p_value == pytest.approx(expected, rel=1e-6, abs=1e-300), (a, b)
        chi_square = mcnemar(
            table, exact=False, correction=False
        ).pvalue  # the score test that Tango's interval inverts
        assert (result.difference.low > 0 or result.difference.high < 0) == (chi_square < 0.05), (a, b)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, val: EvalSet, val_top1: dict[str, np.ndarray]) -> Path:
    """Return a results folder with a study of all networks, as `evaluate` leaves them."""
    root = tmp_path_factory.mktemp("published") / "results"
    arrays = np.load(FOLDER / "v2_matched.npz")
    sets = {"val": val, "v2": eval_set("v2", [f"v2-{row:05d}" for row in range(10_000)], arrays["label"])}
    data = replace(make_dataset(), name="imagenet", eval_sets=sets)
    for model in MODELS:
        evaluations = {}
        for name, predicted in (("val", val_top1[model]), ("v2", arrays[model])):
            n_correct = int(sets[name].is_correct(predicted).sum())
            unknown = np.full(len(predicted), 0.5, dtype=np.float32)
            evaluations[name] = Evaluation(
                n_examples=len(predicted), n_correct=n_correct, n_correct_top5=n_correct, loss=1.0,
                predicted=predicted.astype(np.int32), confidence=unknown, label_probability=unknown,
            )  # fmt: skip
        facts: dict[str, Any] = {"recipe": "tv_in1k", "seed": None, "n_params": 1, "device": "cpu"}
        outside.add_evaluated(root / "evaluated", evaluations, data, model=model, preprocessing="224 px", **facts)
    return root


def test_two_published_weights_are_compared(study: Path, right: dict[str, dict[str, np.ndarray]]) -> None:
    """Standard errors of the paired difference are .14 points on val and .35 on V2, or so; nothing is said of seeds."""
    import seedstudy as ss

    answers = ss.compare("tv_in1k@resnet50", "tv_in1k@se_resnet50", results=study, study="evaluated")
    assert [answer.a.eval_set for answer in answers] == ["val", "v2"]
    for answer in answers:
        c, name = answer.comparison, answer.a.eval_set
        d = right[name]["se_resnet50"].astype(float) - right[name]["resnet50"]
        assert (c.method, c.n_a, c.n_b) == ("mcnemar", 1, 1)
        assert c.difference.value == pytest.approx(100 * d.mean())
        assert c.se == pytest.approx(100 * d.std() / len(d) ** 0.5)
        assert c.se == pytest.approx({"val": 0.14, "v2": 0.36}[name], abs=0.03)
        assert "says nothing about seeds" in answer.warnings[0]
        assert answer.verdict_on == "two networks"
    document = answers.to_dict()["comparisons"][0]
    assert document["verdict"] == "better"
    assert document["prob_b_better"] is None
    equal = ss.compare("tv_in1k@resnet50", "tv_in1k@se_resnet50", results=study, study="evaluated", margin=5.0)
    assert [answer.verdict.word for answer in equal] == ["equivalent", "equivalent"]


def test_the_command_says_what_it_is_about(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seedstudy.cli import main

    with pytest.raises(SystemExit):
        main(["compare", "tv_in1k@resnet101", "tv_in1k@resnet152", "--results", str(study), "--study", "evaluated"])
    out = " ".join(capsys.readouterr().out.split())
    assert "McNemar's mid-p, interval by Tango" in out
    assert out.count("nothing about seeds") == 1
    assert "new seed" not in out
