"""What `compare --grid` and `compare --across-data` print: words and percent; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from seedstudy.show.tables import ci_heading, comparison_table, interval, mean_and_sd, notes, p_value, plain_table
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from seedstudy.decide.wider import AcrossData, GridAnswer, PooledAnswer, RankedAnswer


def grid_tables(answers: Sequence[GridAnswer]) -> Iterator[RenderableType]:
    """Render per eval set the means of all cells, and below what differs how much beside the seed noise."""
    for answer in answers:
        yield from _grid(answer)
    yield from notes((answer.eval_set, answer.warnings) for answer in answers)


def _grid(answer: GridAnswer) -> Iterator[RenderableType]:
    grid, unit = answer.grid, "points" if answer.unit == "pp" else "the metric's unit"
    decimals = decimals_of(grid.seed_noise)

    def cell(architecture: str, recipe: str) -> str:
        values = answer.cells[architecture, recipe].values
        return f"{mean_and_sd(values.mean(), values.std(ddof=1), decimals)} ({values.size})"

    yield plain_table(
        (f"{answer.eval_set}: mean ± std (n)", *grid.recipes),
        [(each, *(cell(each, recipe) for recipe in grid.recipes)) for each in grid.architectures],
    )
    yield plain_table(
        ("what", f"typical size ({unit})", ci_heading(grid.level), "p"),
        [
            (name, f"{size.value:.{decimals}f}", interval(size, decimals), "–" if p is None else p_value(p))
            for name, size, p in answer.rows()
        ],
    )
    yield plain_table(
        ("difference", "B - A", f"{ci_heading(grid.level)}, together", "p adjusted"),
        [
            (
                f"{d.b} against {d.a}, over all {'recipes' if d.factor == 'architecture' else 'architectures'}",
                f"{d.difference.value:+.{decimals}f}",
                interval(d.difference, decimals),
                p_value(d.p_adjusted),
            )
            for d in grid.differences
        ],
    )
    noise = grid.seed_noise.value
    largest = max(grid.sources, key=lambda source: source.spread.value)
    words = f"{answer.eval_set}: seeds of one cell scatter by {noise:.{decimals}f} (std)"
    if noise > 0.0:
        words += f"; the {largest.name} difference is {largest.spread.value / noise:.1f} times that"
    interaction = grid.sources[2]
    words += (
        "; recipes help some architectures more than others"
        if interaction.p_value < 1 - grid.level
        else "; nothing shows that a recipe helps one architecture more than another"
    )
    yield Text(words + ".")
    note = (
        "Typical size: root mean square of the differences between architectures (recipes, or what is left of both), "
        "freed of seed noise; ANOVA-type statistic, spreads may differ. Intervals of differences by Bonferroni, p by "
        "Holm."
    )
    yield Text(note, style="dim")


def across_data_tables(found: AcrossData) -> Iterator[RenderableType]:
    """Render the comparisons on each data set, and what they say together."""
    yield comparison_table(found.comparisons)
    for answer in found.pooled:
        yield _pooled(answer)
    for ranked in found.ranked:
        yield from _ranked(ranked)
    yield from notes((answer.eval_set, answer.pooled.warnings) for answer in found.pooled if answer.pooled)
    yield from notes((ranked.eval_set, ranked.ranking.warnings) for ranked in found.ranked)


def _pooled(answer: PooledAnswer) -> Text:
    line = f"{answer.b} against {answer.a}, {answer.eval_set}, {len(answer.data_sets)} data sets: "
    p = answer.pooled
    if p is None:
        return Text(line + "fewer than three cannot be pooled; read them one by one.")
    decimals = decimals_of(p.difference)
    return Text(
        f"{line}mean difference {p.difference.value:+.{decimals}f} {interval(p.difference, decimals)} "
        f"({ci_heading(p.difference.level)}), p = {p_value(p.p_value)}; on one more such data set "
        f"{interval(p.new_data_set, decimals)}; std of the true difference between data sets "
        f"{p.tau:.{decimals}f} (p = {p_value(p.heterogeneity_p)} for none)."
    )


def _ranked(answer: RankedAnswer) -> Iterator[RenderableType]:
    """Render the recipes by their mean rank, and each pair's signed-rank test over data sets."""
    ranking = answer.ranking
    ranks = ", ".join(f"{recipe} {rank:.2g}" for recipe, rank in sorted(answer.mean_ranks.items(), key=lambda x: x[1]))
    yield Text(f"{answer.eval_set}, mean rank over {len(answer.data_sets)} data sets (1 is best): {ranks}.")
    yield plain_table(
        (f"{answer.eval_set}: B against A", "median B - A", "p", "p adjusted"),
        [
            (
                f"{pair.b} against {pair.a}",
                f"{pair.median_difference:+.3g}",
                p_value(pair.p_value),
                p_value(pair.p_adjusted),
            )
            for pair in ranking.pairs
        ],
    )
    yield Text(
        "Wilcoxon's signed ranks of the mean differences, one per data set, Holm over the pairs: "
        f"{len(answer.data_sets)} data sets give no p below {p_value(ranking.floor)}.",
        style="dim",
    )
