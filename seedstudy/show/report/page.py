"""A report as one HTML page that needs nothing else: no network, no other file; every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape
from rich.console import Group as Parts
from rich.console import RenderableType
from rich.text import Text

from seedstudy.errors import printable
from seedstudy.machine import version
from seedstudy.show.cite import checklist, cite
from seedstudy.show.compare import comparison_tables
from seedstudy.show.comparison import comparison_view
from seedstudy.show.report.card import model_index
from seedstudy.show.sheet import FORMATS, Column, Sheet, to_html
from seedstudy.show.summary import summary_tables, summary_view
from seedstudy.show.view import headline_html, short_labels, short_names
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from seedstudy.decide.compare import Answer
    from seedstudy.decide.report import Report, StudyFacts

DETAILS = "see Details below"
_MOST_LABELS = 4
"""What a caution applies to, by name."""
_EXPORTS = {"md": "Markdown", "tex": "LaTeX", "typst": "Typst", "csv": "CSV"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture of the page."""

    title: str
    width: str
    """``page`` for a screen, ``column`` for a phone."""
    svg: Markup


def report_page(report: Report, *, with_pictures: bool = True) -> str:
    """Return the whole page."""
    from jinja2 import Environment, StrictUndefined

    text = resources.files("seedstudy.show.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    view = None if report.comparisons is None else comparison_view(report.comparisons, more=DETAILS)
    summary = summary_view(report.summaries.answers, more=DETAILS)
    sheets = [*(view.sheets if view else ()), *summary.sheets]
    facts: dict[str, Any] = {
        "report": report,
        "version": version(),
        "view": view,
        "summary": summary,
        "cite": cite(report.comparisons) if report.comparisons else "",
        "checklist": checklist(report.summaries, report.comparisons),
        "card": model_index(report.summaries),
        "cautions": cautions_of(report),
        "given_margin": lambda study: given_margin(report, study),
        "details": tuple(_details(report)),
        "figures": tuple(_pictures(report)) if with_pictures else (),
        "recipe_sheets": tuple(recipe_sheets(report)),
        "trials": trial_sheet(report),
        "written": datetime.now(UTC).strftime("%Y-%m-%d"),
        "exports": [(name, "\n".join(map(FORMATS[kind], sheets))) for kind, name in _EXPORTS.items()],
        "table": lambda sheet: Markup(to_html(sheet)),  # escaped by `to_html`
        "headline_html": lambda headline: Markup(headline_html(headline)),  # escaped there
    }
    return environment.from_string(text).render(facts)


def given_margin(report: Report, study: StudyFacts) -> str:
    """Return a sentence where the verdicts use another margin than the study's rule; empty where they do not."""
    if not study.declared or report.comparisons is None:
        return ""
    used, declared = report.comparisons[0].rule.margin, study.declared[-1].margin
    return "" if used == declared else f"The margin ±{used:g} was given for this report; it is not the rule's."


def cautions_of(report: Report) -> list[tuple[str, str]]:
    """Return each caution once, after what it applies to; what applies to everything comes first, without a name."""
    names, _ = short_names([summary.group for summary in report.summaries])
    answers = [
        (_about(answer, names, report), (*answer.warnings, *answer.doubts)) for answer in report.comparisons or ()
    ]
    recipes = [(f"{names[x.group.label]}, {x.group.eval_set}", x.warnings) for x in report.summaries]
    found: dict[str, str] = {}
    for kind in (answers, recipes):
        labels: dict[str, dict[str, None]] = {}
        for label, texts in kind:
            for text in texts:
                labels.setdefault(str(text), {})[label] = None
        for text, of in labels.items():
            all_of = list(of)
            more = [f"{len(all_of) - _MOST_LABELS} more"] if len(all_of) > _MOST_LABELS else []
            found.setdefault(text, "" if len(of) == len(kind) else "; ".join([*all_of[:_MOST_LABELS], *more]))
    return sorted(((label, text) for text, label in found.items()), key=lambda each: bool(each[0]))


def _about(answer: Answer, names: Mapping[str, str], report: Report) -> str:
    has_one = len({each.a.label for each in report.comparisons or ()}) == 1
    against = "" if has_one else f" against {names[answer.a.label]}"
    return f"{names[answer.b.label]}{against}, {answer.a.eval_set}"


def _details(report: Report) -> Iterator[tuple[str, Markup]]:
    """Yield what ``--details`` prints in a terminal: a title, and its tables and sentences."""
    if report.comparisons is not None:
        yield "every verdict in words, other tests", _fragment(comparison_tables(report.comparisons, with_details=True))
    yield "medians, new seeds, robust intervals", _fragment(summary_tables(report.summaries.answers, with_details=True))


def _fragment(drawn: RenderableType) -> Markup:
    """Return what a terminal would show, without the view that comes first: the page has it."""
    match drawn:
        case Parts():
            return Markup("").join(map(_fragment, drawn.renderables))
        case Sheet():
            return Markup(f'<div class="wide">{to_html(drawn)}</div>')  # escaped by `to_html`
        case Text() if drawn.plain.strip():
            return Markup('<p class="small">{}</p>').format(printable(drawn.plain))
        case _:
            return Markup("")


# --- pictures -------------------------------------------------------------------------------------------


def _pictures(report: Report) -> Iterator[Picture]:
    from seedstudy.show.plots.curves import plot_curves, plot_running_means
    from seedstudy.show.plots.distributions import plot_distributions
    from seedstudy.show.plots.estimation import plot_estimation, plot_forest

    if report.comparisons is not None:
        answers = report.comparisons.answers
        if len(answers) > 1:
            yield from _drawn(plot_forest, answers)
        yield from _drawn(plot_estimation, answers)
    summaries = report.summaries.answers
    first = summaries[0].group.eval_set
    of_first = [summary for summary in summaries if summary.group.eval_set == first]
    if all(summary.group.n >= 10 for summary in of_first):
        yield from _drawn(plot_distributions, of_first)
    if any(summary.group.n > 2 for summary in of_first):
        yield from _drawn(plot_running_means, of_first)
    if report.curves.height:
        yield from _drawn(plot_curves, report)


_PLACES = re.compile(r'\s(?:d|x|y|transform)="[^"]*"')
"""What an SVG says of places: hundredths of a point are enough. Words are no attributes and keep every digit."""


def _drawn(draw: Callable[..., Any], what: Any) -> Iterator[Picture]:
    """Yield each page of a figure as SVG inside the page: for a screen, and narrower for a phone."""
    from seedstudy.show.plots.canvas import WIDTHS, picture_bytes

    for width in WIDTHS:
        for number, page in enumerate(draw(what, width=width).all_pages(), start=1):
            svg = picture_bytes(page, ".svg").decode()
            svg = svg[svg.index("<svg") :]
            svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
            svg = _PLACES.sub(lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found.group()), svg)
            # Ids of its own, among all pictures of the page.
            mark = f"{re.sub(r'[^a-z0-9]+', '-', draw.__name__)}-{width}-{number}"
            svg = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', svg)
            svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{mark}-\2"', svg)
            svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{mark}-\1)", svg)
            head = f'<svg role="img" aria-label="{escape(page.description)}"'
            # Drawn by matplotlib, which escapes.
            yield Picture(title=page.title, width=width, svg=Markup(svg.replace("<svg", head, 1)))


