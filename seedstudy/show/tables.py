"""Words and percent: the tables and footnotes that a person reads. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from seedstudy.recipes.recipe import TABLE_2, Value, format_value
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.summary import FittedGroup, Summary
    from seedstudy.decide.verdict import Word
    from seedstudy.stats.fit import Fit
    from seedstudy.stats.result import Estimate

_STYLE: Mapping[Word, str] = {"better": "green", "worse": "red", "equivalent": "cyan", "inconclusive": "yellow"}
_FEWEST_FOR_A_SHAPE = 10
PIPE_WIDTH = 200
"""Columns where the output is no terminal: wide enough that no row wraps."""


def show(*parts: RenderableType) -> None:
    """Print to stdout, as wide as the terminal, or unwrapped into a pipe."""
    # No markup: a "[" in a file's name is a "[".
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH, markup=False, emoji=False)
    for part in parts:
        console.print(part, highlight=False)


def summary_table(summaries: Sequence[Summary]) -> RenderableType:
    """Render the RSB table: one row per recipe and eval set, each number with its interval."""
    level = summaries[0].description.mean.level
    table = _table("recipe", "eval set")
    for head in ("n", "mean", ci_heading(level), "std", ci_heading(level), "min", "max", "seed 0"):
        table.add_column(head, justify="right")
    for row in summaries:
        d, g = row.description, row.group
        decimals = decimals_of(d.mean)
        rank = row.seed0_rank
        seed0 = "–" if g.seed0 is None else f"{g.seed0:.{decimals}f}"
        if rank is not None:
            seed0 += f" (#{rank.n_above + 1})"
        table.add_row(
            g.label,
            g.eval_set,
            str(d.n),
            f"{d.mean.value:.{decimals}f}",
            interval(d.mean, decimals),
            _number(d.std.value, decimals),
            interval(d.std, decimals),
            f"{d.min:.{decimals}f}",
            f"{d.max:.{decimals}f}",
            seed0,
        )
    unit = "top-1 in %" if summaries[0].group.unit == "pp" else summaries[0].group.metric
    caption = (
        f"{unit}, last epoch; std over seeds (n - 1); CI of the mean by t, of the std by chi-square; # is seed 0's rank"
    )
    return Group(table, Text(caption, style="dim"), *notes((row.group.label, row.warnings) for row in summaries))


def fit_table(groups: Sequence[FittedGroup]) -> RenderableType:
    """Render per eval set what the distribution over seeds looks like, in numbers and in words."""
    parts: list[RenderableType] = []
    for found in groups:
        parts += _fit_parts(found)
    doubts = notes((f"{found.group.label}, {found.group.eval_set}", found.fit.warnings) for found in groups)
    if any(found.fit.families for found in groups):
        parts.append(
            Text(
                "Weight: share of the support that these families get from the seeds (Akaike), not a probability of "
                "being true. p fits: how often seeds drawn from that family would fit it no better (parametric "
                "bootstrap); small means it does not fit. All of it describes; no test is chosen by it.",
                style="dim",
            )
        )
    return Group(*parts, *doubts)


def _fit_parts(found: FittedGroup) -> list[RenderableType]:
    group, fit = found.group, found.fit
    decimals = decimals_of(fit.mean)
    head = Text(f"{group.label}, {group.eval_set}: ", style="bold")
    seeds = "seed" if fit.n == 1 else "seeds"
    head.append(
        f"n = {fit.n} {seeds}, mean {fit.mean.value:.{decimals}f} {interval(fit.mean, decimals)}, "
        f"std {_number(fit.std.value, decimals)} {interval(fit.std, decimals)}, "
        f"skewness {_signed(fit.skewness)}, excess kurtosis {_signed(fit.excess_kurtosis)} "
        f"({ci_heading(fit.mean.level)})",
        style="not bold",
    )
    parts: list[RenderableType] = [head]
    if fit.families:
        table = _table("family", "parameters")
        for column in ("AICc above the best", "weight", "p fits"):
            table.add_column(column, justify="right")
        for family in fit.families:
            params = ", ".join(f"{name} {value:.5g}" for name, value in family.params.items())
            above = f"{family.aicc - fit.families[0].aicc:.1f}"
            table.add_row(family.name, params, above, f"{family.weight:.2f}", p_value(family.gof_p))
        parts.append(table)
    parts.append(Text(_shape_in_words(fit)))
    return parts


def _signed(estimate: Estimate) -> str:
    if not math.isfinite(estimate.value):
        return "–"
    return f"{estimate.value:+.2f}" + ("" if not estimate.has_interval else f" {interval(estimate, 2)}")


def _shape_in_words(fit: Fit) -> str:
    """Say whether the seeds look normal, and which families describe them equally well."""
    if not fit.normality:
        return "All seeds gave the same value: there is no shape to describe."
    tests = ", ".join(f"{test.test} p = {p_value(test.p_value)}" for test in fit.normality)
    smallest = min(test.p_value for test in fit.normality)
    if smallest >= 0.05:
        few = f"{fit.n} seeds hardly show a shape; n" if fit.n < _FEWEST_FOR_A_SHAPE else "N"
        words = f"{few}othing speaks against normal seeds ({tests})"
    elif max(test.p_value for test in fit.normality) < 0.05:
        words = f"The seeds do not look normal ({tests})"
    else:
        words = f"The tests disagree whether the seeds look normal ({tests})"
    close = [family.name for family in fit.families if family.aicc - fit.families[0].aicc < 2.0]
    if len(close) == 1:
        words += f"; {close[0]} describes them best"
    elif close:
        words += f"; equally good descriptions (AICc within 2): {', '.join(close)}"
    return words + "."


def comparison_table(comparisons: Comparisons) -> RenderableType:
    """Render the comparisons and, below, the verdicts in words."""
    answers = comparisons.answers
    level = answers[0].comparison.level
    is_family = any(answer.n_family > 1 for answer in answers)
    by_data = len({answer.a.data for answer in answers}) > 1
    table = _table("B against A", "eval set")
    ci = ci_heading(level) + (", together" if is_family else "")
    for head in ("n", "A: mean ± std", "B: mean ± std", "B - A", ci, "p adjusted" if is_family else "p", "P(B better)"):
        table.add_column(head, justify="right")
    table.add_column("verdict")
    for answer in answers:
        c, v = answer.comparison, answer.verdict
        decimals = decimals_of(c.difference)
        n = str(c.n_a) if c.n_a == c.n_b else f"{c.n_a} | {c.n_b}"
        prob = v.prob_b_better
        table.add_row(
            f"{answer.b.label} against {answer.a.label}" + (f", {answer.a.data}" if by_data else ""),
            answer.a.eval_set,
            n,
            mean_and_sd(c.mean_a, c.sd_a, decimals),
            mean_and_sd(c.mean_b, c.sd_b, decimals),
            f"{c.difference.value:+.{decimals}f}",
            interval(answer.interval_adjusted, decimals),
            p_value(answer.p_adjusted),
            "–" if prob is None else f"{prob.value:.2f} {interval(prob, 2)}",
            Text(v.word, style=_STYLE[v.word]),
        )
    return Group(
        table,
        *(_verdict_in_words(answer, by_pair=len(comparisons.pairs) > 1) for answer in answers),
        *_overall_in_words(comparisons),
        *_letters_in_words(comparisons),
        *_comparison_notes(comparisons),
    )


def mean_and_sd(mean: float, sd: float, decimals: int) -> str:
    """Return "mean ± std"; the mean alone where one seed shows no spread."""
    return f"{mean:.{decimals}f}" + (f" ± {sd:.{decimals}f}" if math.isfinite(sd) else "")


def _verdict_in_words(answer: Answer, *, by_pair: bool) -> Text:
    line = Text(f"{answer.b.label} against {answer.a.label}, " if by_pair else "")
    line.append(f"{answer.a.eval_set}: ")
    line.append(answer.verdict.word, style=_STYLE[answer.verdict.word])
    line.append(": " + "; ".join(answer.verdict.reasons) + ".")
    error = answer.verdict.single_run_error
    if math.isfinite(error):
        often = f"in about {100 * error:.2g} of 100 cases" if error >= 0.005 else "in less than 1 of 200 cases"
        line.append(f" One seed of each would come out in the opposite order {often}.")
    return line


def _overall_in_words(comparisons: Comparisons) -> Iterable[Text]:
    for (a, b), found in comparisons.overall().items():
        line = Text(f"{b} against {a}, all eval sets: ")
        line.append(found.word, style=_STYLE[found.word])
        yield line.append(": " + "; ".join(found.reasons) + ".")


def _letters_in_words(comparisons: Comparisons) -> Iterable[Text]:
    for eval_set, letters in comparisons.letters.items():
        told = ", ".join(f"{label} {found}" for label, found in letters.items())
        yield Text(f"{eval_set}, best first; recipes that share a letter were not told apart: {told}")


def _comparison_notes(comparisons: Comparisons) -> Iterable[Text]:
    answers = comparisons.answers
    margin, unit = answers[0].rule.margin, answers[0].a.unit
    rule = "no margin declared (--margin): nothing can be called equivalent"
    if margin is not None:
        rule = f"margin ±{margin:g}{' points' if unit == 'pp' else ''}"
    test = "paired t" if answers[0].comparison.paired else "Welch t"
    line = f"{test}, alpha {answers[0].rule.alpha:.2g}, {rule}; ± is the std over seeds (n - 1)"
    if any(answer.verdict.prob_b_better for answer in answers):
        line += "; P(B better): how often one new seed of B beats one of A"
    yield Text(line + ".", style="dim")
    yield from (Text(line, style="dim") for line in _family_notes(answers))
    for answer in answers:
        r = answer.comparison.correlation
        if r is not None:
            known = "" if not r.has_interval else f" {interval(r, 2)}"
            yield Text(
                f"{answer.a.eval_set}: paired by seed, correlation r = {_number(r.value, 2)}{known}.", style="dim"
            )
    yield from notes(
        (f"{answer.b.label}, {answer.a.eval_set}", (*answer.warnings, *answer.doubts)) for answer in answers
    )


def _family_notes(answers: Sequence[Answer]) -> Iterable[str]:
    """Say what is adjusted together with what, and how."""
    names = {"holm": "Holm", "max-t": "max-T"}
    for is_primary in (True, False):
        family = [answer for answer in answers if answer.is_primary == is_primary]
        if not family or family[0].n_family < 2:
            continue
        sets = " and ".join(dict.fromkeys(answer.a.eval_set for answer in family))
        what = f"{sets} (decides)" if is_primary else f"{sets} (support it)"
        how = names[family[0].correction]
        yield (
            f"{len(family)} comparisons on {what}: p adjusted by {how}, intervals by Bonferroni (all hold together; "
            f"{how}'s p can be below alpha where such an interval just reaches 0)."
        )
    if answers[0].correction == "none" and len(answers) > 1 and all(answer.n_family == 1 for answer in answers):
        n_sets = len({answer.a.eval_set for answer in answers})
        if len(answers) > n_sets or n_sets > 2:
            yield f"{len(answers)} comparisons, not adjusted for their number: a wrong finding among them is likelier."


def recipe_table(heading: str, values: Mapping[str, Value], sources: Mapping[str, str] | None) -> RenderableType:
    """Render every value of a recipe, with its source where asked for."""
    table = _table("key", "value", *([] if sources is None else ["source"]))
    for key, value in values.items():
        table.add_row(key, format_value(value), *([] if sources is None else [sources.get(key, "")]))
    return Group(Text(heading), table)


def recipe_list(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Render the names of the packaged recipes and what keeps them from being trained as they are."""
    table = _table("recipe", "recipe_id", "title", "gaps")
    for row in rows:
        gaps = [*row["missing"], *(["sizes and more by model"] if row["by_model"] else [])]
        table.add_row(row["name"], row["recipe_id"] or "–", row["title"], ", ".join(gaps))
    return table


