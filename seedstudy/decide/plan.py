"""How many seeds a question needs, what so many seeds can show, and what they cost, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seedstudy.decide.answers import Shown
from seedstudy.decide.select import moments_of
from seedstudy.document import FLAT, HIDDEN, document, fields_of, shown_as
from seedstudy.errors import StatisticsError, StudyError
from seedstudy.read.published import gpu_hours, reference_stds
from seedstudy.stats.power import MOST_SEEDS as MOST_SEEDS
from seedstudy.stats.power import (
    arms_or_pairs,
    detectable_difference,
    difference_power,
    equivalence_power,
    estimated_df_power,
    seeds_for_equivalence,
    seeds_per_arm,
)
from seedstudy.stats.sample import check_margin
from seedstudy.stats.variance import sd_factors
from seedstudy.study.group import NOTHING_READ, Group, Readings

BAND = 0.6
"""Level of the interval of a pilot's std: its ends are the one-sided 80 % limits (Browne 1995)."""
_FEW = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The standard deviation over seeds to plan with, and how well it is known."""

    sd_a: float
    sd_b: float
    n_a: int | None = field(default=None, metadata=HIDDEN)
    """Seeds behind it; None where the number was given without."""
    n_b: int | None = field(default=None, metadata=HIDDEN)
    source: str = field(default="given", metadata=shown_as("sd_source"))
    known: tuple[float, float] | None = field(default=None, metadata=HIDDEN)
    """Limits of the std where one training is all there is; `sd_a` and `sd_b` are the upper one."""

    @property
    def band(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """The limits (low, high) of both arms at level `BAND`, or as `known`; None for a given number."""
        if self.known is not None:
            return self.known, self.known
        if self.n_a is None or self.n_b is None:
            return None
        a, b = sd_factors(self.n_a - 1, BAND), sd_factors(self.n_b - 1, BAND)
        return (a[0] * self.sd_a, a[1] * self.sd_a), (b[0] * self.sd_b, b[1] * self.sd_b)

    def ends(self, end: Literal[0, 1]) -> tuple[float, float]:
        """Return the lower (0) or upper (1) limits of both arms; the std itself where there is no band."""
        return (self.sd_a, self.sd_b) if self.band is None else (self.band[0][end], self.band[1][end])


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a seed costs."""

    hours_per_seed: tuple[float, float]
    """Of A and of B."""
    device: str | None
    """Product name of the device on which that was measured; None for GPU-hours that were given."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class PowerPlan(Shown):
    """An answer about a two-arm comparison by Welch's test, or by two one-sided ones for a margin."""

    question: str
    """``seeds``, ``difference`` or ``power``: what was computed from the others."""
    n_per_arm: int | None
    """None where no number of seeds up to `MOST_SEEDS` would do."""
    difference: float
    spread: Spread = field(metadata=FLAT)
    alpha: float
    power: float
    """Asked for, or (question ``power``, or seeds rounded up) reached."""
    wanted: float = field(metadata=HIDDEN)
    """The power that was asked for."""
    margin: float | None
    band: tuple[float | None, float | None] | None
    """The answer at the lower and the upper limit of the std; None for a given std."""
    cost: Cost | None = field(metadata=HIDDEN)
    warnings: tuple[str, ...]
    paired: float | None = None
    """Correlation of the results of two arms with the same seed, where pairs are planned; None: seeds as such."""
    unit: str | None = None
    """``pp`` where std, difference and margin are percentage points; None: the metric's own, or not known."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial of the pilots, which the std does not include."""
    read: Readings = NOTHING_READ
    """What was read from each file."""

    @property
    def hours(self) -> float | None:
        """Cost of both arms, trials one after the other; None where a seed's is not known."""
        if self.cost is None or self.n_per_arm is None:
            return None
        return self.n_per_arm * sum(self.cost.hours_per_seed)

    @property
    def method(self) -> str:
        """The test that is planned."""
        test = "welch" if self.paired is None else "paired t"
        return test if self.margin is None else f"two one-sided {test} tests"

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``power --json``."""
        spread = self.spread
        return {
            **fields_of(self),
            "method": self.method,
            "sd_n": None if spread.n_a is None else [spread.n_a, spread.n_b],
            "sd_band": document(spread.band),
            "gpu_hours": self.hours if self.cost is not None and self.cost.device is None else None,
            "hours": self.hours,
            "hours_per_seed": None if self.cost is None else list(self.cost.hours_per_seed),
            "device": None if self.cost is None else self.cost.device,
        }


def spread_of(sd: float | Sequence[float] | str | None, pilots: Sequence[Group] = ()) -> Spread:
    """Return the spread to plan with.

    `sd`: of both arms, or of each; as text also "0.1,0.2", or the name of a published one (rsb-val). `pilots` instead:
    one group for both arms, or one for each.

    Raises
    ------
    StudyError
        Both or neither are given, a text that is no number, or a pilot of one seed.

    """
    if (sd is None) == (not pilots):
        raise StudyError("power needs the spread over seeds, once: --sd 0.1, --sd rsb-val, or --pilot STUDY:RECIPE.")
    if pilots:
        if len(pilots) > 2:
            raise StudyError(f"--pilot: {len(pilots)} pilots given; one serves both arms, two serve one each.")
        for pilot in pilots:
            if pilot.n < 2:
                raise StudyError(
                    f"--pilot {pilot.label}: {pilot.n} seed says nothing about the spread; train at least 2."
                )
        a, b = pilots[0], pilots[-1]
        names = " and ".join(dict.fromkeys(group.label for group in pilots))
        return Spread(sd_a=moments_of(a)[1], sd_b=moments_of(b)[1], n_a=a.n, n_b=b.n, source=f"{names}, {a.eval_set}")
    assert sd is not None
    if not isinstance(sd, str):
        sd_a, sd_b = (sd, sd) if isinstance(sd, int | float) else sd
        return Spread(sd_a=sd_a, sd_b=sd_b)
    presets = reference_stds()
    if sd in presets:
        known = presets[sd]
        source = f"RSB, {known.n} seeds of ResNet-50 A2, {known.eval_set}"
        return Spread(sd_a=known.std, sd_b=known.std, n_a=known.n, n_b=known.n, source=source)
    try:
        numbers = [float(part) for part in sd.split(",")]
    except ValueError:
        raise StudyError(f'--sd "{sd}": expected a number, two (0.1,0.2) or one of {", ".join(presets)}.') from None
    if len(numbers) not in (1, 2):
        raise StudyError(f'--sd "{sd}": expected one number for both arms, or two.')
    return Spread(sd_a=numbers[0], sd_b=numbers[-1])


FROM_ONE = (0.60, 10.3)
"""Lowest and highest std over seeds of real sweeps, as multiples of sqrt(error / (2 images)) of one of their trainings:
599 runs of MLPerf's ResNet-50 on ImageNet, and resnet8_nano after three epochs (studies/noise_from_one)."""