# --- tables ---------------------------------------------------------------------------------------------


def recipe_sheets(report: Report) -> Iterator[Sheet]:
    """Yield per study the values in which its recipes differ."""
    for study in report.studies:
        keys = list(dict.fromkeys(key for values in study.recipes.values() for key in values))
        if len(study.recipes) < 2 or not keys:
            continue
        labels = list(study.recipes)
        names, _ = short_labels(labels)
        rows = [(key, *(_value(study.recipes[label].get(key)) for label in labels)) for key in keys]
        yield Sheet(
            caption=f"Study {study.name}: values as trained",
            columns=(Column(name="key", kind="name"), *(Column(name=names[label], kind="text") for label in labels)),
            rows=tuple(rows),
        )


def _value(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


def trial_sheet(report: Report) -> Sheet:
    """Return one row per trial; columns in which no trial has anything are left out."""
    names, _ = short_names([summary.group for summary in report.summaries])
    eval_sets = list(dict.fromkeys(summary.group.eval_set for summary in report.summaries))
    decimals = max(2, *(decimals_of(summary.description.mean) for summary in report.summaries))
    columns = (
        Column(name="recipe", kind="text"),
        Column(name="seed"),
        Column(name="status", kind="text"),
        *(Column(name=name) for name in eval_sets),
        Column(name="minutes"),
        Column(name="device", kind="text"),
        Column(name="reason", kind="text"),
    )
    rows = [
        (
            names.get(line.label, line.label),
            "" if line.seed is None else str(line.seed),
            line.status,
            *(f"{line.values[name]:.{decimals}f}" if name in line.values else "" for name in eval_sets),
            "" if line.train_s is None else _minutes(line.train_s / 60),
            line.device,
            line.reason,
        )
        for line in report.trials
    ]
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows) or columns[i].name in ("recipe", "status")]
    failed = sum(line.status != "ok" for line in report.trials)
    ended = f"{failed} without a result, which no number includes" if failed else "all with a result"
    return Sheet(
        caption=f"{len(rows)} trials, {ended}.",
        columns=tuple(columns[i] for i in kept),
        rows=tuple(tuple(row[i] or "–" for i in kept) for row in rows),
    )


def _minutes(minutes: float) -> str:
    return f"{minutes:.2f}" if minutes < 1 else f"{minutes:.1f}" if minutes < 100 else f"{minutes:.0f}"
