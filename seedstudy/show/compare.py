"""What `compare` prints: the comparisons, `--grid` and `--across-data`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.decide.looks import may_look_again
from seedstudy.decide.verdict import BORDERLINE
from seedstudy.show.comparison import comparison_view
from seedstudy.show.format import (
    UNKNOWN,
    cases,
    ci_heading,
    column,
    common_decimals,
    interval,
    mean_and_std,
    notes,
    percent,
    seeds_of,
    small_print,
    verdict_line,
    with_interval,
)
from seedstudy.show.sheet import Sheet, sheet
from seedstudy.show.view import Headline, View, short_cautions
from seedstudy.stats.result import decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.across import AcrossData, CombinedAnswer, RankedAnswer
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.grid import GridAnswer
    from seedstudy.decide.looks import Looks
    from seedstudy.stats.result import Estimate


# --- B against A ----------------------------------------------------------------------------------------


def comparison_tables(comparisons: Comparisons, *, with_details: bool = False) -> RenderableType:
    """Render the verdict in a sentence and the numbers; with details also reasons, tests and every caution in full."""
    view = comparison_view(comparisons)
    if not with_details:
        return view
    answers = comparisons.answers
    return Group(
        replace(view, next_steps=(), command=None, sentences=(), method="", cautions=()),
        Text(),
        *_overall_in_words(comparisons),
        *_verdicts_in_words(comparisons),
        Text(),
        *_readings(comparisons),
        *_how_it_was_compared(answers),
        *_look_again(comparisons),
        *_details(answers),
        *notes((_about(answer, comparisons), _notes(answer)) for answer in answers),
    )


def _notes(answer: Answer) -> list[str]:
    """Return what is not said with the verdict."""
    found = [*answer.warnings, *answer.doubts]
    if answer.p_value_if_standard_error is not None:
        p = p_equals(answer.p_value_if_standard_error)
        found.append(f"a published ± is taken as the std over seeds; as a standard error it would give {p}")
    return [text for text in found if not text.startswith(BORDERLINE)]


def _pair(answer: Answer) -> str:
    return f"{answer.b.label} against {answer.a.label}"


def _about(answer: Answer, comparisons: Comparisons) -> str:
    """Return what distinguishes an answer from the others: its pair, eval set and data set."""
    about = [_pair(answer)] if len(comparisons.pairs) > 1 else []
    about += [answer.a.eval_set]
    about += [str(answer.a.data)] if _is_by_data(comparisons) else []
    return ", ".join(about)


def _is_by_data(comparisons: Comparisons) -> bool:
    return len({answer.a.data for answer in comparisons.answers}) > 1


def _verdicts_in_words(comparisons: Comparisons) -> Iterator[Text]:
    for answer in comparisons.answers:
        about, verdict = _about(answer, comparisons), answer.verdict
        sentences = [*verdict.reasons, *_one_seed_of_each(answer)]
        yield verdict_line(about, verdict.word, ". ".join(sentences) + ".")
        for text in answer.warnings:
            if text.startswith(BORDERLINE):
                yield Text(f"{about}: {text}.", style="yellow")
        if answer.looks is not None:
            yield Text(f"{about}: {_looks_in_words(answer, answer.looks)}", style="yellow")


def _looks_in_words(answer: Answer, looks: Looks) -> str:
    """Say which look this is, what looking again does to the error, and what holds at every look."""
    alpha, any_time = answer.rule.alpha, looks.anytime
    earlier = [
        f"{seeds_of(*n)} seeds ({verdict}, {at[:10]})"
        for n, at, verdict in zip(looks.n, looks.at, looks.verdicts, strict=True)
    ]
    before = ", ".join(earlier[-3:])
    more = f"{len(earlier) - 3} more and " if len(earlier) > 3 else ""
    words = (
        f"look {len(earlier) + 1}, after {more}{before}. If they were equally good, one of so many looks at "
        f"p < {alpha:g} would show a difference in {100 * looks.error:.2g} of 100 cases, not {100 * alpha:g}. "
    )
    if not math.isfinite(any_time.low):
        return words + "These are too few seeds for an interval that holds at every look."
    is_clear = any_time.low > 0.0 or any_time.high < 0.0
    decimals = decimals_of(any_time)
    return words + (
        f"{ci_heading(any_time.level)} that holds at every look: {interval(any_time, decimals)}, "
        f"{'without' if is_clear else 'with'} 0."
    )


def _look_again(comparisons: Comparisons) -> Iterator[Text]:
    """Say what looking again costs where something is inconclusive, and give the command that does it rightly."""
    if not any(map(may_look_again, comparisons.answers)):
        return
    words = (
        "Looking again after more seeds spends alpha: repeated until something shows, tests at 0.05 found a difference "
        "between equal recipes in 11 of 100 cases."
    )
    if comparisons.race is None:
        yield small_print(words + " Decide on the number of seeds first, or use `seedstudy race`.")
        return
    yield small_print(words + " This command keeps alpha over all looks, now and after further seeds:")
    # Not wrapped: it is to be copied.
    yield Text("  " + comparisons.race, no_wrap=True, overflow="ignore")


def _readings(comparisons: Comparisons) -> Iterator[RenderableType]:
    """Render each difference three ways, unadjusted; nothing without predictions."""
    answers = [x for x in comparisons.answers if x.reading is not None and x.comparison.networks is None]
    if not answers:
        return
    decimals = common_decimals([x.reading.on_new_images for x in answers if x.reading is not None])
    rows, changes = [], []
    for answer in answers:
        reading = answer.reading
        assert reading is not None
        about = _about(answer, comparisons)
        these = UNKNOWN if reading.on_these_images is None else interval(reading.on_these_images, decimals)
        errors = [
            UNKNOWN if error is None else f"{error:.{decimals}f}"
            for error in (reading.error_of_seeds, reading.error_of_images)
        ]
        new = interval(reading.on_new_images, decimals)
        rows.append((about, these, new, format_p(reading.on_new_images_p), *errors))
        if reading.change is not None and reading.change_p is not None:
            changed = with_interval(reading.change, decimals_of(reading.change), sign="+")
            changes.append(f"{about} beside {reading.beside}: {changed}, {p_equals(reading.change_p)}.")
    level = percent(answers[0].comparison.level)
    yield Text()
    yield sheet(
        ["B - A"],
        ["these images", "new images", "p", "se seeds", "se images"],
        rows,
        caption=f"unadjusted {level} intervals",
    )
    yield from map(Text, changes)
    yield Text()


def _one_seed_of_each(answer: Answer) -> Iterator[str]:
    """Say how often one new seed of B beats one of A; nothing where no seed differs from another."""
    prob = answer.verdict.prob_b_better
    if answer.comparison.method in ("permutation", "mcnemar"):
        return
    share = cases(prob.value)
    words = f"One new seed of {answer.b.label} beats one of {answer.a.label} in {share} of 100 cases"
    if answer.comparison.paired:
        words = f"With one new seed for both, {answer.b.label} beats {answer.a.label} in {share} of 100 cases"
    if prob.has_interval:
        low, high = cases(prob.low), cases(prob.high)
        words += f" ({ci_heading(prob.level)} {low if low == high else f'{low} to {high}'})"
    yield words


def _overall_in_words(comparisons: Comparisons) -> Iterator[Text]:
    for (a, b), overall in comparisons.overall().items():
        yield verdict_line(f"{b} against {a}, all eval sets", overall.word, "; ".join(overall.reasons) + ".")


def _how_it_was_compared(answers: Sequence[Answer]) -> Iterator[Text]:
    """Name the test, the rule, what was adjusted for what, and how the pairs correlate."""
    rule, unit = answers[0].rule, answers[0].a.unit
    margin = "no margin declared (--margin): nothing can be called equivalent"
    if rule.margin is not None:
        margin = f"margin ±{rule.margin:g}{' points' if unit == 'pp' else ''}"
    c = answers[0].comparison
    test = "Paired t" if c.paired else "Welch t"
    test = test if c.image_error is None else f"{test} over seeds and images"
    line = f"{test}, alpha {rule.alpha:.2g}, {margin}; ± is the std over seeds (n - 1)"
    if c.networks is not None:
        line = f"McNemar's mid-p, interval by Tango, alpha {rule.alpha:.2g}, {margin}"
    if not math.isclose(rule.level, 1.0 - rule.alpha):
        line += f"; intervals at {percent(rule.level)} decide nothing"
    yield small_print(line + ".")
    yield from (small_print(line) for line in _families(answers))
    for answer in answers:
        r = answer.comparison.correlation
        if r is not None:
            yield small_print(f"{answer.a.eval_set}: paired by seed, correlation r = {with_interval(r, 2)}.")


_ADJUSTED = {
    "bonferroni": "p and intervals adjusted by Bonferroni, all intervals hold together",
    "max-t": "p and intervals adjusted by max-T, all intervals hold together",
    "holm": "p adjusted by Holm, each interval at the level of its step: they do not hold together",
}


def _families(answers: Sequence[Answer]) -> Iterator[str]:
    """Say which comparisons are adjusted together, and how."""
    for is_primary in (True, False):
        family = [answer for answer in answers if answer.is_primary == is_primary]
        if not family or family[0].n_family < 2:
            continue
        sets = " and ".join(dict.fromkeys(answer.a.eval_set for answer in family))
        role = "which decides" if is_primary else "which supports it" if len(sets) == 1 else "which support it"
        yield f"{len(family)} comparisons on {sets}, {role}: {_ADJUSTED[family[0].correction]}."
    if answers[0].correction == "none" and len(answers) > 1 and all(answer.n_family == 1 for answer in answers):
        n_sets = len({answer.a.eval_set for answer in answers})
        if len(answers) > n_sets or n_sets > 2:
            yield f"{len(answers)} comparisons, not adjusted for their number: a false finding among them is likelier."


def _details(answers: Sequence[Answer]) -> Iterator[RenderableType]:
    """Render what decides nothing: medians, one new seed, spreads, ranks."""
    doubts = []
    for answer in answers:
        rows = []
        for what, estimate, decimals, p in _detail_rows(answer):
            if estimate is not None or p is not None:
                value = "" if estimate is None else with_interval(estimate, decimals)
                rows.append((what, value, "" if p is None else format_p(p)))
            if estimate is not None:
                doubts.append((f"{answer.b.label}, {answer.a.eval_set}", estimate.warnings))
        heads = [f"value, {percent(answer.comparison.level)} interval", "p"]
        yield Text()
        yield sheet([f"{_pair(answer)}, {answer.a.eval_set}"], heads, rows)
        yield Text()
    yield small_print("None of these details decides, and their p-values are not adjusted for one another.")
    yield from notes(doubts)


def _detail_rows(answer: Answer) -> Iterator[tuple[str, Estimate | None, int, float | None]]:
    """Yield name, value, decimals of the value, and p; a row without a value and a p is not shown."""
    c, details = answer.comparison, answer.details
    decimals = decimals_of(c.difference)
    if details is not None:
        yield "median of A", details.median_a, decimals, None
        yield "median of B", details.median_b, decimals, None
        yield "one new seed of A", details.new_seed_a, decimals, None
        yield "one new seed of B", details.new_seed_b, decimals, None
        yield "B - A: Hodges-Lehmann, Mann-Whitney", details.hodges_lehmann, decimals, details.mann_whitney_p
        yield "B - A: signed ranks (Wilcoxon)", None, decimals, details.wilcoxon_p
        yield "P(B > A) by ranks; is 1/2: Brunner-Munzel", details.prob_b_greater_by_ranks, 2, details.brunner_munzel_p
        yield "std of B / std of A: Brown-Forsythe", details.sd_ratio, 2, details.brown_forsythe_p
    yield "B - A: relabelled seeds", None, decimals, c.permutation_p
    yield "B - A in std: Hedges' g", c.hedges_g, 2, None
    yield "B not worse than A by the margin", None, decimals, answer.verdict.non_inferiority_p


# --- architectures x recipes ----------------------------------------------------------------------------


def grid_tables(answers: Sequence[GridAnswer]) -> View:
    """Return per eval set the means of all cells, and how large each difference is beside the seed noise."""
    return View(
        headlines=tuple(Headline(text=_grid_in_words(answer)) for answer in answers),
        sheets=tuple(part for answer in answers for part in _grid(answer)),
        method=(
            "Typical size: root mean square of the differences between architectures (recipes, or what is left of "
            "both), freed of seed noise; ANOVA-type statistic, spreads may differ. p and intervals of differences by "
            "Bonferroni."
        ),
        cautions=short_cautions((answer.eval_set, answer.warnings) for answer in answers),
    )


def _grid_in_words(answer: GridAnswer) -> str:
    grid = answer.grid
    noise, decimals = grid.seed_noise.value, decimals_of(grid.seed_noise)
    largest = max(grid.sources, key=lambda source: source.spread.value)
    words = f"{answer.eval_set}: seeds of one cell scatter by {noise:.{decimals}f} (std)"
    if noise > 0.0:
        words += f"; the {largest.name} difference is {largest.spread.value / noise:.1f} times that"
    if answer.has_interaction:
        return words + "; recipes help some architectures more than others."
    return words + "; nothing shows that a recipe helps one architecture more than another."


def _grid(answer: GridAnswer) -> Iterator[Sheet]:
    grid, unit = answer.grid, " in points" if answer.unit == "pp" else ""
    decimals, level = decimals_of(grid.seed_noise), percent(grid.level)
    counts = {
        answer.mean_std_n(architecture, recipe)[2] for architecture in grid.architectures for recipe in grid.recipes
    }
    has_n = len(counts) > 1

    def cell(architecture: str, recipe: str) -> str:
        mean, std, n = answer.mean_std_n(architecture, recipe)
        return mean_and_std(mean, std, decimals) + (f" ({n})" if has_n else "")

    yield sheet(
        [answer.eval_set],
        grid.recipes,
        [(each, *(cell(each, recipe) for recipe in grid.recipes)) for each in grid.architectures],
        caption=f"mean ± std over seeds{unit}, {'(n)' if has_n else f'{counts.pop()} seeds each'}",
    )
    sizes = column([size for _, size, _ in answer.rows()], decimals)
    yield sheet(
        ["what"],
        ["typical size", "p"],
        [
            (name, size, UNKNOWN if p is None else format_p(p))
            for (name, _, p), size in zip(answer.rows(), sizes, strict=True)
        ],
        caption=f"{answer.eval_set} · [{level} intervals]{unit}",
    )
    rows = []
    for d in grid.differences:
        others = "recipes" if d.factor == "architecture" else "architectures"
        numbers = f"{d.difference.value:+z.{decimals}f}", interval(d.difference, decimals), format_p(d.p_adjusted)
        rows.append((f"{d.b} against {d.a}, over all {others}", *numbers))
    yield sheet(["difference"], ["B - A", f"{level}, together", "p adj."], rows)


# --- across data sets -----------------------------------------------------------------------------------


def across_data_tables(answer: AcrossData) -> View:
    """Return the comparisons on each data set, and what they say together."""
    view = comparison_view(answer.comparisons)
    return replace(
        view,
        sheets=(*view.sheets, *(_ranked(ranked) for ranked in answer.ranked)),
        sentences=(*view.sentences, *map(_pooled, answer.pooled), *map(_ranks_in_words, answer.ranked)),
        cautions=(
            *view.cautions,
            *short_cautions((pooled.eval_set, pooled.pooled.warnings) for pooled in answer.pooled if pooled.pooled),
            *short_cautions((ranked.eval_set, ranked.ranking.warnings) for ranked in answer.ranked),
        ),
    )


def _pooled(answer: CombinedAnswer) -> str:
    line = f"{answer.b} against {answer.a}, {answer.eval_set}, {len(answer.data_sets)} data sets: "
    p = answer.pooled
    if p is None:
        return line + "fewer than three cannot be pooled; read them one by one."
    decimals = decimals_of(p.difference)
    ci = ci_heading(p.difference.level)
    text = (
        f"{line}the true difference varies between data sets with a std of {with_interval(p.tau, decimals)} "
        f"({p_equals(p.heterogeneity_p)} for none); on one more such data set it lies in "
        f"{interval(p.new_data_set, decimals)} (prediction, {ci}). Mean over these data sets "
        f"{p.difference.value:+z.{decimals}f} {interval(p.difference, decimals)} ({ci}), {p_equals(p.p_value)}"
    )
    if answer.leave_one_out:
        (lowest, low), *_, (highest, high) = sorted(answer.leave_one_out.items(), key=lambda x: x[1].value)
        text += (
            f"; without one of them between {low.value:+z.{decimals}f} (without {lowest}) and "
            f"{high.value:+z.{decimals}f} (without {highest})"
        )
        is_shown = _excludes_zero(p.difference)
        turned = [name for name, left in answer.leave_one_out.items() if _excludes_zero(left) != is_shown]
        if turned:
            change = "no longer excludes 0" if is_shown else "excludes 0"
            text += f"; the interval {change} without {' or without '.join(turned)}"
    return text + "."


def _excludes_zero(estimate: Estimate) -> bool:
    return estimate.low > 0.0 or estimate.high < 0.0


def _ranks_in_words(answer: RankedAnswer) -> str:
    ranks = ", ".join(f"{recipe} {rank:.2g}" for recipe, rank in sorted(answer.mean_ranks.items(), key=lambda x: x[1]))
    return f"{answer.eval_set}, mean rank over {len(answer.data_sets)} data sets (1 is best): {ranks}."


def _ranked(answer: RankedAnswer) -> Sheet:
    """Return each pair's signed-rank test over data sets."""
    rows = [
        (f"{x.b} against {x.a}", f"{x.median_difference:+z.3g}", format_p(x.p_value), format_p(x.p_adjusted))
        for x in answer.ranking.pairs
    ]
    return sheet(
        [f"{answer.eval_set}: B against A"],
        ["median B - A", "p", "p adj."],
        rows,
        notes=(
            "Wilcoxon's signed ranks of the mean differences, one per data set, Holm over the pairs: "
            f"{len(answer.data_sets)} data sets give no p below {format_p(answer.ranking.floor)}.",
        ),
    )
