"""Measure what a race promises: simulate seeds, apply the race's own limits at every look, count errors and seeds.

``python -m studies.calibration.race`` writes the tables of `docs/calibration_race.md`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from seedstudy.stats import welch
from studies.calibration import designs
from studies.calibration.designs import Draw, Rows
from seedstudy.stats.race import METHODS, Plan, planned
from seedstudy.stats.welch import TDistance

ALPHA, MARGIN = 0.05, 1.0
BUDGETS, STEPS = (10, 30, 100), (1, 3, 5)
DIFFERENCES = (0.0, 0.5, 1.0, 2.0)
FIRST = 3
_ERRORS = 3
"""Monte-Carlo standard errors that a rate may exceed its promise by before it is printed bold."""


SHAPES: dict[str, tuple[Draw, float]] = {
    **{name: (designs.SHAPES[name], 1.0) for name in ("normal", "t5", "outliers", "lattice")},
    "std 1 : 3": (designs.normal, 3.0),
}
"""Name -> how seeds are drawn, and the std of arm B in units of that of arm A."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What races of one plan did on one kind of seeds."""

    shape: str
    plan: Plan
    size: float
    """Share that calls a difference where there is none."""
    wrong_equivalence: float
    """Share that calls arms equivalent whose difference is exactly the margin."""
    coverage: float
    """Smallest share, over the differences, of repeated intervals at the stop that hold the true difference."""
    power: tuple[float, ...]
    """Share that calls the difference, for each of `DIFFERENCES` but the first."""
    mean_n: tuple[float, ...]
    """Mean seeds per arm, for each of `DIFFERENCES`."""
    bias: float
    """Mean of (difference at the stop - true difference) at 1 std, in std."""
    equivalent: float
    """Share called equivalent when the difference is 0 and the margin one std."""
    mean_n_equivalent: float


class Paths:
    """Welch's t of simulated arms at every number of seeds up to a budget."""

    def __init__(self, a: Rows, b: Rows) -> None:
        self.t: dict[int, TDistance] = {}
        moments = [(np.cumsum(x, axis=1), np.cumsum(np.square(x), axis=1)) for x in (a, b)]
        for n in range(2, a.shape[1] + 1):
            parts = []
            for total, squares in moments:
                mean = total[:, n - 1] / n
                variance = np.maximum(squares[:, n - 1] - n * mean**2, 0.0) / (n - 1)
                parts.append((mean, np.sqrt(np.where(variance > 1e-12, variance, 0.0))))
            with np.errstate(invalid="ignore", divide="ignore"):
                self.t[n] = welch.welch(parts[0][0], parts[0][1], n, parts[1][0], parts[1][1], n)


@dataclass(frozen=True, slots=True)
class _Stop:
    difference_called: float
    mean_n: float
    covered: float
    bias: float
    equivalent: float


def run(paths: Paths, plan: Plan, difference: float) -> _Stop:
    """Race on simulated paths, with the limits of the product."""
    total = paths.t[plan.first].se.size
    open_ = np.arange(total)
    n_at, called, equal = np.full(total, plan.most), np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    covered, error = np.ones(total, dtype=bool), np.zeros(total)
    for n, limit in zip(plan.looks, planned(plan), strict=True):
        centred = TDistance(*(part[open_] for part in paths.t[n]))
        t = TDistance(centred.difference + difference, centred.se, centred.df)
        same = np.zeros(open_.size, dtype=bool) if plan.margin is None else limit.shows_equivalence(t, plan.margin)
        shown = limit.shows_difference(t) & ~same
        ends = shown | same if n < plan.most else np.ones(open_.size, dtype=bool)
        where = open_[ends]
        n_at[where], called[where], equal[where] = n, shown[ends], same[ends]
        # The repeated interval leaves the truth out exactly where it would call a difference from it.
        stopped = TDistance(*(part[ends] for part in centred))
        covered[where] = ~limit.shows_difference(stopped)
        error[where] = stopped.difference
        open_ = open_[~ends]
    return _Stop(*(float(np.mean(part)) for part in (called, n_at, covered, error, equal)))


def measure(
    replicates: int, rng_seed: int, tell: Callable[[str], None], budgets: Sequence[int] = BUDGETS
) -> Iterator[Outcome]:
    """Yield every row of the tables; each kind of seeds and budget has a random stream of its own."""
    for place, (shape, (draw, sd_b)) in enumerate(SHAPES.items()):
        for most in budgets:
            tell(f"{shape}, up to {most} seeds")
            rng = np.random.default_rng((rng_seed, place, most))
            size = (replicates, most)
            paths = Paths(draw(rng, size), sd_b * draw(rng, size))
            for method in METHODS:
                for every in STEPS:
                    plan = Plan(alpha=ALPHA, method=method, first=FIRST, every=every, most=most)
                    yield _outcome(shape, paths, plan)


def _outcome(shape: str, paths: Paths, plan: Plan) -> Outcome:
    with_margin = Plan(
        alpha=plan.alpha, method=plan.method, first=plan.first, every=plan.every, most=plan.most, margin=MARGIN
    )
    stops = [run(paths, plan, difference) for difference in DIFFERENCES]
    at_margin, equal = run(paths, with_margin, MARGIN), run(paths, with_margin, 0.0)
    return Outcome(
        shape=shape,
        plan=plan,
        size=stops[0].difference_called,
        wrong_equivalence=at_margin.equivalent,
        coverage=min(stop.covered for stop in (*stops, at_margin, equal)),
        power=tuple(stop.difference_called for stop in stops[1:]),
        mean_n=tuple(stop.mean_n for stop in stops),
        bias=stops[2].bias,
        equivalent=equal.equivalent,
        mean_n_equivalent=equal.mean_n,
    )


