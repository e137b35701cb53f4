"""The notebooks run with the core alone, show what is kept in them, and stay small."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import polars as pl
import pytest

import seedstudy as ss
from notebooks import run
from seedstudy.errors import StudyError
from seedstudy.read.examples import EXAMPLES
from seedstudy.show.plots.canvas import Picture
from tests.show.pictures import assert_words_are_readable

ROOT = Path(__file__).parents[2]
NOTEBOOKS = run.names()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_kept_in_it(path: Path) -> None:
    n_pictures = 0
    for cell, printed, value in run.run(path):
        kept = cell["outputs"]
        streams = "".join("".join(each["text"]) for each in kept if each["output_type"] == "stream")
        assert printed == streams, f"cell {cell['id']}: run `python -m notebooks.run {path.name}`"
        shown = ["".join(each["data"]["text/plain"]) for each in kept if "data" in each]
        if isinstance(value, Picture):
            n_pictures += 1
            assert shown == [page.description for page in value.all_pages()]
            for page in value.all_pages():
                assert_words_are_readable(page)
        elif value is not None and not isinstance(value, pl.DataFrame):
            assert shown == [repr(value)]
    assert n_pictures


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_says_nothing_that_no_cell_computes(path: Path) -> None:
    assert path.stat().st_size < 500_000
    notebook = run.read(path)
    assert notebook["nbformat"] == 4
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    prose, facts = (
        "\n".join(
            "".join(part)
            for cell in notebook["cells"]
            if (cell["cell_type"] == "markdown") == is_prose
            for part in (
                cell["source"],
                *(each.get("text") or each["data"]["text/plain"] for each in cell.get("outputs", ())),
            )
        )
        for is_prose in (True, False)
    )
    assert {number for number in re.findall(r"\d+\.\d+", prose) if number not in facts} <= {"0.05"}
    links = [
        word.partition(")")[0]
        for cell in notebook["cells"]
        if cell["cell_type"] == "markdown"
        for word in "".join(cell["source"]).split("](")[1:]
    ]
    assert all((path.parent / link).exists() for link in links)


def test_the_marimo_notebook_runs() -> None:
    pytest.importorskip("marimo")
    notebook = runpy.run_path(str(ROOT / "notebooks" / "seeds_marimo.py"))
    outputs, defined = notebook["app"].run()
    assert defined["answer"][0].verdict.word == "worse"
    assert any(isinstance(output, Picture) for output in outputs)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_frame_of_a_study(name: str) -> None:
    found = ss.example(name)
    of_study = pl.read_csv(ROOT / "studies" / EXAMPLES[name])
    assert found.equals(of_study.select(found.columns))


def test_examples_are_small_and_others_are_refused() -> None:
    folder = ROOT / "seedstudy" / "read" / "examples"
    assert sum(file.stat().st_size for file in folder.glob("*.csv")) < 100_000
    with pytest.raises(StudyError, match=r'^no example "a2-a3"\. Did you mean "a2_a3"\?$'):
        ss.example("a2-a3")
