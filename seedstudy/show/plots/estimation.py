"""Estimation plots: every seed, the means, and the differences with their intervals; and the differences alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seedstudy.show.format import percent, with_interval
from seedstudy.show.plots.canvas import (
    LABEL,
    SMALL,
    TALLEST,
    WIDTHS,
    Canvas,
    Look,
    Width,
    axis_label,
    chunks,
    eval_sets_of,
    fitted,
    height_of,
    identity,
    limits_of,
    looks_of,
    names_that_fit,
    paged,
    plain_ticks,
    row_label,
    rows_of,
    styled,
    swarm,
    unit_of,
    width_of,
)
from seedstudy.show.view import short_names
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.compare import Answer
    from seedstudy.stats.result import Estimate

# A row per recipe, in units of rows (y grows downwards); sizes in inches.
_ROW_HEIGHT, _PANEL_OVERHEAD = 0.54, 0.52
_TEXT_Y, _DOTS_Y, _BAR_Y, _DOTS_HALF_HEIGHT = -0.33, 0.0, 0.33, 0.18
_MOST_ROWS = 6
"""Recipes beside the baseline in one block; more go to further blocks, and to further pages."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some recipes against one baseline, on some eval sets beside each other."""

    answers: tuple[Answer, ...]
    rows: tuple[int, ...]
    """The row of each answer's recipe, from 0."""
    eval_sets: tuple[str, ...]
    labels: Mapping[str, str]
    """Label -> the name of its row, in lines."""

    @property
    def baseline(self) -> str:
        return self.labels[self.answers[0].a.label]

    @property
    def marked_baseline(self) -> str:
        return self.baseline if self.baseline.lower() == "baseline" else f"{self.baseline}\n(baseline)"

    def difference(self, answer: Answer) -> str:
        """Return the name of a row of differences; a baseline of several lines is on top by its name."""
        baseline = "baseline" if "\n" in self.baseline else self.baseline
        return f"{self.labels[answer.b.label]}\n− {baseline}"

    @property
    def row_heights(self) -> tuple[float, float]:
        """Inches of a row of seeds, and of one of differences."""
        seeds = [self.marked_baseline, *(self.labels[answer.b.label] for answer in self.answers)]
        differences = map(self.difference, self.answers)
        return _row_height(seeds), _row_height(differences)

    @property
    def n_rows(self) -> int:
        return max(self.rows) + 1

    @property
    def heights(self) -> tuple[float, float]:
        """Inches of the panels of seeds, and of those of differences."""
        n, (of_seeds, of_differences) = self.n_rows, self.row_heights
        return (n + 1) * of_seeds + _PANEL_OVERHEAD, n * of_differences + _PANEL_OVERHEAD


def _row_height(names: Iterable[str], least: float = _ROW_HEIGHT) -> float:
    return max(least, max(map(height_of, names)) + 0.1)


