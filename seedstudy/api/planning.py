"""Before training, and other people's tables: how many seeds, and what single runs are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy.api.shared import arms_of_call, source_of
from seedstudy.arguments import public
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.decide.audit import Audit
    from seedstudy.decide.given import Given
    from seedstudy.decide.plan import PowerPlan


@public
def power(
    sd: float | tuple[float, float] | str | None = None,
    *,
    pilots: Given | Sequence[Given] = (),
    from_one: Given | None = None,
    difference: float | None = None,
    n: int | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float | None = None,
    paired: float | None = None,
    cost: float | str | None = None,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    eval_set: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
) -> PowerPlan:
    """Plan a comparison of two recipes: seeds for a difference, or the smallest difference that n seeds detect.

    Parameters
    ----------
    sd
        Standard deviation over seeds, of both arms or of each; or the name of a published one (``"rsb-val"``).
    pilots
        Instead of `sd`: one selector for both arms, or one for each.
    from_one
        Instead of `sd`: a recipe of which one training (the first seed) is all there is. It gives limits of the std, a
        factor of 17 apart; the upper one is planned with.
    difference
        True difference to plan for. With `n` missing the seeds per arm are computed; a `margin`
        makes it 0 by default.
    n
        Seeds per arm. With `difference` missing the smallest detectable one is computed; with both, the power.
    margin
        Plan to show equivalence within it, instead of a difference.
    paired
        Plan pairs of trials with the same seed, whose results correlate by this; None: seeds as such.
    cost
        GPU-hours per seed, or ``"MODEL@RECIPE"`` of RSB's Table 3; None: as measured in the pilots' studies.

    Examples
    --------
    >>> import seedstudy as ss
    >>> ss.power(sd="rsb-val", difference=0.2)
    <6 seeds per arm detect a difference of 0.2 points with 88% power.>
    >>> ss.power(0.1, n=5).difference  # the smallest one that 5 seeds per arm detect
    0.2...

    """
    from seedstudy.decide import plan
    from seedstudy.decide.given import arms_of
    from seedstudy.decide.select import on_one_eval_set, select_arms, what_was_read
    from seedstudy.read.metrics import is_accuracy

    source = source_of(locals())
    is_several = isinstance(pilots, list | tuple) and not any(isinstance(each, int | float) for each in pilots)
    asked = arms_of(pilots if is_several else (pilots,), of="power")
    groups = [on_one_eval_set(arm, source) for arm in select_arms(asked, source)]
    if from_one is not None:
        if sd is not None or groups:
            raise StudyError("--from-one: one training in place of --sd and --pilot; give one of them.")
        groups = [on_one_eval_set(arm, source) for arm in select_arms(arms_of((from_one,), of="power"), source)]
    spread = plan.spread_of(sd, groups) if from_one is None else plan.spread_from_one(groups[0])
    of_seed = plan.cost_of(cost, groups)
    shown_unit = groups[0].unit if groups else "pp" if is_accuracy(metric) and unit != "fraction" else None
    rates = {"power": power, "alpha": alpha}
    answer = plan.plan_seeds(
        spread, difference=difference, n=n, margin=margin, paired=paired, cost=of_seed, unit=shown_unit, **rates
    )
    return replace(answer, left_out=source.left_out, read=what_was_read(groups))


@public
def audit(
    table: str | Path,
    *,
    sd: float | str | Mapping[str, float] | None = None,
    reference: Given | None = None,
    columns: str | Sequence[str] | None = None,
    label: str | None = None,
    n_seeds: int = 1,
    best_of: int | None = None,
    is_ladder: bool = False,
    alpha: float = 0.05,
    results: str | Path = "results",
    study: str = "main",
    model: str | None = None,
    data: str | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
    lower_is_better: bool | None = None,
) -> Audit:
    """Say which differences of a published table of single runs exceed seed noise.

    Parameters
    ----------
    table
        A CSV file with one row per model or recipe and one column per recipe or eval set.
    sd
        Standard deviation over seeds of a single run: of every column, by column, or ``"rsb"``.
    reference
        Instead of `sd`: a sweep over seeds whose std is taken.
    columns, label, unit
        See :func:`~seedstudy.read.published.read_published_table`.
    n_seeds, best_of
        Each number of the table is the mean, or the best, of so many seeds.
    is_ladder
        Compare each row with the one before it, instead of all pairs.
    lower_is_better
        None: as the names of metric and columns say.

    """
    from seedstudy.decide import audit as audits
    from seedstudy.decide.compare import is_lower_better
    from seedstudy.decide.select import select_arms, what_was_read
    from seedstudy.read.published import read_published_table
    from seedstudy.stats.audit import Cells
    from seedstudy.study.group import Readings

    if unit not in (None, "percent", "fraction", "none"):
        raise StudyError(f'--unit "{unit}": expected percent, fraction or none.')
    if best_of is not None and n_seeds != 1:
        raise StudyError("--seeds and --best-of: each number is a mean or a best, not both.")
    if (sd is None) == (reference is None):
        raise StudyError(
            f"{table}: a table of single runs does not say its seed noise: give --sd 0.1, or --reference STUDY:RECIPE."
        )
    published = read_published_table(Path(table), columns=columns, label=label, unit=unit)
    source = source_of({**locals(), "unit": None if unit == "none" else unit})
    if sd is not None:
        sweep, noise = [], audits.noise_of(sd, published.columns)
    elif reference is not None:
        (sweep,) = select_arms(arms_of_call([reference], {}, audit, source), source)
        noise = audits.noise_of_sweep(sweep, published.columns)
    if lower_is_better is None:
        names = published.columns if metric == "top1" else (metric,)
        directions = {is_lower_better(name, None if unit == "none" else "pp") for name in names}
        if len(directions) > 1:
            raise StudyError(f"{table}: higher is better in some columns and lower in others: judge them one by one.")
        lower_is_better = directions.pop()
    answer = audits.audit(
        published,
        noise,
        cells=Cells(n=n_seeds) if best_of is None else Cells(kind="best", n=best_of),
        alpha=alpha,
        lower_is_better=lower_is_better,
        is_ladder=is_ladder,
    )
    read = Readings((published.reading, *what_was_read(sweep)))
    return replace(answer, left_out=source.left_out, read=read)
