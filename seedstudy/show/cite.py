"""A sentence for a paper, and the answer to a checklist's item on error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedstudy.machine import version
from seedstudy.show.format import ends, percent
from seedstudy.show.view import short_names
from seedstudy.stats.result import decimals_of, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.compare import Comparisons
    from seedstudy.decide.summary import Summaries


def cite(comparisons: Comparisons) -> str:
    """Return what a paper may say of the comparisons that decide, with numbers of seeds, interval, test and version."""
    groups = [group for answer in comparisons.answers for group in (answer.a, answer.b)]
    names, common = short_names(groups)
    sentences = []
    for answer in comparisons.answers:
        if not answer.is_primary:
            continue
        c, difference = answer.comparison, answer.interval_adjusted
        decimals = decimals_of(difference)
        seeds = f"{c.n_a} seeds each" if c.n_a == c.n_b else f"{c.n_a} and {c.n_b} seeds"
        unit = " percentage points" if answer.a.unit == "pp" else ""
        test = "paired t test" if c.paired else "Welch's t test"
        margin = "" if answer.rule.margin is None else f", margin {answer.rule.margin:g}{unit} declared"
        interval = f"{percent(difference.level)} CI {ends(difference.low, difference.high, decimals)}"
        p = p_equals(answer.p_adjusted)
        adjusted = f" adjusted for {answer.n_family} comparisons" if answer.n_family > 1 else ""
        sentences.append(
            f"{names[answer.b.label]} differs from {names[answer.a.label]} by {difference.value:+.{decimals}f}{unit} "
            f"on {answer.a.eval_set} ({interval}; {seeds}; {test}, {p}{adjusted}{margin}): {answer.verdict.word}"
        )
    place = f" ({', '.join(common)})" if common else ""
    return f"{'. '.join(sentences)}{place}. Computed with seedstudy {version()}."


def checklist(summaries: Summaries, comparisons: Comparisons | None) -> str:
    """Return what conference checklists ask of error bars: what varies, how they are computed, what is assumed."""
    counts = sorted({summary.group.n for summary in summaries})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = (
        f"Error bars: variability over {n} random seeds per recipe, of the training alone (fixed test images). "
        "± is the sample standard deviation (n - 1), not the standard error; intervals of means are "
        f"{percent(summaries[0].level)} "
        "confidence intervals by Student's t, which assumes seeds that are close to normally distributed."
    )
    if comparisons is None:
        return text
    rule = comparisons.answers[0].rule
    test = (
        "paired t tests" if comparisons.answers[0].comparison.paired else "Welch's t test, which allows unequal spreads"
    )
    text += f" Differences: {test}, two-sided, alpha {rule.alpha:g}"
    n_family = max(answer.n_family for answer in comparisons.answers)
    return text + (f", adjusted for up to {n_family} comparisons." if n_family > 1 else ".")
