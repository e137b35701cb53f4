"""Published predictions of twelve networks, scored by our labels: every published figure, exactly.

Source: modestyachts/ImageNetV2 @ 0b0c3fe, data/predictions (top-1 of 50,000 and 3 x 10,000 images); accuracies.csv
beside them was computed from the original top-5 arrays. resnet50 is torchvision's of 2018: 76.130 on val.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

from seedstudy.data import imagenet
from seedstudy.data.base import EvalSet
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


@pytest.mark.parametrize(("a", "b"), [("resnet50", "se_resnet50"), ("resnet101", "resnet152"), ("vgg16", "resnet34")])
def test_two_published_networks_image_by_image(a: str, b: str, val: EvalSet, val_top1: dict[str, np.ndarray]) -> None:
    """McNemar's mid-p is the exact p less half the outcome that was seen; the interval excludes 0 as the test does."""
    from scipy import stats
    from statsmodels.stats.contingency_tables import mcnemar

    from seedstudy.stats.images import paired_networks

    first, second = (val.is_correct(val_top1[name]).ravel() for name in (a, b))
    result = paired_networks(first, second)
    table = [[int((x & y).sum()) for y in (second, ~second)] for x in (first, ~first)]
    exact = mcnemar(table, exact=True).pvalue
    seen = stats.binom.pmf(min(result.only_a, result.only_b), result.only_a + result.only_b, 0.5)
    assert result.p_value == pytest.approx(max(exact - seen, 2.3e-308), rel=1e-6)
    assert (result.difference.low > 0) == (result.p_value < 0.05 and result.only_b > result.only_a)