def spread_from_one(group: Group) -> Spread:
    """Return what one training says about the std over seeds of its recipe: limits, no more.

    On images that are classified independently a calibrated network's accuracy has the std sqrt(error / (2 N)) (Jordan
    2023, arXiv 2304.01910). Real sweeps were `FROM_ONE` times that, so the upper limit is the one to plan with.
    """
    if group.unit != "pp" or group.step is None or group.moments is not None:
        raise StudyError(
            f"--from-one {group.label}: needs an accuracy and its number of images: name a trial of a study."
        )
    accuracy = float(group.values[0])
    calibrated = math.sqrt((100.0 - accuracy) * group.step / 2.0)
    if not calibrated:
        raise StudyError(f"--from-one {group.label}: no image is wrong, which says nothing about the spread.")
    low, high = (factor * calibrated for factor in FROM_ONE)
    seed = "" if group.seeds is None else f", seed {group.seeds[0]}"
    return Spread(
        sd_a=high, sd_b=high, known=(low, high), source=f"one training: {group.label}, {group.eval_set}{seed}"
    )


def gpu_hours_of(cost: float | str) -> float:
    """Return GPU-hours per seed: a number, or what RSB's Table 3 says of MODEL@RECIPE (resnet50@a2)."""
    if isinstance(cost, str) and "@" in cost:
        model, _, recipe = cost.partition("@")
        return gpu_hours(model, recipe)
    try:
        return float(cost)
    except ValueError:
        raise StudyError(
            f'--cost "{cost}": expected GPU-hours per seed, or MODEL@RECIPE such as resnet50@a2.'
        ) from None


