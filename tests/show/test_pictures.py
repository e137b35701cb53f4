"""Every kind of picture, drawn from the studies of this repository in both widths."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import seedstudy as ss
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.show.plots import KINDS
from seedstudy.show.plots.canvas import WIDTHS, looks_of, picture_bytes, save_picture
from seedstudy.store.store import Store
from tests.show.pictures import assert_words_are_readable, panels, words_of

STUDIES = Path(__file__).parents[2] / "studies"
SEEDS = STUDIES / "a2_100_seeds" / "trials.csv"
RACE = STUDIES / "race_a2_a3"
LABELS = STUDIES / "semi_supervised" / "trials.csv"
OF_LABELS = [f"{LABELS}:recipe={recipe}" for recipe in ("labels_only", "student", "student_noised")]
FAMILIES = STUDIES / "resnet_rs_scaling" / "families.csv"
Cli = Callable[..., tuple[int, str, str]]


LONG = (
    "resnet50-with-stochastic-depth-and-label-smoothing-0.1-cosine",
    "resnet50-without-stochastic-depth-but-label-smoothing-0.1-cos",
    "$x_1$ & <b>",
    "torchvision",
)
"""Names of 60 letters, of signs that mean something elsewhere, and of one word."""
MODELS = ("resnet_d8_w050_s2", "resnet_d8_w050_s2_se", "resnet_d8_w1_s2", "tv_resnet50", "$a_b$")


def drawn_trials(
    n_recipes: int,
    n_models: int = 1,
    n_seeds: int = 6,
    eval_sets: tuple[str, ...] = ("val",),
    names: Sequence[str] = (),
    models: Sequence[str] = (),
) -> Any:
    """Return a TRIALS frame of drawn results."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "study": "main",
            "recipe": names[i] if names else f"recipe{i}",
            "recipe_id": f"recipe{i}",
            "model": models[j] if models else f"resnet{18 + j}d",
            "data": "imagenet",
            "seed": seed,
            "status": "ok",
            "eval_set": eval_set,
            "n_correct": round(50_000 * (0.75 + 0.002 * i + 0.004 * j + 0.001 * rng.standard_normal())),
            "n_examples": 50_000,
        }
        for i in range(n_recipes)
        for j in range(n_models)
        for eval_set in eval_sets
        for seed in range(n_seeds)
    ]
    return pl.DataFrame(rows)


PICTURES: dict[str, Callable[..., Figure]] = {
    "distribution": lambda **how: ss.plot("distribution", SEEDS, **how),
    "fit": lambda **how: ss.plot("fit", SEEDS, eval_sets="val", **how),
    "quantiles": lambda **how: ss.plot("quantiles", SEEDS, eval_sets=["val", "v2"], **how),
    "estimation": lambda **how: ss.plot("estimation", *OF_LABELS, margin=1.0, **how),
    "forest": lambda **how: ss.plot("forest", *OF_LABELS, margin=1.0, **how),
    "means": lambda **how: ss.plot("means", SEEDS, **how),
    "sets": lambda **how: ss.plot("sets", SEEDS, **how),
    "grid": lambda **how: ss.plot("grid", drawn_trials(4, 5, eval_sets=("val", "v2")), **how),
    "components": lambda **how: ss.plot(
        "components", pl.read_csv(STUDIES / "variance_sources" / "cells.csv"), "a3", eval_sets="val", **how
    ),
    "race": lambda **how: ss.plot("race", RACE / "a3.csv", RACE / "a2.csv", margin=0.5, plan={"most": 6}, **how),
    "power": lambda **how: ss.plot("power", sd="rsb-val", difference=0.2, **how),
    "pareto": lambda **how: ss.plot("pareto", FAMILIES, cost=("gmacs", "gpu_ms"), by="family", sd=0.1, **how),
    "scaling": lambda **how: ss.plot("scaling", FAMILIES, cost="gmacs", by="family", sd=0.1, **how),
    "ranks": lambda **how: ss.plot("ranks", STUDIES / "rsb_table3" / "table3.csv", sd=0.1, **how),
    "ladder": lambda **how: ss.plot("ladder", STUDIES / "resnet_rs_ladder_published" / "ladder.csv", sd=0.1, **how),
}
"""Kind -> how it is drawn from a real study; `curves` needs trials, below."""
WIDE = pytest.mark.slow  # drawn again at the width of a page


