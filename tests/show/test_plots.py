"""The pictures: what is drawn where, what the words say, and that equal input gives equal files."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure

from seedstudy.decide import compare as judgement
from seedstudy.decide.audit import Noise, audit
from seedstudy.decide.plan import Spread, plan_seeds
from seedstudy.decide.race import replay_groups
from seedstudy.decide.summary import Summary, fit_group
from seedstudy.decide.verdict import Rule
from seedstudy.errors import StudyError
from seedstudy.read.published import Table
from seedstudy.show.plots.audit import plot_audit
from seedstudy.show.plots.canvas import save_picture
from seedstudy.show.plots.distributions import plot_distributions, plot_fits
from seedstudy.show.plots.estimation import plot_estimation
from seedstudy.show.plots.power import plot_power
from seedstudy.show.plots.race import plot_race
from seedstudy.stats.describe import describe
from seedstudy.study.group import Group
from tests.show.pictures import assert_words_are_readable, panels

LONG = "a2@resnet8_nano@cifar10"


def group(
    label: str, values: Sequence[float], eval_set: str = "val", *, seeds: tuple[int, ...] | None = None, **changes: Any
) -> Group:
    fields: dict[str, Any] = {
        "label": label,
        "recipe": label,
        "model": None,
        "data": None,
        "eval_set": eval_set,
        "metric": "top1",
        "unit": "pp",
        "seeds": tuple(range(len(values))) if seeds is None else seeds,
        "values": np.array(values, dtype=np.float64),
    }
    return Group(**{**fields, **changes})


def drawn(label: str, n: int, eval_set: str = "val", *, mean: float = 79.7, std: float = 0.1) -> Group:
    values = mean + std * np.random.default_rng([n, len(label)]).standard_normal(n)
    return group(label, list(values), eval_set)


def summaries(*groups: Group) -> list[Summary]:
    return [Summary(group=g, description=describe(g.values), seed0_rank=None, warnings=()) for g in groups]


def answers(*arms: Sequence[Group], **rule: Any) -> Sequence[judgement.Answer]:
    return judgement.judge([arms], Rule(**rule)).answers


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def dots(axes: Axes) -> list[np.ndarray]:
    """Return the positions of the seeds, one array (n_seeds, 2) per recipe."""
    return [np.asarray(c.get_offsets()) for c in axes.collections if isinstance(c, PathCollection)]


def diamonds(axes: Axes) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"]


def bars(axes: Axes) -> list[tuple[float, float]]:
    """Return the ends of the intervals."""
    return [tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "|"]


def caption(figure: Figure) -> str:
    return re.sub(r"\s", " ", figure.caption)


# --- distributions --------------------------------------------------------------------------------------


def test_distributions_has_a_panel_per_recipe_and_eval_set_that_says_mean_std_and_n() -> None:
    figure = plot_distributions(
        summaries(
            group("a3", [79.0, 79.2, 79.4], "val"),
            group("a3", [67.0, 67.5], "v2"),
            group("a2", [79.5, 79.6, 79.7, 79.8] * 5, "val"),
        )
    )
    assert [re.sub(r"\s+", " ", axes.get_title(loc="left")) for axes in panels(figure)] == [
        "a3, val mean ± std 79.20 ± 0.20 %, n = 3 seeds",
        "a3, v2 mean ± std 67.25 ± 0.35 %, n = 2 seeds",
        "a2, val mean ± std 79.650 ± 0.115 %, n = 20 seeds",
    ]
    assert [axes.get_xlabel() for axes in panels(figure)] == [
        "",
        "top-1 accuracy on v2 (%)",
        "top-1 accuracy on val (%)",
    ], "the axis is named below the last panel of each column"
    assert [axes.get_ylabel() for axes in panels(figure)] == ["", "", "number of seeds"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["Gaussian with this mean and std", "seed 0"]
    assert "Bars: seeds in a bin" in caption(figure)
    assert "Dot: one seed; diamond and bar: mean with its 95% interval (Student t)" in caption(figure)


def test_recipes_share_the_axis_of_their_eval_set() -> None:
    figure = plot_distributions(
        summaries(*(drawn(name, 9, e, mean=m) for name, m in (("a3", 79.5), ("a22", 79.9)) for e in ("val", "v2")))
    )
    top_val, top_v2, val, v2 = panels(figure)
    assert top_val.get_xlim() == val.get_xlim()
    assert top_v2.get_xlim() == v2.get_xlim()
    assert val.get_xlim()[0] < 79.5 < 79.9 < val.get_xlim()[1]


def test_recipes_very_far_apart_get_axes_of_one_scale() -> None:
    figure = plot_distributions(summaries(drawn("a3", 20, mean=40.0), drawn("a22", 20, mean=80.0, std=0.2)))
    first, second = (axes.get_xlim() for axes in panels(figure))
    assert first[1] - first[0] == pytest.approx(second[1] - second[0])
    assert first[1] < second[0]
    assert panels(figure)[1].get_xlabel().endswith("\naxes of equal scale, each at its seeds")


def test_seed_0_is_marked_at_its_value() -> None:
    figure = plot_distributions(summaries(group("a2", [79.9, 79.1, 79.5], seeds=(2, 0, 1))))
    (axes,) = panels(figure)
    (line,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert list(line.get_xdata()) == [79.1, 79.1]
    assert words(axes) == ["seed 0: 79.10"]


def test_without_a_seed_0_nothing_is_marked() -> None:
    figure = plot_distributions(summaries(group("a2", [79.9, 79.1, 79.5], seeds=(3, 4, 5))))
    (axes,) = panels(figure)
    assert not words(axes)
    assert not [line for line in axes.lines if line.get_linestyle() == "--"]
    assert not figure.legends


@pytest.mark.parametrize("n", [2, 3, 5, 19])
def test_below_20_seeds_every_seed_is_a_dot_and_no_gaussian_is_drawn(n: int) -> None:
    summary = summaries(drawn("a2", n))[0]
    (axes,) = panels(plot_distributions([summary]))
    assert not axes.patches
    assert not [line for line in axes.lines if len(line.get_xdata()) > 2]
    (of_recipe,) = dots(axes)
    np.testing.assert_array_equal(of_recipe[:, 0], summary.group.values)
    assert diamonds(axes) == [summary.description.mean.value]
    assert bars(axes) == [(summary.description.mean.low, summary.description.mean.high)]


@pytest.mark.parametrize("n", [20, 100])
def test_bars_hold_all_seeds_and_the_curve_has_their_area(n: int) -> None:
    summary = summaries(drawn("a2", n))[0]
    (axes,) = panels(plot_distributions([summary]))
    heights = [bar.get_height() for bar in axes.patches]
    assert sum(heights) == n
    (curve,) = [line for line in axes.lines if line.get_linestyle() == "-"]
    x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    assert np.trapezoid(y, x) == pytest.approx(n * axes.patches[0].get_width(), rel=1e-3)
    assert x[y.argmax()] == pytest.approx(summary.description.mean.value, abs=0.03 * summary.description.std.value)
    half = x[y > y.max() * np.exp(-0.5)]
    assert np.ptp(half) / 2 == pytest.approx(summary.description.std.value, rel=0.03)
    low, high = axes.get_xlim()
    assert low < axes.patches[0].get_x()
    assert axes.patches[-1].get_x() + axes.patches[-1].get_width() < high


def test_every_bin_holds_equally_many_possible_accuracies() -> None:
    """Eight neighbouring counts of 512 images, five seeds each: a bin that held two of them would stick out."""
    values = np.repeat(100 * np.arange(300, 308) / 512, 5)
    (axes,) = panels(plot_distributions(summaries(group("a2", list(values)))))
    assert [bar.get_height() for bar in axes.patches] == [5] * 8


def test_a_single_seed_has_a_value_and_no_interval() -> None:
    (axes,) = panels(plot_distributions(summaries(group("a2", [79.0]))))
    assert "value 79.00 %, n = 1 seed" in axes.get_title(loc="left")
    assert bars(axes) == []


def test_without_spread_there_is_one_bar_and_no_curve() -> None:
    values = [79.0] * 25
    figure = plot_distributions(summaries(group("a2", values)))
    (axes,) = panels(figure)
    assert "79.00 ± 0.00 %" in axes.get_title(loc="left")
    (bar,) = axes.patches
    assert bar.get_height() == len(values)
    assert bar.get_x() + bar.get_width() / 2 == pytest.approx(79.0)
    assert not [line for line in axes.lines if line.get_linestyle() == "-"]
    low, high = axes.get_xlim()
    assert high - low > 4 * bar.get_width()


def test_another_metric_has_its_own_name_and_no_percent() -> None:
    figure = plot_distributions(summaries(group("new", [0.011, 0.012, 0.014], metric="loss", unit=None)))
    (axes,) = panels(figure)
    assert axes.get_xlabel() == "loss on val"
    assert "%" not in axes.get_title(loc="left")


def test_two_files_of_one_name_get_a_panel_each() -> None:
    figure = plot_distributions(summaries(group("top1", [79.0, 79.1]), group("top1", [80.0, 80.1])))
    assert [axes.get_title(loc="left").split("\n")[1][:18] for axes in panels(figure)] == [
        "mean ± std 79.05 ±",
        "mean ± std 80.05 ±",
    ]


def test_the_words_beside_seed_0_stand_above_bars_and_curve() -> None:
    figure = plot_distributions(summaries(drawn("a2", 100), drawn("a33", 2), group("a1", [79.5])))
    figure.draw_without_rendering()
    for axes in panels(figure):
        (text,) = axes.texts
        floor = axes.transData.inverted().transform(text.get_window_extent())[0, 1]
        heights = [bar.get_height() for bar in axes.patches]
        heights += [np.max(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "-"]
        heights += [of_recipe[:, 1].max() for of_recipe in dots(axes)]
        assert floor > max(heights)


# --- estimation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 5, 20, 100])
def test_estimation_draws_every_seed_the_means_and_the_difference(n: int) -> None:
    a, b = drawn("a3", n), drawn("a22", n + 1, mean=80.0)
    (answer,) = answers([a], [b])
    seeds, difference = panels(plot_estimation([answer]))

    assert [len(of_arm) for of_arm in dots(seeds)] == [n, n + 1]
    for row, (of_arm, arm) in enumerate(zip(dots(seeds), (a, b), strict=True)):
        np.testing.assert_array_equal(of_arm[:, 0], arm.values)
        assert np.abs(of_arm[:, 1] - row).max() < 0.25, "dots stay between the words and the mean"
    means = [describe(arm.values).mean for arm in (a, b)]
    assert diamonds(seeds) == [mean.value for mean in means]
    assert bars(seeds) == [(mean.low, mean.high) for mean in means]
    assert [text.rsplit(" ", 1)[1] for text in words(seeds)] == [str(n), str(n + 1)]
    assert [label.get_text() for label in seeds.get_yticklabels()] == ["a3\n(baseline)", "a22"]

    c = answer.comparison
    assert diamonds(difference) == [c.difference.value]
    assert bars(difference) == [(c.difference.low, c.difference.high)]
    assert [label.get_text() for label in difference.get_yticklabels()] == ["a22\n− a3"]


def test_dots_do_not_cover_each_other_where_there_is_room() -> None:
    arms = drawn("a3", 20), drawn("a22", 20, mean=79.8)
    figure = plot_estimation(answers([arms[0]], [arms[1]]))
    figure.draw_without_rendering()
    axes = panels(figure)[0]
    for of_arm in dots(axes):
        points = axes.transData.transform(of_arm) / figure.dpi * 72
        gaps = [np.hypot(*(p - q)) for p, q in itertools.combinations(points, 2)]
        assert min(gaps) > 3.55  # of a diameter of 4 points


def test_the_margin_is_a_band_and_the_verdict_stands_beside_the_difference() -> None:
    exact = {"step": 0.01}
    a = group("a3", [79.0, 79.1, 79.2, 79.1, 79.0], **exact)
    b = group("a2", [80.0, 80.1, 80.2, 80.1, 80.0], **exact)
    close = group("a1", [79.0, 79.12, 79.2, 79.1, 79.0], **exact)
    figure = plot_estimation(answers([a], [b], [close], margin=0.25))
    _, difference = panels(figure)
    bands = [c.get_paths()[0].get_extents() for c in difference.collections if isinstance(c, PolyCollection)]
    assert [(band.x0, band.x1) for band in bands] == [(-0.25, 0.25)] * 2
    # Two comparisons: intervals at 97.5 % hold together at 95 %. 2.7515 * sqrt(2 * 0.007 / 5) = 0.1456.
    assert words(difference) == ["+1.00 [+0.85, +1.15]", "better", "+0.00 [−0.14, +0.15]", "equivalent"]
    assert difference.get_xlabel() == "difference (percentage points), better →"
    text = caption(figure)
    assert "grey band: declared margin, ±0.25 percentage points" in text
    assert "95% confidence interval (Welch t, simultaneous within each family)" in text
    assert "equivalent where adjusted tests say so" in text
    assert "one seed each" in text
    assert "alpha = 0.05" in text


def test_the_thick_part_is_the_interval_that_decides_equivalence() -> None:
    (answer,) = answers([drawn("a3", 5)], [drawn("a22", 5)], margin=0.2)
    difference = panels(plot_estimation([answer]))[1]
    thick = max(difference.lines, key=lambda line: line.get_linewidth())
    inner = answer.equivalence_interval
    assert list(thick.get_xdata()) == [inner.low, inner.high]
    assert inner.level == 0.9
    assert "thick part (90% interval)" in caption(plot_estimation([answer]))


def test_without_a_margin_there_is_no_band() -> None:
    figure = plot_estimation(answers([drawn("a3", 5)], [drawn("a22", 5)]))
    assert not panels(figure)[1].collections
    assert "no margin was declared" in caption(figure)


def test_where_lower_is_better_the_arrow_points_left() -> None:
    arms = [[group(name, values, metric="loss", unit=None)] for name, values in (("a", [3, 4, 5]), ("b", [1, 2, 3]))]
    seeds, difference = panels(plot_estimation(answers(*arms, margin=0.5, lower_is_better=True)))
    assert difference.get_xlabel() == "difference, ← better"
    assert seeds.get_xlabel() == "loss"


def test_without_spread_there_is_no_interval_and_the_caption_says_so() -> None:
    figure = plot_estimation(answers([group("a3", [79.0] * 4)], [group("a2", [79.5] * 4)], margin=0.1))
    seeds, difference = panels(figure)
    assert [bars(axes) for axes in (seeds, difference)] == [[], []]
    assert diamonds(difference) == [0.5]
    assert words(difference)[0] == "+0.50"
    assert "No bar: no interval can be given." in caption(figure)


def test_a_recipe_without_an_eval_set_keeps_its_row() -> None:
    a = [drawn("a3", 5, e) for e in ("val", "v2")]
    b, c = [drawn("a22", 5, "val")], [drawn("a111", 5, e, mean=80.0) for e in ("val", "v2")]
    found = answers(a, b, c)
    val, v2, difference_val, difference_v2 = panels(plot_estimation(found))
    assert [axes.get_title(loc="left") for axes in (val, v2)] == ["val", "v2"]
    assert len(dots(val)) == 3
    assert [round(float(of_arm[:, 1].mean())) for of_arm in dots(v2)] == [0, 2]
    assert val.get_ylim() == v2.get_ylim()
    assert difference_val.get_ylim() == difference_v2.get_ylim()
    assert diamonds(difference_v2) == [found[2].comparison.difference.value]


def test_each_baseline_gets_a_block_of_its_own() -> None:
    a, b, c = drawn("a3", 5), drawn("a22", 5), drawn("a111", 5)
    shown = panels(plot_estimation([*answers([a], [b]), *answers([c], [b])]))
    names = [[label.get_text() for label in axes.get_yticklabels()] for axes in shown]
    assert names == [["a3\n(baseline)", "a22"], ["a22\n− a3"], ["a111\n(baseline)", "a22"], ["a22\n− a111"]]


# --- both -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "n_recipes", "eval_sets"),
    [
        (1, 2, ("val",)),
        (2, 2, ("val", "v2")),
        pytest.param(5, 4, ("val", "real", "v2"), marks=pytest.mark.slow),
        (100, 3, ("val",)),
    ],
)
def test_words_are_neither_clipped_nor_on_top_of_each_other(n: int, n_recipes: int, eval_sets: tuple[str, ...]) -> None:
    labels = [LONG, f"{LONG}_of_a_file_with_a_name_that_goes_on_and_on", "a1", "a0"][:n_recipes]
    arms = [[drawn(label, n + i, e) for e in eval_sets] for i, label in enumerate(labels)]
    assert_words_are_readable(plot_distributions(summaries(*(g for arm in arms for g in arm))))
    assert_words_are_readable(plot_estimation(answers(*arms, margin=0.1)))


@pytest.mark.slow
@pytest.mark.parametrize("seed0", [78.9, 79.6, 80.2])
def test_words_of_a_fit_are_readable(seed0: float) -> None:
    flat = np.linspace(79.0, 80.5, 60)  # uniform: another family than the normal one fits best
    figure = plot_fits([fit_group(group(LONG, [seed0, *flat]))])
    assert "best family by AICc" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert_words_are_readable(figure)


@pytest.mark.parametrize(("is_ladder", "columns"), [(True, ("val",)), (False, ("val", "v2"))])
def test_words_of_an_audit_are_readable(is_ladder: bool, columns: tuple[str, ...]) -> None:
    rows = tuple(f"Increase training epochs (to {i}50)" for i in range(6))
    values = 79.0 + np.arange(6.0)[:, None] / 5 + np.zeros(len(columns))
    table = Table(name="t", label="model", rows=rows, columns=columns, values=values, steps=(0.01,) * len(columns))
    assert_words_are_readable(plot_audit(audit(table, Noise(sd=dict.fromkeys(columns, 0.1)), is_ladder=is_ladder)))


@pytest.mark.slow
def test_words_of_a_race_and_of_a_plan_are_readable() -> None:
    arms = [drawn(LONG, 20), drawn("a22", 20, mean=79.8), drawn("a111", 20)]
    assert_words_are_readable(plot_race(replay_groups(arms, {}, margin=0.1, lower_is_better=False)))
    of_pilot, given = Spread(sd_a=0.1, sd_b=0.1, n_a=5, n_b=5), Spread(sd_a=0.1, sd_b=0.1)
    assert_words_are_readable(plot_power(plan_seeds(of_pilot, difference=0.1)))
    assert_words_are_readable(plot_power(plan_seeds(given, margin=0.001)))  # out of reach: nothing is marked


def test_long_numbers_leave_room_for_the_verdict() -> None:
    arms = [
        group(name, [1234567.8 + shift, 1234000.1, 1235555.5, 1233333.3], metric="images_per_s", unit=None)
        for name, shift in (("fp32", 0.0), ("bf16", 99.9))
    ]
    figure = plot_estimation(answers([arms[0]], [arms[1]]))
    figure.draw_without_rendering()
    number, verdict = panels(figure)[1].texts
    assert len(number.get_text()) >= len("+24.97 [−1610.42, +1660.37]")
    assert verdict.get_text() == "inconclusive", "the longest verdict"
    assert number.get_window_extent().x1 + 10 < verdict.get_window_extent().x0


def test_panels_stand_apart_so_that_their_words_do_not_read_as_one_line() -> None:
    arms = [[drawn(label, 5, e) for e in ("val", "real", "v2")] for label in ("a3", "a22")]
    figure = plot_estimation(answers(*arms))
    figure.draw_without_rendering()
    val, real = (axes.get_window_extent() for axes in panels(figure)[:2])
    assert (real.x0 - val.x1) / figure.dpi * 72 > 10  # points


def test_a_dollar_in_a_name_is_a_dollar(tmp_path: Path) -> None:
    figure = plot_distributions(summaries(group("$bf16^$", [79.0, 79.1])))
    assert panels(figure)[0].get_title(loc="left").startswith("$bf16^$")
    save_picture(figure, tmp_path / "x.png")  # as a formula it would not parse


def draw(kind: str) -> Figure:
    arms = drawn("a3", 7), drawn("a22", 6)
    return plot_distributions(summaries(*arms)) if kind == "distributions" else plot_estimation(answers(*zip(arms)))


def test_the_last_bits_of_a_layout_change_no_file(tmp_path: Path) -> None:
    files = set()
    for _ in range(40):  # the solver's order follows addresses in memory: one in several layouts differed
        save_picture(draw("distributions"), tmp_path / "x.svg")
        files.add((tmp_path / "x.svg").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("kind", ["distributions", "estimation"])
@pytest.mark.parametrize("suffix", [".svg", *(pytest.param(each, marks=pytest.mark.slow) for each in (".png", ".pdf"))])
def test_equal_input_gives_equal_files_whatever_the_users_settings(tmp_path: Path, kind: str, suffix: str) -> None:
    save_picture(draw(kind), tmp_path / f"1{suffix}")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": None, "savefig.bbox": "tight"}):
        save_picture(draw(kind), tmp_path / f"2{suffix}")
    first, second = ((tmp_path / f"{i}{suffix}").read_bytes() for i in (1, 2))
    assert first == second
    assert first.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])


def settings() -> dict[str, Any]:
    return {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"}  # looking at it would choose one


@pytest.mark.slow
def test_drawing_leaves_no_global_state(tmp_path: Path) -> None:
    before = settings()
    for kind in ("distributions", "estimation"):
        save_picture(draw(kind), tmp_path / "x.PNG")
    assert plt.get_fignums() == []
    assert settings() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.PNG"]


@pytest.mark.parametrize("name", ["x.doc", "x", "x.png.bak"])
def test_another_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StudyError, match=r"x.*: a picture's name ends in \.png, \.pdf or \.svg\.$"):
        save_picture(draw("distributions"), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for path, problem in (
        (tmp_path / "none" / "x.png", "no such folder; "),
        (tmp_path / "file" / "x.png", "no such folder; "),
        (tmp_path / "folder.png", r"the picture cannot be written \("),
    ):
        with pytest.raises(StudyError, match=rf"^[^\n]*\.png: {problem}[^\n]+$"):
            save_picture(draw("distributions"), path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"], "nothing half-written stays"
