"""A report as one HTML page that needs nothing else: no network, no other file; every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from seedstudy.machine import version
from seedstudy.show.cite import checklist, cite
from seedstudy.show.comparison import comparison_view
from seedstudy.show.report.card import model_index
from seedstudy.show.sheet import FORMATS, Column, Sheet, to_html
from seedstudy.show.summary import summary_view
from seedstudy.show.view import headline_html, short_names

if TYPE_CHECKING:
    from seedstudy.decide.report import Report

_EXPORTS = {"md": "Markdown", "tex": "LaTeX", "typst": "Typst", "csv": "CSV"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture of the page."""

    title: str
    svg: Markup


def report_page(report: Report, *, with_pictures: bool = True) -> str:
    """Return the whole page."""
    from jinja2 import Environment, StrictUndefined

    text = resources.files("seedstudy.show.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    view = None if report.comparisons is None else comparison_view(report.comparisons)
    summary = summary_view(report.summaries.answers)
    sheets = [*(view.sheets if view else ()), *summary.sheets]
    facts: dict[str, Any] = {
        "report": report,
        "version": version(),
        "view": view,
        "summary": summary,
        "cite": cite(report.comparisons) if report.comparisons else "",
        "checklist": checklist(report.summaries, report.comparisons),
        "card": model_index(report.summaries),
        "cautions": _cautions(report),
        "figures": tuple(_pictures(report)) if with_pictures else (),
        "recipe_sheets": tuple(recipe_sheets(report)),
        "trials": trial_sheet(report),
        "exports": [(name, "\n".join(map(FORMATS[kind], sheets))) for kind, name in _EXPORTS.items()],
        "table": lambda sheet: Markup(to_html(sheet)),  # escaped by `to_html`
        "headline_html": lambda headline: Markup(headline_html(headline)),  # escaped there
    }
    return environment.from_string(text).render(facts)


def _cautions(report: Report) -> list[str]:
    found: dict[str, None] = {}
    for answer in report.comparisons or ():
        found |= dict.fromkeys(map(str, (*answer.warnings, *answer.doubts)))
    for summary in report.summaries:
        found |= dict.fromkeys(map(str, summary.warnings))
    return list(found)


# --- pictures -------------------------------------------------------------------------------------------


def _pictures(report: Report) -> Iterator[Picture]:
    from seedstudy.show.plots.curves import plot_curves, plot_running_means
    from seedstudy.show.plots.distributions import plot_distributions
    from seedstudy.show.plots.estimation import plot_estimation, plot_forest

    if report.comparisons is not None:
        answers = report.comparisons.answers
        if len(answers) > 1:
            yield from _drawn(plot_forest(answers))
        yield from _drawn(plot_estimation(answers))
    summaries = report.summaries.answers
    first = summaries[0].group.eval_set
    of_first = [summary for summary in summaries if summary.group.eval_set == first]
    if all(summary.group.n >= 10 for summary in of_first):
        yield from _drawn(plot_distributions(of_first))
    if any(summary.group.n > 2 for summary in of_first):
        yield from _drawn(plot_running_means(of_first))
    if report.curves.height:
        yield from _drawn(plot_curves(report))


def _drawn(figure: Any) -> Iterator[Picture]:
    """Yield each page of a figure as SVG inside the page, with ids of its own."""
    from seedstudy.show.plots.canvas import picture_bytes

    for number, page in enumerate(figure.all_pages(), start=1):
        svg = picture_bytes(page, ".svg").decode()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        name = re.sub(r"\W+", "-", page.title).strip("-").lower()
        mark = f"{name}-{number}"
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', svg)
        svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{mark}-\2"', svg)
        svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{mark}-\1)", svg)
        head = f'<svg role="img" aria-label="{escape(page.description)}"'
        yield Picture(title=page.title, svg=Markup(svg.replace("<svg", head, 1)))  # drawn by matplotlib, which escapes


# --- tables ---------------------------------------------------------------------------------------------


def recipe_sheets(report: Report) -> Iterator[Sheet]:
    """Yield per study the values in which its recipes differ."""
    for study in report.studies:
        keys = list(dict.fromkeys(key for values in study.recipes.values() for key in values))
        if len(study.recipes) < 2 or not keys:
            continue
        names = list(study.recipes)
        rows = [(key, *(_value(study.recipes[name].get(key)) for name in names)) for key in keys]
        yield Sheet(
            caption=f"Study {study.name}: values as trained",
            columns=(Column(name="key", kind="name"), *(Column(name=name, kind="text") for name in names)),
            rows=tuple(rows),
        )


def _value(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def trial_sheet(report: Report) -> Sheet:
    """Return one row per trial."""
    names, _ = short_names([summary.group for summary in report.summaries])
    eval_sets = list(dict.fromkeys(summary.group.eval_set for summary in report.summaries))
    rows = [
        (
            names.get(line.label, line.label),
            "–" if line.seed is None else str(line.seed),
            line.status,
            *(f"{line.values[name]:.2f}" if name in line.values else "–" for name in eval_sets),
            "–" if line.train_s is None else f"{line.train_s / 60:.2f}",
            line.device or "–",
            line.reason,
        )
        for line in report.trials
    ]
    columns = (
        Column(name="recipe", kind="text"),
        Column(name="seed"),
        Column(name="status", kind="text"),
        *(Column(name=name) for name in eval_sets),
        Column(name="minutes"),
        Column(name="device", kind="text"),
        Column(name="reason", kind="text"),
    )
    failed = sum(line.status != "ok" for line in report.trials)
    ended = f"{failed} without a result, which no number includes" if failed else "all with a result"
    return Sheet(caption=f"{len(rows)} trials, {ended}.", columns=columns, rows=tuple(rows))