def assert_is_a_picture(picture: Any, width: str) -> None:
    """Words fit and are legible, the caption says n and what marks are, and the SVG keeps its words."""
    for page in picture.all_pages():
        assert page.get_figwidth() == pytest.approx(WIDTHS[width])
        assert page.get_figheight() < 11
        assert_words_are_readable(page)
        shown = " ".join(text.get_text() for text in words_of(page))
        assert re.search(r"\bn\b|\bseeds?\b", shown), "the number of seeds"
        assert re.search(
            r"%|points|std|rank|x", " ".join(axes.get_xlabel() + axes.get_ylabel() for axes in panels(page)) + shown
        )
        assert re.sub(r"\s", "", page.caption) in re.sub(r"\s", "", shown)
        assert page.description.isprintable(), "a terminal shows it as it is"
        root = ElementTree.fromstring(picture_bytes(page, ".svg"))
        space = {"s": "http://www.w3.org/2000/svg"}
        title, description = (root.find(f"s:{tag}", space) for tag in ("title", "desc"))
        assert title is not None
        assert title.text == page.title
        assert description is not None
        assert description.text == page.description
        assert len(root.findall(".//s:text", space)) > 5, "words are words, not outlines"


@pytest.mark.parametrize("width", ["column", pytest.param("page", marks=WIDE)])
@pytest.mark.parametrize("kind", PICTURES)
def test_every_picture_fits_and_says_what_it_shows(kind: str, width: str) -> None:
    assert_is_a_picture(PICTURES[kind](width=width), width)


def test_learning_curves_have_a_band_over_seeds(write_study: Callable[..., Store], tmp_path: Path) -> None:
    write_study(tmp_path / "results", n_seeds=4, a3=0.75, a2=0.8)
    picture = ss.plot("curves", results=tmp_path / "results", width="column")
    assert_is_a_picture(picture, "column")
    assert [text.get_text() for text in picture.legends[0].get_texts()] == ["a2, n = 4", "a3, n = 4"]


def test_flips_are_counted_by_image(write_study: Callable[..., Store], tmp_path: Path) -> None:
    write_study(tmp_path / "results", n_seeds=6, a3=0.5, a2=0.8)
    answer = ss.images("a3", "a2", results=tmp_path / "results")
    picture = answer.plot(width="column")
    assert_is_a_picture(picture, "column")
    shares, difference = panels(picture)
    for arm, line in zip(answer.arms, shares.lines, strict=True):
        assert sum(line.get_ydata()) == pytest.approx(100.0)
        always = 100 * arm.always / answer.n_images
        assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)).get(100.0, 0.0) == pytest.approx(always)
    assert sum(bar.get_height() for bar in difference.patches) == answer.n_images


def drawn_cells() -> pl.DataFrame:
    """Return a table of two families with long names, and of networks with long names."""
    rng = np.random.default_rng(5)
    rows = [
        {
            "family": LONG[i],
            "model": f"very_long_name_of_an_architecture_with_$_and_<tags>_{i}{j}",
            "flops": 2.0**j,
            "seed": seed,
            "top1": 50 + 3 * j + i + rng.normal() / 10,
        }
        for i in range(2)
        for j in range(7)
        for seed in range(2)
    ]
    return pl.DataFrame(rows)


AWKWARD: dict[str, Callable[..., Any]] = {
    "grid of long names": lambda **how: ss.plot("grid", drawn_trials(4, 5, 3, ("val", "v2"), LONG, MODELS), **how),
    "grid of many recipes": lambda **how: ss.plot("grid", drawn_trials(15, 4, 3), **how),
    "estimation": lambda **how: ss.plot("estimation", drawn_trials(4, 1, 5, ("val", "v2"), LONG), by="recipe", **how),
    "forest": lambda **how: ss.plot("forest", drawn_trials(4, 1, 5, ("val", "v2"), LONG), by="recipe", **how),
    "distribution": lambda **how: ss.plot("distribution", drawn_trials(4, 1, 30, ("val", "v2", "real"), LONG), **how),
    "means": lambda **how: ss.plot("means", drawn_trials(4, 1, 5, ("val", "v2"), LONG), **how),
    "sets": lambda **how: ss.plot("sets", drawn_trials(4, 1, 20, ("val", "v2"), LONG), **how),
    "race": lambda **how: ss.plot("race", drawn_trials(2, 1, 8, names=LONG), *LONG[:2], plan={"most": 8}, **how),
    "fit": lambda **how: ss.plot("fit", SEEDS, **how),
    "pareto": lambda **how: ss.plot("pareto", drawn_cells(), cost="flops", by="family", **how),
    "scaling": lambda **how: ss.plot("scaling", drawn_cells(), cost="flops", by="family", **how),
}
"""Names and numbers of recipes that leave little room."""


@pytest.mark.parametrize("width", ["column", pytest.param("page", marks=WIDE)])
@pytest.mark.parametrize("case", AWKWARD)
def test_long_names_and_many_recipes_are_readable(case: str, width: str) -> None:
    assert_is_a_picture(AWKWARD[case](width=width), width)


