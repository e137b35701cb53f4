"""How an answer shows itself where nobody prints it: in a notebook, in a debugger, as a picture."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seedstudy.errors import StudyError
from seedstudy.show.format import ends
from seedstudy.show.view import View, view_html
from seedstudy.stats.result import decimals_of, p_equals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.compare import Answer
    from seedstudy.show.plots.canvas import Width


def _drawn(answer: Any) -> View:
    """Return the view of an answer."""
    from seedstudy.show import audit, compare, comparison, plan, race, summary, variance, which_images

    ways: dict[str, Callable[[], View]] = {
        "Comparisons": lambda: comparison.comparison_view(answer),
        "Summaries": lambda: summary.summary_view(answer.answers),
        "Fits": lambda: summary.fit_table(answer.answers),
        "Grids": lambda: compare.grid_tables(answer),
        "AcrossData": lambda: compare.across_data_tables(answer),
        "Variances": lambda: variance.variance_view(answer),
        "WhichImages": lambda: which_images.images_view(answer),
        "Race": lambda: race.race_tables(answer),
        "PowerPlan": lambda: plan.power_lines(answer),
        "Audit": lambda: audit.audit_tables(answer),
    }
    return ways[type(answer).__name__]()


def as_html(answer: Any) -> str:
    """Return HTML with the verdict in its colour and the table; every text is escaped."""
    if type(answer).__name__ == "Answer":
        from seedstudy.decide.compare import Comparisons

        answer = Comparisons(answers=(answer,))
    read = "".join(f"<p><small>{html.escape(each.line())}</small></p>" for each in getattr(answer, "read", ()))
    return read + view_html(_drawn(answer))


def in_short(answer: Any) -> str:
    """Return the answer in a line, or in one line for each of its parts."""
    name = type(answer).__name__
    if name == "Answer":
        return _one_comparison(answer)
    if name == "Comparisons":
        return "\n".join(map(_one_comparison, answer))
    if name == "Summaries":
        return "\n".join(_one_summary(each) for each in answer)
    if name == "Race":
        return "\n".join(f"<{pair.verdict}: {pair.b} - {pair.a}, {pair.reason}>" for pair in answer.pairs)
    if name == "PowerPlan":
        from seedstudy.show.plan import answer_in_words

        return f"<{answer_in_words(answer)}>"
    if name == "Fits":
        return "\n".join(
            f"<{each.group.label} on {each.group.eval_set}: normal seeds {each.normality}, n {each.fit.n}>"
            for each in answer
        )
    if name == "Audit":
        from seedstudy.show.audit import how_many

        return "\n".join(f"<{how_many(column, answer)}>" for column in answer.columns)
    return f"<{name}: {len(answer)} answers>" if hasattr(answer, "__len__") else f"<{name}>"


def _one_comparison(answer: Answer) -> str:
    c, difference = answer.comparison, answer.interval_adjusted
    decimals = decimals_of(difference)
    size = f"{difference.value:+z.{decimals}f} {ends(difference.low, difference.high, decimals)}"
    where = f"{answer.b.label} - {answer.a.label} on {answer.a.eval_set}"
    return f"<{answer.verdict.word}: {where} = {size}, {p_equals(answer.p_adjusted)}, n {c.n_a}+{c.n_b}>"


def _one_summary(summary: Any) -> str:
    mean, std, group = summary.description.mean, summary.description.std, summary.group
    decimals = decimals_of(mean)
    interval = ends(mean.low, mean.high, decimals)
    return (
        f"<{group.label} on {group.eval_set}: {mean.value:.{decimals}f} {interval}, std {std.value:.3g}, n {group.n}>"
    )


def picture(answer: Any, kind: str | None = None, *, width: Width = "page", ax: Axes | None = None) -> Any:
    """Return the picture of an answer: a figure, or the axes that were given.

    StudyError where it has none, or none of this kind.
    """
    from importlib import import_module

    from seedstudy.show.plots import KINDS, kind_of
    from seedstudy.show.plots.canvas import WIDTHS

    name = type(answer).__name__
    if name == "Answer":
        name, answer = "Comparisons", [answer]
    of_answer = [each for each, found in KINDS.items() if found.answer == name]
    if not of_answer:
        verbs = ", ".join(dict.fromkeys(each.question for each in KINDS.values()))
        raise StudyError(f"{name} has no picture of its own; the answers of {verbs} have.")
    chosen = kind_of(kind or of_answer[0])
    if chosen.answer != name:
        raise StudyError(f"{kind}: a picture of `{chosen.question}`; this answer has {', '.join(of_answer)}.")
    if width not in WIDTHS:
        raise StudyError(f'width "{width}": expected {" or ".join(WIDTHS)}.')
    module, _, function = chosen.draw.partition(".")
    return getattr(import_module(f"seedstudy.show.plots.{module}"), function)(answer, width=width, ax=ax)