def recipe_diff(names: Sequence[str], rows: Iterable[tuple[str, Sequence[Value]]]) -> RenderableType:
    """Render recipes side by side: first the rows of RSB's Table 2, then the keys it has no row for."""
    order = list(TABLE_2)
    table = _table("", "key", *names)
    for key, values in sorted(rows, key=lambda row: order.index(row[0]) if row[0] in TABLE_2 else len(order)):
        cells = ["–" if value is None else format_value(value) for value in values]
        table.add_row(TABLE_2.get(key, ""), "" if key == "updates" else key, *cells)
    return table


def model_list(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Render networks with their train and test sizes; recipes that agree on one share a row."""
    recipes: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        others = ", ".join(f"{key} {format_value(value)}" for key, value in row["values"].items())
        key = (row["model"], str(row["train_size"]), str(row["test_size"]), others)
        recipes.setdefault(key, []).append(row["recipe"])
    table = _table("model", "train px", "test px", "recipes", "its own values")
    for (model, train, test, others), names in recipes.items():
        table.add_row(model, train, test, ", ".join(names), others)
    return table


def status_table(rows: Iterable[Mapping[str, Any]]) -> RenderableType:
    """Render, per recipe and model, how many trials stand where."""
    table = _table("recipe", "model", "data")
    states = ("planned", "queued", "running", "ok", "diverged", "failed", "interrupted", "lost", "damaged")
    for state in states:
        table.add_column(state, justify="right")
    for row in rows:
        counts = [str(row[state]) if row[state] else "·" for state in states]
        table.add_row(row["recipe"], row["model"], row["data"], *counts)
    return table


def plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> RenderableType:
    """Render text cells under column names."""
    table = _table(*columns)
    for row in rows:
        table.add_row(*row)
    return table


def p_value(p: float) -> str:
    """Return a p-value of two digits; never 0."""
    if not math.isfinite(p):
        return "–"
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def ci_heading(level: float) -> str:
    """Return the head of a column of intervals."""
    return f"{100 * level:.6g}% CI"


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "–"


def interval(estimate: Estimate, decimals: int) -> str:
    """Return [low, high], or a dash where nothing is known."""
    if not math.isfinite(estimate.low) and not math.isfinite(estimate.high):
        return "–"
    return f"[{estimate.low:.{decimals}f}, {estimate.high:.{decimals}f}]"


def notes(warnings: Iterable[tuple[str, Iterable[str]]]) -> list[Text]:
    """Return each warning once, with all it applies to."""
    about: dict[str, list[str]] = {}
    for label, texts in warnings:
        for text in texts:
            about.setdefault(text, [])
            if label not in about[text]:
                about[text].append(label)
    return [Text(f"note ({'; '.join(labels)}): {text}", style="dim") for text, labels in about.items()]
