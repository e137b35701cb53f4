"""A sentence for a paper, and the answer to a checklist's item on error bars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seedstudy.errors import StudyError
from seedstudy.machine import version
from seedstudy.show.format import ends, percent
from seedstudy.show.view import short_labels, short_names
from seedstudy.stats.result import decimals_for, decimals_of, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.compare import Comparisons
    from seedstudy.decide.plan import PowerPlan
    from seedstudy.decide.race import Race
    from seedstudy.decide.summary import Summaries


def cite(answer: Any) -> str:
    """Return what a paper may say of an answer, with numbers of seeds, intervals, test and version."""
    ways: dict[str, Callable[[Any], str]] = {
        "Comparisons": _comparisons,
        "Summaries": _summaries,
        "Race": _race,
        "PowerPlan": _plan,
    }
    name = type(answer).__name__
    if name not in ways:
        raise StudyError(f"--cite: {name} has no sentence for a paper; compare, summary, race and power have.")
    return f"{ways[name](answer)} Computed with seedstudy {version()}."


def _comparisons(comparisons: Comparisons) -> str:
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
    return f"{'. '.join(sentences)}{_place(common)}."


def _place(common: Sequence[str]) -> str:
    return f" ({', '.join(common)})" if common else ""


def _summaries(summaries: Summaries) -> str:
    names, common = short_names([summary.group for summary in summaries])
    parts = []
    for summary in summaries:
        mean, std, group = summary.description.mean, summary.description.std, summary.group
        decimals, unit = decimals_of(mean), " %" if group.unit == "pp" else ""
        spread = f" ± {std.value:.{decimals}f}" if summary.description.n > 1 else ""
        parts.append(f"{names[group.label]} {mean.value:.{decimals}f}{spread}{unit} on {group.eval_set}, n = {group.n}")
    metric = "top-1 accuracy" if summaries[0].group.metric == "top1" else summaries[0].group.metric
    return f"{metric[0].upper()}{metric[1:]}, mean ± std over seeds{_place(common)}: {'; '.join(parts)}."


def _race(race: Race) -> str:
    plan = race.rule.plan
    names, _ = short_labels([label for pair in race.rule.pairs for label in pair])
    unit = " percentage points" if race.rule.unit == "pp" else ""
    parts = []
    for pair in race.pairs:
        about, look = f"{names[pair.b]} against {names[pair.a]}", pair.last
        if look is None:
            parts.append(f"{about}: no look yet")
            continue
        decimals = decimals_for((look.high - look.low) / 2)
        shown = f"{look.difference:+.{decimals}f}{unit}, {percent(pair.confidence)} repeated CI"
        seeds = f"{look.round} seeds each"
        parts.append(f"{about}: {pair.verdict} ({shown} {ends(look.low, look.high, decimals)}; {seeds})")
    how = "a confidence sequence" if plan.method == "anytime" else f"{plan.method} alpha spending"
    return (
        f"Seeds were added until the question was decided on {race.rule.eval_set}, at most {plan.most} per recipe "
        f"({how}, alpha {plan.alpha:g} over all looks). {'; '.join(parts)}."
    )


def _plan(plan: PowerPlan) -> str:
    from seedstudy.show.plan import answer_in_words

    sds = " and ".join(dict.fromkeys(f"{sd:.3g}" for sd in (plan.spread.sd_a, plan.spread.sd_b)))
    words = answer_in_words(plan).removesuffix(".")
    return f"{words} (std over seeds {sds}: {plan.spread.source}; alpha {plan.alpha:g}; {plan.method})."


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
