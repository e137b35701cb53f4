"""A sentence for a paper, and the answer to a checklist's item on error bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

from seedstudy.errors import StudyError
from seedstudy.machine import version
from seedstudy.show.format import COLOURS, ends, percent, with_interval
from seedstudy.show.view import short_labels, short_names
from seedstudy.stats.result import decimals_for, decimals_of, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.across import AcrossData
    from seedstudy.decide.audit import Audit
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.grid import Grids
    from seedstudy.decide.plan import PowerPlan
    from seedstudy.decide.race import Race
    from seedstudy.decide.scaling import Scaling
    from seedstudy.decide.summary import Fits, Summaries
    from seedstudy.decide.variance import Variances
    from seedstudy.decide.which_images import WhichImages
    from seedstudy.stats.result import Estimate

_MOST_SENTENCES = 2
"""So many comparisons have a sentence each; more share one, with what they have in common once."""
_MOST_NAMED = 20
"""Differences of one verdict that are named."""


def cite(answer: Any) -> str:
    """Return what a paper may say of an answer, with numbers of seeds, intervals, test and version."""
    ways: dict[str, Callable[[Any], str]] = {
        "Comparisons": _comparisons,
        "AcrossData": _across_data,
        "Grids": _grids,
        "Summaries": _summaries,
        "Race": _race,
        "PowerPlan": _plan,
        "Audit": _audit,
        "Scaling": _scaling,
        "Fits": _fits,
        "Variances": _variances,
        "WhichImages": _images,
    }
    name = type(answer).__name__
    if name not in ways:
        raise StudyError(f"--cite: {name} has no sentence for a paper.")
    return f"{ways[name](answer)} Computed with seedstudy {version()}."


def _comparisons(comparisons: Comparisons) -> str:
    groups = [group for answer in comparisons.answers for group in (answer.a, answer.b)]
    names, common = short_names(groups)
    deciding = [answer for answer in comparisons.answers if answer.is_primary]
    if len(deciding) > _MOST_SENTENCES:
        return _many_comparisons(deciding, names, common)
    sentences = []
    for answer in deciding:
        c, difference = answer.comparison, answer.interval_adjusted
        decimals = decimals_of(difference)
        seeds = f"{c.n_a} seeds each" if c.n_a == c.n_b else f"{c.n_a} and {c.n_b} seeds"
        unit = " percentage points" if answer.a.unit == "pp" else ""
        test = "paired t test" if c.paired else "Welch's t test"
        margin = "" if answer.rule.margin is None else f", margin {answer.rule.margin:g}{unit} declared"
        interval = f"{percent(difference.level)} CI {ends(difference.low, difference.high, decimals)}"
        of_data = f" of {answer.a.data}" if len({each.a.data for each in deciding}) > 1 else ""
        p = p_equals(answer.p_adjusted)
        adjusted = f" adjusted for {answer.n_family} comparisons" if answer.n_family > 1 else ""
        sentences.append(
            f"{names[answer.b.label]} differs from {names[answer.a.label]} by {difference.value:+z.{decimals}f}{unit} "
            f"on {answer.a.eval_set}{of_data} ({interval}; {seeds}; {test}, {p}{adjusted}{margin}): "
            f"{answer.verdict.word}"
        )
    return f"{'. '.join(sentences)}{_place(common)}."


def _many_comparisons(answers: Sequence[Answer], names: Mapping[str, str], common: Sequence[str]) -> str:
    """Return one sentence: what all comparisons share once, then each difference by its verdict."""
    some, level = answers[0], answers[0].comparison.level
    counts = sorted({n for answer in answers for n in (answer.comparison.n_a, answer.comparison.n_b)})
    seeds = f"{counts[0]} seeds each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds each"
    unit = " in percentage points" if some.a.unit == "pp" else ""
    baselines, data = {answer.a.label for answer in answers}, {answer.a.data for answer in answers}
    against = f"against {names[some.a.label]}, " if len(baselines) == 1 else ""
    facts = [
        seeds,
        "paired t tests" if some.comparison.paired else "Welch's t tests",
        f"verdicts and {percent(level)} CI adjusted for {max(answer.n_family for answer in answers)} comparisons",
        *([f"margin {some.rule.margin:g}"] if some.rule.margin is not None else []),
    ]
    by_word: dict[str, list[Answer]] = {word: [] for word in COLOURS}
    for answer in answers:
        by_word[answer.verdict.word].append(answer)
    parts = []
    for word, members in by_word.items():
        shown = [_difference(answer, names, baselines, data) for answer in members[:_MOST_NAMED]]
        more = [f"{len(members) - len(shown)} more"] if len(members) > len(shown) else []
        if shown:
            parts.append(f"{word}: {', '.join((*shown, *more))}")
    sets = " and ".join(dict.fromkeys(answer.a.eval_set for answer in answers))
    head = f"Differences on {sets}{unit}{_place(common)}, {against}{', '.join(facts)}"
    return f"{head}: {'; '.join(parts)}."


def _difference(answer: Answer, names: Mapping[str, str], baselines: Set[str], data: Set[str | None]) -> str:
    """Return "B +0.31 [0.13, 0.49]"; with the baseline and the data set where comparisons differ in them."""
    difference = answer.interval_adjusted
    decimals = decimals_of(difference)
    name = names[answer.b.label] + (f" - {names[answer.a.label]}" if len(baselines) > 1 else "")
    name += f" on {answer.a.data}" if len(data) > 1 else ""
    interval = f" {ends(difference.low, difference.high, decimals)}" if difference.has_interval else ""
    return f"{name} {difference.value:+z.{decimals}f}{interval}"


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
        shown = f"{look.difference:+z.{decimals}f}{unit}, {percent(pair.confidence)} repeated CI"
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


def _across_data(answer: AcrossData) -> str:
    parts = [_comparisons(answer.comparisons)]
    for each in answer.pooled:
        if each.pooled is None:
            continue
        difference, unit = each.pooled.difference, " percentage points" if each.unit == "pp" else ""
        decimals = decimals_of(difference)
        parts.append(
            f"Over {len(each.data_sets)} data sets {each.b} differs from {each.a} by {difference.value:+z.{decimals}f}"
            f"{unit} on {each.eval_set} ({percent(difference.level)} CI "
            f"{ends(difference.low, difference.high, decimals)}, {p_equals(each.pooled.p_value)})."
        )
    return " ".join(parts)


def _grids(grids: Grids) -> str:
    grid, unit = grids[0].grid, " in percentage points" if grids[0].unit == "pp" else ""
    parts = []
    for answer in grids:
        sizes = [f"{name} {_std(size)}" + ("" if p is None else f" ({p_equals(p)})") for name, size, p in answer.rows()]
        parts.append(f"on {answer.eval_set} {', '.join(sizes)}")
    return (
        f"Typical size (root mean square, {percent(grid.level)} CI{unit}) over {len(grid.architectures)} architectures "
        f"and {len(grid.recipes)} recipes, {grid.n_seeds} trainings: {'; '.join(parts)}."
    )


def _audit(audit: Audit) -> str:
    parts = []
    for column in audit.columns:
        n_pairs, decided, *_ = audit.counts(column.pairs).values()
        what = "steps" if column.is_ladder else "pairs of rows"
        parts.append(f"{column.column} {decided} of {n_pairs} {what} (std {column.sd:.3g})")
    source = "" if audit.noise.source == "given" else f" Std over seeds: {audit.noise.source}."
    return (
        f"Differences in {audit.table.name} that exceed seed noise (each number: {audit.cells}; alpha "
        f"{audit.alpha:g}, adjusted by Holm): {'; '.join(parts)}.{source}"
    )


def _scaling(answer: Scaling) -> str:
    claims = "; ".join(f"{each.claim}: {each.verdict} ({each.reason})" for each in answer.claims)
    unit = " percentage points" if answer.unit == "pp" else ""
    counts = sorted({cell.n for cell in answer.cells})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    noun = "seed" if counts[-1] == 1 else "seeds"
    return (
        f"Error against {answer.cost} of {len(answer.cells)} networks with {seeds} {noun} each, std over seeds "
        f"{answer.noise.sd:.3g}{unit}: {claims}."
    )


def _fits(fits: Fits) -> str:
    names, common = short_names([each.group for each in fits])
    parts = []
    for each in fits:
        mean, std, group = each.summary.description.mean, each.summary.description.std, each.group
        decimals, unit = decimals_of(mean), " %" if group.unit == "pp" else ""
        tests = ", ".join(f"{test.test} {p_equals(test.p_value)}" for test in each.fit.normality)
        parts.append(
            f"{names[group.label]} on {group.eval_set} {mean.value:.{decimals}f} ± {std.value:.{decimals}f}{unit}, "
            f"n = {group.n}, normality {each.normality}{f' ({tests})' if tests else ''}"
        )
    return f"Mean ± std over seeds{_place(common)}: {'; '.join(parts)}."


def _variances(answer: Variances) -> str:
    parts = []
    for design in answer.designs:
        of = f"{design.group.label} on {design.group.eval_set}, {design.n_trials} trainings"
        sources = ", ".join(f"{' x '.join(part.sources) or 'repetitions'} {_std(part.std)}" for part in design.parts)
        parts.append(f"{of}: {sources}")
    for subset in answer.subsets:
        group = subset.group
        parts.append(f"{group.label} on {group.eval_set}, n = {group.n}: {'+'.join(subset.vary)} {_std(subset.std)}")
    parts += [
        f"{each.group.label} on {each.group.eval_set}, n = {each.group.n}: {_std(each.std)} on these "
        f"{each.n_images:,} images, {_std(each.std_on_endless_images)} on endless images"
        for each in answer
    ]
    return f"Std over seeds{' in percentage points' if _is_in_points(answer) else ''}: {'; '.join(parts)}."


def _is_in_points(answer: Variances) -> bool:
    return all(each.group.unit == "pp" for each in (*answer.designs, *answer.subsets, *answer))


def _std(std: Estimate) -> str:
    return with_interval(std, decimals_of(std) if std.has_interval else 2)


def _images(answer: WhichImages) -> str:
    names, common = short_names(answer.groups)
    parts = [
        f"{names[arm.arm]} has {100 * arm.always / answer.n_images:.1f}% of them right in all {arm.n_seeds} seeds and "
        f"{100 * arm.never / answer.n_images:.1f}% in none"
        for arm in answer.arms
    ]
    parts += [
        f"{names[pair.b]} is right more often than {names[pair.a]} on {pair.more} images and less often on {pair.less} "
        f"(false discovery rate {answer.fdr:g})"
        for pair in answer.pairs
    ]
    return f"Of {answer.n_images:,} images of {answer.eval_set}{_place(common)}: {'; '.join(parts)}."


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