@pytest.mark.parametrize("width", ["column", "page"])
def test_a_heat_map_breaks_no_word(width: str) -> None:
    frame = drawn_trials(5, 3, 3, names=[*LONG[2:], "torchvision2", "a1", "a2"], models=MODELS[:3])
    (page,) = (picture := ss.plot("grid", frame, width=width)).all_pages()
    page.draw_without_rendering()
    columns = [label.get_text() for axes in panels(page) for label in axes.get_xticklabels()]
    assert {"torchvision", "torchvision2"} <= set(columns)
    for axes in panels(page):
        rows = [label.get_text() for label in axes.get_yticklabels()]
        head = "" if MODELS[1] in rows else "resnet_d8_"
        assert [f"{head}{row}" for row in rows] == list(MODELS[:3])
        assert not head or "Whole names: resnet_d8_*" in picture.caption


def test_eval_sets_come_in_one_order_in_every_picture() -> None:
    frame = drawn_trials(2, 2, 4, ("v2", "real", "val"))
    picture = ss.plot("grid", frame)
    assert [axes.get_title(loc="left") for axes in panels(picture)] == ["val", "real", "v2"]
    fits = ss.plot("quantiles", drawn_trials(1, 1, 5, ("v2", "val")))
    assert [axes.get_title(loc="left").split(",")[0] for axes in panels(fits)] == ["val", "v2"]


def test_a_seed_far_out_does_not_put_all_others_into_one_bar() -> None:
    values = [*(79.7 + 0.1 * np.random.default_rng(0).standard_normal(40)), 70.0]
    (axes,) = panels(ss.plot("distribution", values))
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == 41
    assert sum(height > 0 for height in heights) >= 4
    assert max(heights) < 30


def test_each_length_of_training_has_a_front_of_its_own() -> None:
    rows = [
        {"model": f"net{cost}", "epochs": epochs, "flops": 1e6 * 4**cost, "seed": seed, "top1": 40 + epochs + 5 * cost}
        for cost in range(6)
        for epochs in (10, 30)
        for seed in range(2)
    ]
    frame = pl.DataFrame(rows).with_columns(pl.col("top1") + pl.col("seed") / 10)
    picture = ss.plot("pareto", frame, cost="flops", width="column")
    assert_is_a_picture(picture, "column")
    (axes,) = panels(picture)
    fronts = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert sorted(sorted(line.get_ydata())[0] for line in fronts) == [50.05, 70.05]
    assert {f"net{cost}" for cost in range(6)} >= {text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_xticklabels()][1:3] == ["1M", "10M"]


def test_flips_of_many_recipes_are_pages(write_study: Callable[..., Store], tmp_path: Path) -> None:
    arms = {f"recipe_{i}": 0.5 + 0.05 * i for i in range(7)}
    write_study(tmp_path / "results", n_seeds=3, **arms)
    picture = ss.images(*arms, results=tmp_path / "results").plot(width="column")
    assert_is_a_picture(picture, "column")
    titles = [axes.get_title(loc="left") for page in picture.all_pages() for axes in panels(page)]
    assert len(titles) == 7
    assert titles[0] == "All images"


def test_every_kind_is_tested() -> None:
    assert {*PICTURES, "curves", "images"} == set(KINDS)


def test_a_recipe_has_one_colour_and_no_two_have_the_same_look() -> None:
    looks = looks_of(f"recipe{i}" for i in range(40))
    assert len({(look.color, look.marker) for look in looks.values()}) == 40
    assert len({look.color for look in list(looks.values())[:7]}) == 7
    picture = ss.plot("estimation", drawn_trials(9), *[f"recipe{i}" for i in range(9)])
    colours: dict[str, set[Any]] = {}
    for page in picture.all_pages():
        seeds = panels(page)[0]
        names = [label.get_text().split("\n")[0] for label in seeds.get_yticklabels()]
        drawn = [each for each in seeds.collections if len(each.get_offsets()) == 6]
        for name, each in zip(names, drawn, strict=True):
            colours.setdefault(name, set()).add(
                (tuple(each.get_facecolor()[0]), each.get_paths()[0].vertices.tobytes())
            )
    assert len(colours) == 9
    assert all(len(found) == 1 for found in colours.values()), "the baseline looks the same on every page"
    assert len({next(iter(found)) for found in colours.values()}) == 9


