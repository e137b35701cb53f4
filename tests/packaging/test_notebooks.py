"""The notebooks, executed against a small study of drawn results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from seedstudy.data.base import EvalSet
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result, make_dataset

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
DISTRIBUTION = NOTEBOOKS / "accuracy_distribution.ipynb"


@pytest.fixture
def study_folder(tmp_path: Path, make_trial: Callable[..., Trial]) -> Path:
    """Five seeds each of a3 and a2, with val, real and v2."""
    data = make_dataset(n_val=400)
    val = data.eval_sets["val"]
    odd = np.arange(1, 400, 2)
    v2 = EvalSet(
        name="v2",
        images="val",
        rows=odd,
        example_ids=np.char.replace(val.example_ids[odd], "val", "v2"),
        label_offsets=np.arange(len(odd) + 1),
        label_values=val.label_values[odd],
    )
    data = replace(data, eval_sets={**data.eval_sets, "v2": v2})
    store = Store(tmp_path / "results", "drawn")
    rng = np.random.default_rng(3)
    trials = {name: [make_trial(seed, name=name) for seed in range(5)] for name in ("a3", "a2")}
    store.plan(Study(recipes=("a3", "a2"), margin=0.5), [trial for arm in trials.values() for trial in arm])
    for name, accuracy in (("a3", 0.5), ("a2", 0.8)):
        for trial in trials[name]:
            store.publish(trial, drawn_result(data, accuracy, rng), data.eval_sets, "2026-01-01T00:00:00+00:00")
    return store.root


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables that the kernel, a process of its own, inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def execute(path: Path, folder: Path, home: Path) -> list[Any]:
    """Run a notebook in a kernel of this interpreter and return its outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(home)}})
    with environment(SEEDSTUDY_RESULTS=str(folder), IPYTHONDIR=str(home / "ipython"), JUPYTER_PLATFORM_DIRS="1"):
        client.execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(outputs: list[Any]) -> str:
    return "".join(output["text"] for output in outputs if output.output_type == "stream" and output.name == "stdout")


def shown(outputs: list[Any], kind: str) -> list[str]:
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@pytest.mark.slow  # starts a kernel
def test_distribution_notebook_shows_table_pictures_and_verdict(study_folder: Path, tmp_path: Path) -> None:
    outputs = execute(DISTRIBUTION, study_folder, tmp_path)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]

    trials, table = shown(outputs, "text/html")
    assert "n_correct" in trials
    assert "mean_ci" in table
    assert table.count("a2") == table.count("a3") == 3, "a row per eval set"
    assert len(shown(outputs, "image/png")) == 2
    words = printed(outputs)
    assert words.count("seed 0 gave") == 6
    assert "a2@resnet8_nano against a3@resnet8_nano on v2: better." in words


@pytest.mark.slow  # starts a kernel
def test_distribution_notebook_names_the_command_where_there_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError) as caught:
        execute(DISTRIBUTION, tmp_path / "results" / "none", tmp_path)
    assert caught.value.ename == "SystemExit"
    results = tmp_path / "results"
    assert caught.value.evalue == (
        f"{results / 'none'}: no such study; this makes it: "
        f"seedstudy run --recipe a2,a3 --seeds 5 --results {results} --study none"
    )


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
