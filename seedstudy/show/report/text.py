"""A report as text: Markdown, LaTeX or Typst."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedstudy.show.cite import checklist, cite
from seedstudy.show.comparison import comparison_view
from seedstudy.show.report.card import model_index
from seedstudy.show.report.page import recipe_sheets, trial_sheet
from seedstudy.show.sheet import FORMATS
from seedstudy.show.summary import summary_view

if TYPE_CHECKING:
    from seedstudy.decide.report import Report

_MOST_ROWS = 40
_KINDS = {".md": "md", ".tex": "tex", ".typ": "typst"}


def report_text(report: Report, suffix: str) -> str:
    """Return the report's verdicts, tables and notes in the language of a suffix (.md, .tex or .typ)."""
    draw = FORMATS[_KINDS[suffix]]
    summary = summary_view(report.summaries.answers, more="see the HTML report")
    trials = trial_sheet(report)
    sheets = [*summary.sheets, *recipe_sheets(report)]
    # A table of LaTeX or Typst is one page at most.
    is_too_long = suffix != ".md" and len(trials.rows) > _MOST_ROWS
    sheets += [] if is_too_long else [trials]
    lines = [f"# {report.title}"]
    if report.comparisons is not None:
        view = comparison_view(report.comparisons, more="see the HTML report")
        lines += [headline.text for headline in view.headlines]
        lines += [*view.next_steps, *([f"`{view.command}`"] if view.command else []), *view.sentences, view.method]
        lines += view.caution_lines()
        lines.append(f"To cite: {cite(report.comparisons)}")
        sheets = [*view.sheets, *sheets]
    lines += [
        f"For a conference checklist: {checklist(report.summaries, report.comparisons)}",
        f"To repeat this: `{report.command}`" if report.command else "Made in Python from numbers in memory.",
    ]
    if is_too_long:
        lines.append(f"{trials.caption} The reports as .html and .md list them.")
    if suffix == ".md":
        card = f"For a model card:\n\n```yaml\n{model_index(report.summaries)}```\n"
        return "\n\n".join([*lines, *map(draw, sheets), card])
    comment = {".tex": "% ", ".typ": "// "}[suffix]
    return "\n".join([*(comment + " ".join(line.split()) for line in lines), "", *map(draw, sheets)])