def test_many_panels_become_pages(tmp_path: Path) -> None:
    picture = ss.plot("distribution", drawn_trials(80), width="page")
    assert len(picture.all_pages()) > 5
    titles = [axes.get_title(loc="left") for page in picture.all_pages() for axes in panels(page)]
    assert len(titles) == 80
    assert all(page.get_figheight() < 11 for page in picture.all_pages())
    assert "page 1 of" in picture.title
    last = picture.pages[-1]
    assert_words_are_readable(last)
    picture.pages = (last,)
    assert [file.name for file in save_picture(picture, tmp_path / "d.svg")] == ["d-1.svg", "d-2.svg"]
    assert save_picture(picture, tmp_path / "d.pdf") == (tmp_path / "d.pdf",)
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "d.pdf").read_bytes())) == 2


def test_a_grid_is_saved_as_a_heat_map(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    drawn_trials(2, 2).write_csv("grid.csv")
    code, _, err = cli("compare", "grid.csv", "--grid", "--save", "grid.svg")
    assert (code, err) == (0, "")
    assert "Top-1 accuracy by architecture and recipe" in Path("grid.svg").read_text()


def test_undecided_cells_are_marked() -> None:
    frame = drawn_trials(3, 2).with_columns(
        pl.when((pl.col("recipe") == "recipe0") & (pl.col("model") == "resnet18d"))
        .then(pl.col("n_correct") - 5000)
        .otherwise(pl.col("n_correct"))
        .alias("n_correct")
    )
    (answer,) = ss.grid(frame)
    undecided = answer.undecided
    assert ("resnet18d", "recipe0") not in undecided, "ten points below the best"
    (axes,) = panels(ss.plot("grid", frame))
    marked = [text.get_text() for text in axes.texts if "?" in text.get_text()]
    assert len(marked) == len(undecided)
    bold = [text for text in axes.texts if text.get_weight() == "bold"]
    assert len(bold) == 2, "the best of each row"


def test_a_picture_is_drawn_into_axes_that_are_given() -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
    try:
        assert ss.plot("power", sd=0.1, difference=0.2, ax=left) is left
        assert ss.compare(A, B, margin=0.5).plot("forest", ax=right) is right
        assert "power (%)" in left.get_ylabel()
        assert "margin" in right.get_xlabel(), "the caption is below the axis"
        with pytest.raises(StudyError, match=r"^ax: this picture has 2 panels"):
            ss.plot("estimation", A, B, ax=left)
    finally:
        plt.close(figure)


A, B = [78.0, 78.1, 78.2, 78.15, 78.05], [79.6, 79.7, 79.8, 79.65, 79.75]


def test_a_notebook_shows_alternative_text() -> None:
    page = ss.plot("estimation", {"<script>": A, "b": B}, margin=0.5)._repr_html_()
    assert page.startswith('<img src="data:image/png;base64,')
    assert 'alt="Every seed, the means and their differences. Dots: one seed each' in page
    assert "<script>" not in page


def test_kinds_of_an_answer() -> None:
    answer = ss.compare(A, B)
    assert answer.plot("forest").title.startswith("Differences")
    with pytest.raises(StudyError, match=r"^power: a picture of `power`; this answer has estimation, forest\.$"):
        answer.plot("power")
    with pytest.raises(StudyError, match=r'^width "poster": expected column or page\.$'):
        answer.plot(width="poster")


@pytest.mark.parametrize("kind", ["histogram", "Forest", ""])
def test_an_unknown_kind_is_refused_with_the_list(kind: str) -> None:
    with pytest.raises(StudyError) as caught:
        ss.plot(kind, A, B)
    assert all(name in str(caught.value) for name in KINDS)


def test_an_option_of_another_question_is_refused() -> None:
    with pytest.raises(
        StudyError, match=r"^plot distribution: `margin` is not an option of the question behind it, `summary`"
    ):
        ss.plot("distribution", A, margin=1.0)
    with pytest.raises(SeedstudyError, match="nonsense=1"):
        ss.plot("distribution", A, nonsense=1)


def test_the_command_draws_and_says_what_it_drew(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("".join(f"{x}\n" for x in A))
    Path("b.txt").write_text("".join(f"{x}\n" for x in B))
    code, out, err = cli("plot", "forest", "a.txt", "b.txt", "--margin", "0.5", "--width", "column")
    assert (code, err) == (0, "forest.svg: written.\n")
    assert out.startswith("a.txt: 5 runs, metric top1")
    assert "grey band: declared margin" in " ".join(out.split())
    assert Path("forest.svg").read_bytes().startswith(b"<?xml")
    code, out, err = cli("plot", "racing", "a.txt")
    assert (code, out) == (2, "")
    assert "race, power" in err
    for wrong in (
        ("pareto", FAMILIES, "--by", "family", "--by", "size"),
        ("pareto", FAMILIES, "--sd", "rsb"),
        ("means", "a.txt", "--max-seeds", "4"),
        ("ladder",),
    ):
        code, out, err = cli("plot", *map(str, wrong))
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.txt", "b.txt", "forest.svg"]
