"""Small real parts: generated images, a scaled-down recipe, and trials with drawn results."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from seedstudy.data.base import Dataset, EvalSet
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.store.store import Store
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.study import Study
from seedstudy.study.trial import EpochReport, Evaluation, Trial, TrialResult

N_CLASSES = 4

# How fast examples are drawn says how busy the machine is, nothing about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# --- tests that need an extra -----------------------------------------------------------------------------------

_OPTIONAL = ("av", "torch", "torchvision", "timm", "accelerate", "datasets", "sklearn", "pyarrow")
_ABSENT = {name for name in _OPTIONAL if find_spec(name) is None}


def _needed_extras(path: Path) -> set[str]:
    """Return the optional modules that a test file imports at its top, or needs by its `pytestmark`."""
    imported: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Assign) and ast.unparse(node) == "pytestmark = pytest.mark.train":
            imported.add("torch")
    needed = {name.partition(".")[0] for name in imported} & set(_OPTIONAL)
    return needed | {"torch" for name in imported if name.startswith("seedstudy.train.")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--part",
        choices=("core", "train"),
        help="core: only test files that import no optional module; train: only the others. "
        "Two processes, of which one imports torch, are faster than two that both do.",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files of the other part, and those that import what is not installed."""
    part = config.getoption("--part")
    if collection_path.suffix != ".py" or not (part or _ABSENT):
        return None
    needed = _needed_extras(collection_path)
    return True if needed & _ABSENT or (part == "core" and needed) or (part == "train" and not needed) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip single tests that need the extra `train`."""
    if "torch" in _ABSENT:
        for item in items:
            if item.get_closest_marker("train"):
                item.add_marker(pytest.mark.skip(reason="needs the extra train"))


def pytest_report_header() -> str | None:
    return f"not installed: {', '.join(sorted(_ABSENT))}; tests that need them are left out" if _ABSENT else None


# --- small parts ----------------------------------------------------------------------------------------------


def make_dataset(*, n_train: int = 64, n_val: int = 40, size: int = 16, seed: int = 0) -> Dataset:
    """Images whose brightness tells the class, in noise; `real` names two classes for every fourth image."""
    rng = np.random.default_rng(seed)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.permutation(np.arange(n) % N_CLASSES)
        level = 40 + 50 * labels[:, None, None, None]
        images = np.clip(level + rng.normal(0, 25, (n, size, size, 3)), 0, 255).astype(np.uint8)
        return images, labels.astype(np.int64)

    train_images, train_labels = draw(n_train)
    val_images, val_labels = draw(n_val)
    kept = np.arange(0, n_val, 2)
    sets = [[int(val_labels[row])] + ([int(val_labels[row] + 1) % N_CLASSES] if row % 4 == 0 else []) for row in kept]
    ids = np.array([f"val-{row:03d}" for row in range(n_val)])
    return Dataset(
        name="tiny",
        classes=tuple("abcd"),
        image_size=size,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        train_images=train_images,
        train_labels=train_labels,
        images={"val": val_images},
        eval_sets={
            "val": EvalSet(
                name="val",
                images="val",
                rows=np.arange(n_val),
                example_ids=ids,
                label_offsets=np.arange(n_val + 1),
                label_values=val_labels.astype(np.int32),
            ),
            "real": EvalSet(
                name="real",
                images="val",
                rows=kept,
                example_ids=ids[kept],
                label_offsets=np.cumsum([0, *(len(labels) for labels in sets)]),
                label_values=np.array([label for labels in sets for label in labels], dtype=np.int32),
            ),
        },
        missing={},
        fingerprint="0123456789abcdef",
    )


@pytest.fixture(scope="session")
def data() -> Dataset:
    return make_dataset()


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    """A2 at 16 px: two epochs of four updates of 16 images."""
    facts = DataFacts(name="tiny", n_train=64, image_size=16, epoch_ratio=0.04)
    scaled = scale(load_recipe("a2"), facts, epochs=2)
    return replace(scaled, batch_size=16, micro_batch=16)


@pytest.fixture(scope="session")
def make_trial(tiny_recipe: Recipe) -> Callable[..., Trial]:
    def make(seed: int = 0, *, recipe: Recipe = tiny_recipe, vary: tuple[str, ...] = PURPOSES, **changes: Any) -> Trial:
        if "name" in changes:
            recipe = replace(recipe, name=changes.pop("name"))
        return Trial(
            recipe=recipe,
            model="resnet8_nano",
            data="tiny",
            data_fingerprint="0123456789abcdef",
            train_limit=None,
            vary=vary,
            seed=seed,
            **changes,
        )

    return make


def drawn_result(data: Dataset, accuracy: float, rng: np.random.Generator, *, torch: str = "2.15.0") -> TrialResult:
    """Return a finished trial whose predictions are right with probability `accuracy`."""
    val = data.eval_sets["val"]
    is_right = rng.random(len(val)) < accuracy
    predicted = np.where(is_right, val.label_values, (val.label_values + 2) % N_CLASSES).astype(np.int32)
    evaluations = {}
    for name, eval_set in data.eval_sets.items():
        of_set = predicted[eval_set.rows]
        evaluations[name] = Evaluation(
            n_examples=len(eval_set),
            n_correct=int(eval_set.is_correct(of_set).sum()),
            n_correct_top5=len(eval_set),
            loss=1.0,
            predicted=of_set,
            confidence=np.full(len(eval_set), 0.5, dtype=np.float32),
            label_probability=np.full(len(eval_set), 0.5, dtype=np.float32),
        )
    n_correct = evaluations["val"].n_correct
    report = EpochReport(epoch=1, lr=0.1, train_loss=0.5, images_per_s=10.0, n_correct=n_correct, n_examples=len(val))
    return TrialResult(
        status="ok",
        reason="",
        epochs=1,
        evaluations=evaluations,
        best_epoch=1,
        best_n_correct=n_correct,
        curves=(report,),
        train_s=1.0,
        images_per_s=10.0,
        n_params=123,
        provenance={
            "training_version": 1,
            "device_type": "cpu",
            "device": "test",
            "host": "test",
            "threads": 1,
            "n_processes": 1,
            "precision": "float32",
            "augment": "pil",
            "peak_mem_bytes": 1,
            "versions": {"torch": torch, "timm": "1.0.31"},
        },
    )


@pytest.fixture(scope="session")
def write_study(data: Dataset, make_trial: Callable[..., Trial]) -> Callable[..., Store]:
    """Return a function that writes a study of drawn results into a folder: recipe -> mean accuracy."""

    def write(results: Path, study: str = "main", *, n_seeds: int = 5, **accuracies: float) -> Store:
        store = Store(results, study)
        rng = np.random.default_rng(7)
        for name, accuracy in (accuracies or {"a3": 0.5, "a2": 0.8}).items():
            trials = [make_trial(seed, name=name) for seed in range(n_seeds)]
            store.plan(Study(recipes=(name,)), trials)
            for trial in trials:
                result = drawn_result(data, accuracy, rng)
                store.publish(trial, result, data.eval_sets, "2026-01-01T00:00:00+00:00")
        return store

    return write


@pytest.fixture
def make_store(tmp_path: Path, write_study: Callable[..., Store]) -> Callable[..., Store]:
    """Return a function that writes a study of drawn results into the test's own results folder."""
    return functools.partial(write_study, tmp_path / "results")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that runs the command line in this process, in a folder of its own."""
    from seedstudy.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return call