def two_std(replicates: int, rng: np.random.Generator) -> Iterator[tuple[str, float, float, float]]:
    """Yield, for a true difference of 2 std: design, power, mean seeds per arm, error rate without a difference."""
    paths = Paths(rng.standard_normal((replicates, 12)), rng.standard_normal((replicates, 12)))
    for n in (5, 6):
        fixed = Plan(first=n, most=n)
        yield f"fixed, {n} seeds", run(paths, fixed, 2.0).difference_called, n, run(paths, fixed, 0.0).difference_called
    for method in METHODS:
        for most in (6, 7, 8, 10, 12):
            plan = Plan(first=2, most=most, method=method)
            stop = run(paths, plan, 2.0)
            rate = run(paths, plan, 0.0).difference_called
            yield f"{method}, at most {most}", stop.difference_called, stop.mean_n, rate


def several_arms(replicates: int, rng: np.random.Generator) -> Iterator[tuple[int, str, float]]:
    """Yield number of equal arms, method, and how often any of them is called worse than another."""
    for n_arms in (3, 5):
        arms = rng.standard_normal((n_arms, replicates, 12))
        pairs = [Paths(arms[a], arms[b]) for a, b in combinations(range(n_arms), 2)]
        for method in METHODS:
            plan = Plan(most=12, method=method)
            limits = planned(plan, alpha=ALPHA / len(pairs))
            wrong = np.zeros(replicates, dtype=bool)
            for n, limit in zip(plan.looks, limits, strict=True):
                for paths in pairs:
                    wrong |= limit.shows_difference(paths.t[n])
            yield n_arms, method, float(wrong.mean())


# --- tables -------------------------------------------------------------------------------------------


def _rate(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else "1.000"


def _at_most(value: float, promise: float, replicates: int) -> str:
    error = math.sqrt(promise * (1 - promise) / replicates)
    return f"**{_rate(value)}**" if value > promise + _ERRORS * error else _rate(value)


def _at_least(value: float, promise: float, replicates: int) -> str:
    error = math.sqrt(promise * (1 - promise) / replicates)
    return f"**{_rate(value)}**" if value < promise - _ERRORS * error else _rate(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def tables(replicates: int, rng_seed: int, tell: Callable[[str], None]) -> dict[str, str]:
    """Return each table of the page by its name."""
    outcomes = list(measure(replicates, rng_seed, tell))
    rng = np.random.default_rng((rng_seed, len(SHAPES)))
    tell("a difference of 2 std, several arms")
    return rendered(outcomes, list(two_std(replicates, rng)), list(several_arms(replicates, rng)), replicates)


def rendered(
    outcomes: Sequence[Outcome],
    of_two_std: Sequence[tuple[str, float, float, float]],
    of_arms: Sequence[tuple[int, str, float]],
    replicates: int,
) -> dict[str, str]:
    """Return the tables of the page from what was measured."""
    errors = [
        [
            o.shape,
            o.plan.method,
            str(o.plan.most),
            str(o.plan.every),
            _at_most(o.size, ALPHA, replicates),
            _at_most(o.wrong_equivalence, ALPHA, replicates),
            _at_least(o.coverage, 1 - ALPHA, replicates),
        ]
        for o in outcomes
    ]
    normal = [
        [
            o.plan.method,
            str(o.plan.most),
            str(o.plan.every),
            *(_rate(power) for power in o.power),
            *(f"{n:.1f}" for n in o.mean_n),
            f"{o.bias:+.2f}",
            _rate(o.equivalent),
            f"{o.mean_n_equivalent:.1f}",
        ]
        for o in outcomes
        if o.shape == "normal"
    ]
    power_head = ["spending", "n max", "every", *(f"power {d:g}" for d in DIFFERENCES[1:])]
    power_head += [*(f"n at {d:g}" for d in DIFFERENCES), "bias at 1", "equivalent", "its n"]
    two = [[name, _rate(p), f"{n:.2f}", _rate(rate)] for name, p, n, rate in of_two_std]
    arms = [[str(k), method, _at_most(rate, ALPHA, replicates)] for k, method, rate in of_arms]
    return {
        "errors": _table(
            ["seeds drawn from", "spending", "n max", "every", "wrong difference", "wrong equivalence", "coverage"],
            errors,
        ),
        "power": _table(power_head, normal),
        "two": _table(["design", "power", "mean seeds per arm", "wrong difference"], two),
        "arms": _table(["equal arms", "spending", "any wrong difference"], arms),
    }


def main() -> None:
    """Write the tables into the page, between their markers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=20_000)
    parser.add_argument("--rng-seed", type=int, default=1)
    parser.add_argument("--into", type=Path, required=True)
    given = parser.parse_args()
    page = given.into.read_text(encoding="utf-8")
    for name, table in tables(given.replicates, given.rng_seed, lambda text: print(text, file=sys.stderr)).items():
        start, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        head, _, rest = page.partition(start)
        page = head + start + table + end + rest.partition(end)[2]
    given.into.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
