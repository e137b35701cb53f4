"""What `compare` prints: the comparisons, `--grid` and `--across-data`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import (
    COLOURS,
    UNKNOWN,
    chance,
    ci_heading,
    filled_table,
    interval,
    mean_and_std,
    notes,
    percent,
    seeds_of,
    small_print,
    table,
    verdict_line,
    with_interval,
)
from seedstudy.stats.result import decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.across import AcrossData, CombinedAnswer, RankedAnswer
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.grid import GridAnswer
    from seedstudy.stats.result import Estimate


# --- B against A ----------------------------------------------------------------------------------------


def comparison_tables(comparisons: Comparisons, *, with_details: bool = False) -> RenderableType:
    """Render the comparisons, and below them the verdicts in words."""
    answers = comparisons.answers
    is_family = any(answer.n_family > 1 for answer in answers)
    is_by_data = len({answer.a.data for answer in answers}) > 1
    ci = ci_heading(answers[0].comparison.level) + (", together" if is_family else "")
    p = "p adjusted" if is_family else "p"
    rows = table(["B against A", "eval set"], ["n", "A: mean ± std", "B: mean ± std", "B - A", ci, p, "P(B better)"])
    rows.add_column("verdict")
    for answer in answers:
        c, verdict = answer.comparison, answer.verdict
        decimals, prob = decimals_of(c.difference), verdict.prob_b_better
        rows.add_row(
            f"{_pair(answer)}, {answer.a.data}" if is_by_data else _pair(answer),
            answer.a.eval_set,
            seeds_of(c.n_a, c.n_b),
            mean_and_std(c.mean_a, c.sd_a, decimals),
            mean_and_std(c.mean_b, c.sd_b, decimals),
            f"{c.difference.value:+.{decimals}f}",
            interval(answer.interval_adjusted, decimals),
            format_p(answer.p_adjusted),
            UNKNOWN if prob is None else chance(prob),
            Text(verdict.word, style=COLOURS[verdict.word]),
        )
    is_by_pair = len(comparisons.pairs) > 1
    return Group(
        rows,
        *(_verdict_in_words(answer, is_by_pair=is_by_pair, is_by_data=is_by_data) for answer in answers),
        *_overall_in_words(comparisons),
        *_letters_in_words(comparisons),
        *_how_it_was_compared(answers),
        *(_details(answers) if with_details else ()),
        *notes((f"{x.b.label}, {x.a.eval_set}", (*x.warnings, *x.doubts)) for x in answers),
    )


def _pair(answer: Answer) -> str:
    return f"{answer.b.label} against {answer.a.label}"


def _verdict_in_words(answer: Answer, *, is_by_pair: bool, is_by_data: bool) -> Text:
    about = [_pair(answer)] if is_by_pair else []
    about += [answer.a.eval_set] + ([str(answer.a.data)] if is_by_data else [])
    words = "; ".join(answer.verdict.reasons) + "."
    error = answer.verdict.single_run_error
    if error >= 0.005:
        words += f" One seed of each would come out in the opposite order in about {100 * error:.2g} of 100 cases."
    elif error >= 0:
        words += " One seed of each would come out in the opposite order in less than 1 of 200 cases."
    return verdict_line(", ".join(about), answer.verdict.word, words)


def _overall_in_words(comparisons: Comparisons) -> Iterator[Text]:
    for (a, b), overall in comparisons.overall().items():
        yield verdict_line(f"{b} against {a}, all eval sets", overall.word, "; ".join(overall.reasons) + ".")


def _letters_in_words(comparisons: Comparisons) -> Iterator[Text]:
    for eval_set, letters in comparisons.letters.items():
        recipes = ", ".join(f"{label} {letter}" for label, letter in letters.items())
        yield Text(f"{eval_set}, best first; no difference was shown between recipes that share a letter: {recipes}")


def _how_it_was_compared(answers: Sequence[Answer]) -> Iterator[Text]:
    """Name the test, the rule, what was adjusted for what, and how the pairs correlate."""
    margin, unit = answers[0].rule.margin, answers[0].a.unit
    rule = "no margin declared (--margin): nothing can be called equivalent"
    if margin is not None:
        rule = f"margin ±{margin:g}{' points' if unit == 'pp' else ''}"
    test = "paired t" if answers[0].comparison.paired else "Welch t"
    line = f"{test}, alpha {answers[0].rule.alpha:.2g}, {rule}; ± is the std over seeds (n - 1)"
    if any(answer.verdict.prob_b_better for answer in answers):
        line += "; P(B better): how often one new seed of B beats one of A"
    yield small_print(line + ".")
    yield from (small_print(line) for line in _families(answers))
    for answer in answers:
        r = answer.comparison.correlation
        if r is not None:
            yield small_print(f"{answer.a.eval_set}: paired by seed, correlation r = {with_interval(r, 2)}.")


def _families(answers: Sequence[Answer]) -> Iterator[str]:
    """Say which comparisons are adjusted together, and how."""
    names = {"holm": "Holm", "max-t": "max-T"}
    for is_primary in (True, False):
        family = [answer for answer in answers if answer.is_primary == is_primary]
        if not family or family[0].n_family < 2:
            continue
        sets = " and ".join(dict.fromkeys(answer.a.eval_set for answer in family))
        role = "decides" if is_primary else "support it"
        how = names[family[0].correction]
        yield (
            f"{len(family)} comparisons on {sets} ({role}): p adjusted by {how}, intervals by Bonferroni (all hold "
            f"together; {how}'s p can be below alpha where such an interval just reaches 0)."
        )
    if answers[0].correction == "none" and len(answers) > 1 and all(answer.n_family == 1 for answer in answers):
        n_sets = len({answer.a.eval_set for answer in answers})
        if len(answers) > n_sets or n_sets > 2:
            yield f"{len(answers)} comparisons, not adjusted for their number: a false finding among them is likelier."


def _details(answers: Sequence[Answer]) -> Iterator[RenderableType]:
    """Render what decides nothing: medians, one new seed, spreads, ranks."""
    doubts = []
    for answer in answers:
        heads = [f"value, {percent(answer.comparison.level)} interval", "p"]
        shown = table([f"{_pair(answer)}, {answer.a.eval_set}"], heads, is_compact=True)
        for what, estimate, decimals, p in _detail_rows(answer):
            if estimate is not None or p is not None:
                value = "" if estimate is None else with_interval(estimate, decimals)
                shown.add_row(what, value, "" if p is None else format_p(p))
            if estimate is not None:
                doubts.append((f"{answer.b.label}, {answer.a.eval_set}", estimate.warnings))
        yield shown
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


def grid_tables(answers: Sequence[GridAnswer]) -> RenderableType:
    """Render per eval set the means of all cells, and how large each difference is beside the seed noise."""
    parts = [part for answer in answers for part in _grid(answer)]
    return Group(*parts, *notes((answer.eval_set, answer.warnings) for answer in answers))


def _grid(answer: GridAnswer) -> Iterator[RenderableType]:
    grid, unit = answer.grid, "points" if answer.unit == "pp" else "the metric's unit"
    decimals = decimals_of(grid.seed_noise)

    def cell(architecture: str, recipe: str) -> str:
        mean, std, n = answer.mean_std_n(architecture, recipe)
        return f"{mean_and_std(mean, std, decimals)} ({n})"

    yield filled_table(
        (f"{answer.eval_set}: mean ± std (n)", *grid.recipes),
        [(each, *(cell(each, recipe) for recipe in grid.recipes)) for each in grid.architectures],
    )
    yield filled_table(
        ("what", f"typical size ({unit})", ci_heading(grid.level), "p"),
        [
            (name, f"{size.value:.{decimals}f}", interval(size, decimals), UNKNOWN if p is None else format_p(p))
            for name, size, p in answer.rows()
        ],
    )
    rows = []
    for d in grid.differences:
        others = "recipes" if d.factor == "architecture" else "architectures"
        numbers = f"{d.difference.value:+.{decimals}f}", interval(d.difference, decimals), format_p(d.p_adjusted)
        rows.append((f"{d.b} against {d.a}, over all {others}", *numbers))
    yield filled_table(("difference", "B - A", f"{ci_heading(grid.level)}, together", "p adjusted"), rows)
    noise = grid.seed_noise.value
    largest = max(grid.sources, key=lambda source: source.spread.value)
    words = f"{answer.eval_set}: seeds of one cell scatter by {noise:.{decimals}f} (std)"
    if noise > 0.0:
        words += f"; the {largest.name} difference is {largest.spread.value / noise:.1f} times that"
    if answer.has_interaction:
        words += "; recipes help some architectures more than others"
    else:
        words += "; nothing shows that a recipe helps one architecture more than another"
    yield Text(words + ".")
    yield small_print(
        "Typical size: root mean square of the differences between architectures (recipes, or what is left of both), "
        "freed of seed noise; ANOVA-type statistic, spreads may differ. Intervals of differences by Bonferroni, p by "
        "Holm."
    )


# --- across data sets -----------------------------------------------------------------------------------


def across_data_tables(answer: AcrossData) -> RenderableType:
    """Render the comparisons on each data set, and what they say together."""
    return Group(
        comparison_tables(answer.comparisons),
        *(_pooled(pooled) for pooled in answer.pooled),
        *(part for ranked in answer.ranked for part in _ranked(ranked)),
        *notes((pooled.eval_set, pooled.pooled.warnings) for pooled in answer.pooled if pooled.pooled),
        *notes((ranked.eval_set, ranked.ranking.warnings) for ranked in answer.ranked),
    )


def _pooled(answer: CombinedAnswer) -> Text:
    line = f"{answer.b} against {answer.a}, {answer.eval_set}, {len(answer.data_sets)} data sets: "
    p = answer.pooled
    if p is None:
        return Text(line + "fewer than three cannot be pooled; read them one by one.")
    decimals = decimals_of(p.difference)
    mean = f"{p.difference.value:+.{decimals}f} {interval(p.difference, decimals)}"
    return Text(
        f"{line}mean difference {mean} ({ci_heading(p.difference.level)}), {p_equals(p.p_value)}; "
        f"on one more such data set {interval(p.new_data_set, decimals)}; std of the true difference between data sets "
        f"{p.tau:.{decimals}f} ({p_equals(p.heterogeneity_p)} for none)."
    )


def _ranked(answer: RankedAnswer) -> Iterator[RenderableType]:
    """Render the recipes by their mean rank, and each pair's signed-rank test over data sets."""
    ranking = answer.ranking
    ranks = ", ".join(f"{recipe} {rank:.2g}" for recipe, rank in sorted(answer.mean_ranks.items(), key=lambda x: x[1]))
    yield Text(f"{answer.eval_set}, mean rank over {len(answer.data_sets)} data sets (1 is best): {ranks}.")
    rows = [
        (f"{x.b} against {x.a}", f"{x.median_difference:+.3g}", format_p(x.p_value), format_p(x.p_adjusted))
        for x in ranking.pairs
    ]
    yield filled_table((f"{answer.eval_set}: B against A", "median B - A", "p", "p adjusted"), rows)
    yield small_print(
        "Wilcoxon's signed ranks of the mean differences, one per data set, Holm over the pairs: "
        f"{len(answer.data_sets)} data sets give no p below {format_p(ranking.floor)}."
    )