def plot_estimation(answers: Sequence[Answer], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw an estimation plot: every seed, the means with their intervals, and below the differences with theirs.

    One column per eval set, one row per recipe with the baseline on top; the band is the declared margin. Answers
    with several baselines are drawn one block below the other.
    """
    answers = list(answers)
    names, common, looks, note = _names_and_looks(answers, width)
    labels = {label: row_label(name, width) for label, name in names.items()}
    eval_sets = eval_sets_of(answer.a for answer in answers)
    n_columns = _n_columns(answers, len(eval_sets), list(labels.values()), width)
    blocks = _blocks(answers, eval_sets, n_columns, labels)
    parts = chunks([sum(block.heights) for block in blocks])
    with styled():
        pages = []
        for number, part in enumerate(parts, start=1):
            canvas = Canvas(width, [height for i in part for height in blocks[i].heights], n_columns, ax=ax)
            inches = _panel_inches(labels.values(), width, n_columns)
            for place, i in enumerate(part):
                seeds, differences = canvas.grid[2 * place : 2 * place + 2]
                _draw_block(blocks[i], seeds, differences, looks, inches)
            shown = [answer for i in part for answer in blocks[i].answers]
            title = f"Every seed, the means and their differences{': ' if common else ''}{', '.join(common)}"
            pages.append(canvas.finish(title=title, caption=_caption(shown) + note, page=(number, len(parts))))
        return paged(pages)


def _names_and_looks(
    answers: Sequence[Answer], width: Width
) -> tuple[Mapping[str, str], tuple[str, ...], Mapping[str, Look], str]:
    """Return names, what is common to all, looks, and what the caption says of the names."""
    groups = [group for answer in answers for group in (answer.a, answer.b)]
    names, common = short_names(groups)
    names, note = names_that_fit(names, 2 * LABEL[width])
    return names, common, looks_of(group.label for group in groups), note


def _panel_inches(labels: Iterable[str], width: Width, n_columns: int) -> float:
    """Return the width of one panel without the rows' names."""
    lines = [line for label in labels for line in label.split("\n")]
    left = max(width_of(f"− {line}") for line in (*lines, "(baseline)")) + 0.15
    return (WIDTHS[width] - left) / n_columns - 0.15


def _difference_words(answer: Answer) -> str:
    difference = answer.interval_adjusted
    return with_interval(difference, decimals_of(difference), sign="+", interval_sign="+").replace("-", "−")


def _mean_words(mean: Estimate, n: int) -> str:
    return f"{with_interval(mean, decimals_of(mean))}, n = {n}"


def _n_columns(answers: Sequence[Answer], n_sets: int, labels: Sequence[str], width: Width) -> int:
    """Return how many eval sets fit beside each other: the words of every row must fit into its panel."""
    longest = max(
        max(
            width_of(_difference_words(answer)) + width_of(answer.verdict.word, is_bold=True) + 0.2,
            *(
                width_of(_mean_words(mean, group.n)) + 0.1
                for mean, group in zip(answer.means, (answer.a, answer.b), strict=True)
            ),
        )
        for answer in answers
    )
    for n in range(min(n_sets, 3), 1, -1):
        if _panel_inches(labels, width, n) >= longest:
            return n
    return 1


def _blocks(
    answers: Sequence[Answer], eval_sets: Sequence[str], n_columns: int, labels: Mapping[str, str]
) -> list[_Block]:
    by_baseline: dict[tuple[str, ...], list[Answer]] = defaultdict(list)
    for answer in answers:
        by_baseline[identity(answer.a)].append(answer)
    blocks = []
    n_rows_of_sets = -(-len(eval_sets) // n_columns)
    row = _row_height(f"{label}\n(baseline)" for label in labels.values())
    rows_of_page = TALLEST / (n_rows_of_sets if n_rows_of_sets < 3 else 1) / row
    most = max(1, min(_MOST_ROWS, int((rows_of_page - 3) / 2)))
    for of_baseline in by_baseline.values():
        rows = rows_of([answer.b for answer in of_baseline])
        for start in range(0, max(rows) + 1, most):
            for first in range(0, len(eval_sets), n_columns):
                sets = tuple(eval_sets[first : first + n_columns])
                chosen = [
                    (answer, row - start)
                    for answer, row in zip(of_baseline, rows, strict=True)
                    if start <= row < start + most and answer.a.eval_set in sets
                ]
                if chosen:
                    some, places = zip(*chosen, strict=True)
                    blocks.append(_Block(some, places, sets, labels))
    return blocks


def _draw_block(
    block: _Block, seeds: Sequence[Axes], differences: Sequence[Axes], looks: Mapping[str, Look], inches: float
) -> None:
    for column, eval_set in enumerate(block.eval_sets):
        shown = {
            row: answer for row, answer in zip(block.rows, block.answers, strict=True) if answer.a.eval_set == eval_set
        }
        if shown:
            _seeds(seeds[column], shown, block, looks, inches)
            _differences(differences[column], shown, block.n_rows, inches)
    by_row = dict(zip(block.rows, block.answers, strict=True))
    for panels, labels in (
        (
            seeds,
            {0: block.marked_baseline} | {row + 1: block.labels[answer.b.label] for row, answer in by_row.items()},
        ),
        (differences, {row: block.difference(answer) for row, answer in by_row.items()}),
    ):
        axes = next(axes for axes in panels if axes.has_data())
        axes.set_yticks(sorted(labels), [labels[row] for row in sorted(labels)])
        axes.tick_params(axis="y", length=0)


def _seeds(axes: Axes, answers: dict[int, Answer], block: _Block, looks: Mapping[str, Look], inches: float) -> None:
    """Draw every seed as a dot, and below the dots the mean with its interval."""
    first = next(iter(answers.values()))
    arms = {0: first.a} | {row + 1: answer.b for row, answer in answers.items()}
    means = {0: first.means[0]} | {row + 1: answer.means[1] for row, answer in answers.items()}
    row_height, _ = block.row_heights
    _open_rows(axes, block.n_rows + 1)
    limits = limits_of(
        [np.array([mean.value]) if not arms[row].values.size else arms[row].values for row, mean in means.items()],
        [(end, 0.0) for mean in means.values() for end in (mean.low, mean.high)],
        arms[0].unit,
    )
    axes.set_xlim(limits)
    for row, arm in arms.items():
        size = 4.0 if arm.n <= 30 else 2.6
        if arm.values.size:  # of a published mean no seed is known
            offsets = swarm(arm.values, limits, size, inches, _DOTS_HALF_HEIGHT * row_height)
            look = looks[arm.label]
            y = row + _DOTS_Y + offsets / row_height
            axes.scatter(arm.values, y, s=size**2, color=look.color, marker=look.marker, alpha=0.75, linewidth=0)
        _interval(axes, means[row], row + _BAR_Y)
        _row_text(axes, row, _mean_words(means[row], arm.n))
    axes.set_title(arms[0].eval_set, size=SMALL + 0.5, weight="bold")
    axes.set_xlabel(axis_label(arms[0]))


def _differences(axes: Axes, answers: dict[int, Answer], n_rows: int, inches: float) -> None:
    """Draw each difference with its interval over the declared margin, with the verdict in words."""
    some = next(iter(answers.values()))
    margin = some.rule.margin
    _open_rows(axes, n_rows)
    shown = [0.0] if margin is None else [-margin, margin]
    for answer in answers.values():
        difference = answer.interval_adjusted
        shown += [difference.value, difference.low, difference.high]
    axes.set_xlim(limits_of([np.array([0.0])], [(end, 0.0) for end in shown], some.a.unit))
    for row, answer in answers.items():
        difference = answer.interval_adjusted
        # Both stop below the words: lines through them would make them hard to read.
        reach = [row - 0.16, row + 0.48]
        if margin is not None:
            axes.fill_betweenx(reach, -margin, margin, color="0.86", linewidth=0, zorder=0)
        axes.plot([0, 0], reach, color="0.45", linewidth=0.8, zorder=1)
        _interval(axes, difference, row + 0.16, _deciding(answer))
        _row_text(axes, row, _difference_words(answer))
        _row_text(axes, row, answer.verdict.word, x=1, ha="right", weight="bold")
    better = "← better" if some.rule.lower_is_better else "better →"
    label = f"difference{' (percentage points)' if some.a.unit == 'pp' else ''}, {better}"
    axes.set_xlabel(fitted(label, inches, 7.5))  # beside another panel's it must not run into that


def _deciding(answer: Answer) -> Estimate | None:
    """Return the interval that decides equivalence; in a family adjusted p-values do, and no interval shows them."""
    return None if answer.rule.margin is None or answer.n_family > 1 else answer.equivalence_interval


def _open_rows(axes: Axes, n_rows: int) -> None:
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    plain_ticks(axes)


def _row_text(axes: Axes, row: float, text: str, x: float = 0, **how: Any) -> None:
    axes.text(x, row + _TEXT_Y, text, transform=axes.get_yaxis_transform(), va="center", size=SMALL, **how)


def _interval(
    axes: Axes, estimate: Estimate, y: float, inner: Estimate | None = None, color: Any = "black", face: Any = None
) -> None:
    """Draw a diamond at the value and a bar over the interval, thick over the inner one."""
    if estimate.has_interval:
        ends = np.clip([estimate.low, estimate.high], *axes.get_xlim())
        axes.plot(ends, [y, y], color=color, linewidth=1.2, marker="|", markersize=5, zorder=3)
    if inner is not None and inner.has_interval:
        axes.plot([inner.low, inner.high], [y, y], color=color, linewidth=3.2, solid_capstyle="butt", zorder=3)
    mec = "white" if face is None else color
    axes.plot([estimate.value], [y], color=color, mfc=face, marker="D", markersize=4.5, mec=mec, mew=0.7, zorder=4)


# --- the differences alone ------------------------------------------------------------------------------


def plot_forest(answers: Sequence[Answer], *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Draw one row per pair and eval set: the difference with its interval over the margin, and the verdict.

    A filled diamond is on the eval set that decides.
    """
    answers = list(answers)
    names, common, looks, note = _names_and_looks(answers, width)
    n_baselines = len({answer.a.label for answer in answers})
    order = {pair: i for i, pair in enumerate(dict.fromkeys((x.a.label, x.b.label) for x in answers))}
    place = {name: i for i, name in enumerate(eval_sets_of(answer.a for answer in answers))}
    answers.sort(key=lambda x: (order[x.a.label, x.b.label], place[x.a.eval_set]))
    labels = [_forest_label(answer, names, n_baselines > 1, width) for answer in answers]
    row_height = _row_height(labels, 0.42)
    parts = chunks([row_height] * len(answers), TALLEST - _PANEL_OVERHEAD)
    margin, some = answers[0].rule.margin, answers[0]
    ends = [getattr(x.interval_adjusted, end) for x in answers for end in ("value", "low", "high")]
    ends += [0.0] if margin is None else [-margin, margin]
    limits = limits_of([np.array([0.0])], [(end, 0.0) for end in ends], some.a.unit)
    with styled():
        pages = []
        for number, part in enumerate(parts, start=1):
            canvas = Canvas(width, [len(part) * row_height + _PANEL_OVERHEAD], ax=ax)
            (axes,) = canvas.panels
            _open_rows(axes, len(part))
            axes.set_xlim(limits)
            for row, answer in enumerate(answers[i] for i in part):
                reach = [row - 0.12, row + 0.5]
                if margin is not None:
                    axes.fill_betweenx(reach, -margin, margin, color="0.86", linewidth=0, zorder=0)
                axes.plot([0, 0], reach, color="0.45", linewidth=0.8, zorder=1)
                color = looks[answer.b.label].color
                face = None if answer.is_primary else "white"
                _interval(axes, answer.interval_adjusted, row + 0.2, color=color, face=face)
                _row_text(axes, row, _difference_words(answer))
                _row_text(axes, row, answer.verdict.word, x=1, ha="right", weight="bold")
            axes.set_yticks(range(len(part)), [labels[i] for i in part])
            axes.tick_params(axis="y", length=0)
            better = "← better" if some.rule.lower_is_better else "better →"
            axes.set_xlabel(f"difference{' (percentage points)' if some.a.unit == 'pp' else ''}, {better}")
            against = f" from {names[some.a.label]}" if n_baselines == 1 else ""
            title = f"Differences{against} by eval set{': ' if common else ''}{', '.join(common)}"
            several = any(not answer.is_primary for answer in answers)
            caption = (
                f"Diamond and bar: difference of means{_interval_words(answers)}; n: seeds of each recipe; "
                f"{'filled: the eval set that decides; ' if several else ''}{_margin_words(some)}{note}"
            )
            pages.append(canvas.finish(title=title, caption=caption, page=(number, len(parts))))
        return paged(pages)


def _forest_label(answer: Answer, names: Mapping[str, str], has_baselines: bool, width: Width) -> str:
    pair = names[answer.b.label] + (f" − {names[answer.a.label]}" if has_baselines else "")
    n = f"n = {answer.comparison.n_a} + {answer.comparison.n_b}"
    return f"{row_label(f'{pair}, {answer.a.eval_set}', width)}\n{n}"


def _margin_words(some: Answer) -> str:
    if some.rule.margin is None:
        return "no margin was declared."
    return f"grey band: declared margin, ±{some.rule.margin:g}{unit_of(some.a)}."


def _interval_words(answers: Sequence[Answer]) -> str:
    """Return " with 95% confidence interval (Welch t, simultaneous within each family)", as far as there are any."""
    names = {
        "welch": "Welch t",
        "paired-t": "paired t",
        "single-run": "t, spread of one arm",
    }
    methods = [
        names.get(x.comparison.method, x.comparison.method) for x in answers if x.comparison.difference.has_interval
    ]
    together = ["simultaneous within each family"] if any(answer.n_family > 1 for answer in answers) else []
    by = f" ({', '.join(dict.fromkeys([*methods, *together]))})" if methods else ""
    return f" with {percent(answers[0].comparison.level)} confidence interval{by}"


def _caption(answers: Sequence[Answer]) -> str:
    rule, level = answers[0].rule, answers[0].comparison.level
    is_family = any(answer.n_family > 1 for answer in answers)
    margin = _margin_words(answers[0])
    if rule.margin is not None:
        inner = percent(answers[0].equivalence_interval.level)
        margin = (
            margin.removesuffix(".")
            + "; equivalent where "
            + ("adjusted tests say so." if is_family else f"the thick part ({inner} interval) lies inside it.")
        )
    alpha = f"alpha = {rule.alpha:.2g}"
    has_all = all(x.comparison.difference.has_interval for x in answers)
    is_complete = min(min(x.a.n, x.b.n) for x in answers) > 1 and has_all
    missing = "" if is_complete else " No bar: no interval can be given."
    return (
        f"Dots: one seed each, n seeds per recipe. Diamond and bar: mean with {percent(level)} confidence interval "
        f"(Student t); below: difference of means{_interval_words(answers)}; {margin}{missing} Verdict at {alpha}."
    )