def cost_of(given: float | str | None, pilots: Sequence[Group]) -> Cost | None:
    """Return what a seed costs: as given in GPU-hours, or as measured in the pilots' studies on one type of device."""
    if given is not None:
        return Cost(hours_per_seed=(gpu_hours_of(given),) * 2, device=None)
    seconds = [pilot.train_s for pilot in pilots if pilot.train_s]
    devices = {pilot.device for pilot in pilots}
    if not seconds or len(seconds) < len(pilots) or len(devices) > 1:
        return None
    device = devices.pop()
    return Cost(hours_per_seed=(seconds[0] / 3600, seconds[-1] / 3600), device=device) if device else None


def plan_seeds(
    spread: Spread,
    *,
    difference: float | None = None,
    n: int | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    margin: float | None = None,
    cost: Cost | None = None,
    unit: str | None = None,
    paired: float | None = None,
) -> PowerPlan:
    """Plan a comparison of two recipes; the parameters are those of :func:`seedstudy.power`.

    Raises
    ------
    StatisticsError
        Numbers that are no spread, rate or count; nothing to compute.

    Notes
    -----
    Noncentral t with the degrees of freedom of the true spreads, as R's power.t.test; a warning gives the power of
    Welch's test where few seeds make its estimated degrees of freedom matter.

    """
    sds = (spread.sd_a, spread.sd_b)
    for sd in sds:
        if not (sd > 0.0 and math.isfinite(sd)):
            raise StatisticsError(f"sd {sd:g}: a standard deviation over seeds is a positive number")
    check_margin(margin)
    for name, rate in (("alpha", alpha), ("power", power)):
        if not 0.0 < rate < 1.0:
            raise StatisticsError(f"{name} {rate:g}: must lie between 0 and 1; write 0.05 for 5 %")
    if paired is not None and not -1.0 < paired < 1.0:
        raise StatisticsError(f"paired {paired:g}: a correlation of pairs lies between -1 and 1")
    if n is not None and not 2 <= n <= MOST_SEEDS:
        raise StatisticsError(f"{n} seeds per arm: a plan needs 2 to {MOST_SEEDS:,}")
    if margin is not None and difference is None:
        difference = 0.0
    if difference is None and n is None:
        raise StatisticsError("power: nothing to compute; give the difference (seeds are found) or n, or both")
    if difference is not None and (not math.isfinite(difference) or (difference == 0.0 and margin is None)):
        raise StatisticsError(f"difference {difference:g}: no number of seeds detects it; give one above 0")

    rates: dict[str, Any] = {"alpha": alpha, "power": power, "correlation": paired}

    def solve(sd_a: float, sd_b: float) -> float | None:
        if difference is None:
            assert n is not None
            return detectable_difference(n, sd_a, sd_b, **rates)
        if n is not None:
            return _power_at(n, sd_a, sd_b, difference, margin, alpha, paired)
        if margin is not None:
            return seeds_for_equivalence(margin, sd_a, sd_b, difference=difference, **rates)
        return seeds_per_arm(difference, sd_a, sd_b, **rates)

    answer = solve(*sds)
    n_found, size = n, abs(difference or 0.0)
    if difference is None:
        assert answer is not None
        question, size = "difference", answer
    elif n is not None:
        question = "power"
    else:
        question, n_found = "seeds", None if answer is None else int(answer)
    reached = power
    if difference is not None and n_found is not None:
        reached = _power_at(n_found, *sds, difference, margin, alpha, paired)
    return PowerPlan(
        question=question,
        n_per_arm=n_found,
        difference=size,
        spread=spread,
        alpha=alpha,
        power=reached,
        wanted=power,
        margin=margin,
        band=None if spread.band is None else (solve(*spread.ends(0)), solve(*spread.ends(1))),
        cost=cost,
        unit=unit,
        warnings=tuple(_warnings(size, n_found, spread, margin, alpha, paired)),
        paired=paired,
    )


