"""Answers for people who read pages: one report on everything that was asked."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy.api.shared import arms_of_call, flat, source_of, summaries_of, with_sources
from seedstudy.arguments import public
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.compare import Comparisons
    from seedstudy.decide.given import Given
    from seedstudy.decide.report import Report
    from seedstudy.study.group import Group

REPORTS = (".html", ".md", ".tex", ".typ")


@public
def report(
    *what: Given,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    level: float = 0.95,
    lower_is_better: bool | None = None,
    title: str | None = None,
    **arms: Given,
) -> Report:
    """Return a report: the verdicts on every further recipe against the first, and all that they rest on.

    `what` as in :func:`compare`; nothing: the whole study, whose first recipe is the baseline unless it declared one.
    :func:`save_report` writes it. StudyError where nothing has a result.
    """
    from seedstudy.decide.compare import judge, rule_for
    from seedstudy.decide.images import OnImages
    from seedstudy.decide.looks import race_command, with_looks
    from seedstudy.decide.report import report_of
    from seedstudy.decide.select import select, select_by_data, with_distinct_labels

    source = source_of(locals())
    asked = arms_of_call(what, arms, report, source)
    summaries = summaries_of(asked, source, level=level)
    comparisons = None
    by_data = select_by_data(asked, source) if len(asked) > 1 else []
    if by_data:  # results on a data set that not all arms have are no part of the answer
        labels = {_key(group): group.label for group in flat(flat(by_data))}
        kept = [each for each in summaries if _key(each.group) in labels]
        named = [replace(each, group=replace(each.group, label=labels[_key(each.group)])) for each in kept]
        summaries = replace(summaries, answers=tuple(named))
    else:
        found = with_distinct_labels(select(asked, source))
        by_data = _recipes_of_each_data_set(flat(found), source.declared_baseline)
    if by_data and len(by_data[0]) > 1:
        groups = flat(flat(by_data))
        rule = rule_for(groups, margin=margin, alpha=alpha, level=level, lower_is_better=lower_is_better, images=None)
        judged = judge(by_data, rule, images=OnImages(source, is_needed=rule.images == "new"))
        judged = with_looks(judged, source.studies)
        judged = replace(judged, race=race_command(judged, [arm.words for arm in asked], source))
        comparisons = with_sources(judged, source, groups, margin=margin)
    words = [arm.words for arm in asked]
    options = [*source.options(), *(["--pool"] if pool else [])]
    options += ["--eval", ",".join(source.eval_sets)] if source.eval_sets else []
    for option, value, usual in (("--margin", margin, None), ("--alpha", alpha, 0.05), ("--level", level, 0.95)):
        options += [] if value is None or value == usual else [option, f"{value:g}"]
    options += [] if lower_is_better is None else ["--lower-is-better" if lower_is_better else "--higher-is-better"]
    options += [] if title is None else ["--title", title]
    # Numbers in memory have no words on a command line.
    command = shlex.join(["seedstudy", "report", *words, *options, "-o", "report.html"]) if all(words) else ""
    name = title or " against ".join(reversed([str(arm) for arm in asked])) or f"Study {study}"
    if title is None and len(asked) == 1 and comparisons is not None:
        name = f"{_in_words(comparisons)}: {name}"
    return report_of(summaries, comparisons, source, title=name, command=command)


def _in_words(comparisons: Comparisons) -> str:
    """Return "a2 against a3", or how many recipes are compared with it."""
    from seedstudy.show.view import short_labels

    pairs = comparisons.pairs
    names, _ = short_labels([label for pair in pairs for label in pair])
    baselines = {a for a, _ in pairs}
    if len(baselines) > 1:
        return f"{len(pairs)} comparisons"
    (baseline,) = baselines
    others = names[pairs[0][1]] if len(pairs) == 1 else f"{len(pairs)} recipes"
    return f"{others} against {names[baseline]}"


def _key(group: Group) -> tuple[object, ...]:
    return group.origin, group.recipe, group.model, group.data, group.eval_set, group.pool_key


def _recipes_of_each_data_set(groups: Sequence[Group], baseline: str | None) -> list[list[list[Group]]]:
    """Return the recipes of each data set that has two or more, each with its groups, the declared baseline first."""
    by_data: dict[object, dict[object, list[Group]]] = {}
    for group in groups:
        by_data.setdefault(group.data, {}).setdefault((group.label, group.pool_key), []).append(group)
    found = [sorted(arms.values(), key=lambda arm: arm[0].recipe != baseline) for arms in by_data.values()]
    return [arms for arms in found if len(arms) > 1]


def save_report(answer: Report, path: str | Path) -> None:
    """Write a report as .html, .md, .tex or .typ: the whole file or none.

    Raises
    ------
    StudyError
        Another suffix, or a file that cannot be written.

    """
    from seedstudy.files import write_atomically
    from seedstudy.show.report.page import report_page
    from seedstudy.show.report.text import report_text

    path = Path(path)
    check_report(path)
    text = report_page(answer) if path.suffix.lower() == ".html" else report_text(answer, path.suffix.lower())
    try:
        write_atomically(path, text.encode(), is_durable=False)
    except OSError as error:
        raise StudyError(f"{path}: the report cannot be written ({error.strerror}); choose another place.") from error


def check_report(path: Path) -> None:
    """Refuse the path of a report before anything is computed; StudyError."""
    if path.suffix.lower() not in REPORTS:
        raise StudyError(f"{path}: a report's name ends in {', '.join(REPORTS[:-1])} or {REPORTS[-1]}.")
    if not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")