def curve(plan: PowerPlan) -> dict[str, npt.NDArray[np.float64]]:
    """Return the power for 2, 3, … seeds per arm: ``n``, ``power``, and ``low``, ``high`` from the std's limits."""
    most = max(12, 2 * (plan.n_per_arm or 50))
    counts = np.unique(np.linspace(2, most, min(most - 1, 60)).round().astype(int))
    spread = plan.spread
    lines = {"power": (spread.sd_a, spread.sd_b), "low": spread.ends(1), "high": spread.ends(0)}
    powers = {
        name: np.array([_power_at(int(n), *sds, plan.difference, plan.margin, plan.alpha, plan.paired) for n in counts])
        for name, sds in lines.items()
    }
    return {"n": counts.astype(np.float64), **powers}


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerAt:
    """What so many seeds per arm show."""

    n: int
    power: float
    """For the difference or margin of the plan."""
    detectable: float | None
    """Smallest difference with the power asked for; None for equivalence, or where none is found."""


def beside(plan: PowerPlan) -> tuple[PowerAt, ...]:
    """Return what numbers of seeds around the plan's would show."""
    if plan.n_per_arm is None:
        return ()
    n = plan.n_per_arm
    counts = sorted({max(2, round(n * share)) for share in (0.4, 0.6, 0.8, 1.0, 1.3, 1.7)} | {n})
    sds = plan.spread.sd_a, plan.spread.sd_b
    found = []
    for count in counts:
        detectable = None
        if plan.margin is None:
            detectable = detectable_difference(
                count, *sds, alpha=plan.alpha, power=plan.wanted, correlation=plan.paired
            )
        power = _power_at(count, *sds, plan.difference, plan.margin, plan.alpha, plan.paired)
        found.append(PowerAt(n=count, power=power, detectable=detectable))
    return tuple(found)


def _power_at(
    n: int, sd_a: float, sd_b: float, difference: float, margin: float | None, alpha: float, paired: float | None
) -> float:
    t = arms_or_pairs(difference, sd_a, sd_b, n, paired)
    return difference_power(t, alpha) if margin is None else equivalence_power(t, margin, alpha)


def _warnings(
    difference: float, n: int | None, spread: Spread, margin: float | None, alpha: float, paired: float | None
) -> Iterator[str]:
    if n is not None and n < _FEW and margin is None and paired is None:
        real = estimated_df_power(difference, spread.sd_a, spread.sd_b, n, alpha=alpha)
        yield f"Welch's test estimates its degrees of freedom: with {n} seeds it has power {real:.2f}"
    if paired is not None:
        yield "the correlation counts as known: `seedstudy variance A B` gives that of a pilot, with its interval"
    if margin is not None and difference >= margin:
        yield "the true difference is not inside the margin: equivalence cannot be shown"
    if spread.known is not None:
        low, high = FROM_ONE
        yield (
            f"one training does not show the spread: real sweeps had {low:g} to {high:g} times sqrt(error / (2 "
            "images)), and the upper end is planned with; train 3 seeds and use --pilot"
        )
    if spread.n_a is not None and min(spread.n_a, spread.n_b or spread.n_a) < _FEW:
        yield "few seeds say little about a std: plan with the upper end of the band"
