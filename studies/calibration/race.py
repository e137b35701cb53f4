"""Measure what a race promises: simulate seeds, race on them, count errors and seeds.

``python -m studies.calibration.race`` writes the tables of `docs/calibration_race.md`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

import seedstudy as ss
from seedstudy.decide.race import Race
from seedstudy.stats.race import CAREFUL, EQUIVALENT, GREATER, METHODS, SMALLER, Plan, Stops, race_rows
from studies.calibration import designs
from studies.calibration.designs import Draw, Rows
from studies.calibration.rows import NO_ACCURACY, check

ALPHA, MARGIN = 0.05, 1.0
BUDGETS, STEPS = (10, 30, 100), (1, 5)
DIFFERENCES = (0.0, 0.5, 1.0, 2.0)
FIRST = 3
_CHECKED = 2
"""Races of each figure that are compared with `seedstudy.race`."""
_ERRORS = 3
"""Monte-Carlo standard errors that a rate may exceed its promise by before it is printed bold."""


SHAPES: dict[str, tuple[Draw, Draw, float]] = {
    **{name: (draw, draw, 1.0) for name, draw in designs.SHAPES.items()},
    "std 1 : 3": (*designs.HARD["normal"], 3.0),
    "skewed, std 1 : 3": (*designs.HARD["skewed"], 3.0),
    "opposite skews": (*designs.HARD["opposite skews"], 1.0),
    "opposite skews, std 1 : 3": (*designs.HARD["opposite skews"], 3.0),
    "opposite lognormals": (*designs.HARD["opposite lognormals"], 1.0),
    "opposite lognormals, std 1 : 3": (*designs.HARD["opposite lognormals"], 3.0),
    "failing, std 1 : 3": (*designs.HARD["failing"], 3.0),
    "failing B": (*designs.HARD["failing B"], 1.0),
}
"""Name -> how seeds of A and of B are drawn, and the std of arm B in units of that of arm A."""
CAREFUL_SHAPES = tuple(name for name in SHAPES if name.startswith("opposite"))
CAREFUL_BUDGETS = (10, 30)


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
    """Share that calls the difference, for each of `DIFFERENCES` but the first; normal seeds."""
    mean_n: tuple[float, ...]
    """Mean seeds per arm, for each of `DIFFERENCES`."""
    bias: float
    """Mean of (difference at the stop - true difference) at 1 std, in std."""
    equivalent: float
    """Share called equivalent when the difference is 0 and the margin one std."""
    mean_n_equivalent: float


@dataclass(frozen=True, slots=True)
class _Stop:
    difference_called: float
    mean_n: float
    covered: float
    bias: float
    equivalent: float


def run(a: Rows, b: Rows, plan: Plan, difference: float, *, is_checked: bool = True) -> _Stop:
    """Race on simulated seeds, the true difference being this; some races are compared with `seedstudy.race`."""
    stops = race_rows(a, b + difference, plan)
    for row in range(_CHECKED if is_checked else 0):
        _check_race(stops, row, a[row], b[row] + difference, plan)
    is_called = np.isin(stops.outcome, (GREATER, SMALLER))
    is_covered = (stops.low <= difference) & (difference <= stops.high)
    error = stops.difference - difference
    return _Stop(*(float(np.mean(x)) for x in (is_called, stops.n, is_covered, error, stops.outcome == EQUIVALENT)))


def _check_race(stops: Stops, row: int, a: Rows, b: Rows, plan: Plan) -> None:
    """Refuse to go on where a race of many differs from the one that users run on the same seeds."""
    pair = _replayed((a, b), plan).pairs[0]
    look, words = pair.looks[-1], {GREATER: "better", SMALLER: "worse", EQUIVALENT: "equivalent"}
    check("outcome", [words.get(int(stops.outcome[row]), "inconclusive") == pair.verdict], [True])
    printed = (look.round, look.difference, look.low, look.high)
    check("stop", [(stops.n[row], stops.difference[row], stops.low[row], stops.high[row])], [printed])


def _replayed(arms: Iterable[Rows], plan: Plan) -> Race:
    given = asdict(plan)
    return ss.race(*arms, replay=True, margin=given.pop("margin"), plan=given, **NO_ACCURACY)


def measure(
    replicates: int, rng_seed: int, progress: Callable[[str], None], budgets: Sequence[int] = BUDGETS
) -> Iterator[Outcome]:
    """Yield every row of the tables; each kind of seeds and budget has a random stream of its own."""
    for place, (shape, (draw_a, draw_b, sd_b)) in enumerate(SHAPES.items()):
        for most in budgets if shape == "normal" else budgets[:2]:  # up to the number of seeds with a caveat
            progress(f"{shape}, up to {most} seeds")
            rng = np.random.default_rng((rng_seed, place, most))
            size = (replicates, most)
            a, b = draw_a(rng, size), sd_b * draw_b(rng, size)
            for method in METHODS:
                for every in STEPS if most < 100 else STEPS[1:]:  # a hundred looks cost most of the time
                    plan = Plan(alpha=ALPHA, method=method, first=FIRST, every=every, most=most)
                    yield _outcome(shape, a, b, plan)


def _outcome(shape: str, a: Rows, b: Rows, plan: Plan) -> Outcome:
    with_margin = replace(plan, margin=MARGIN)
    differences = DIFFERENCES if shape == "normal" else DIFFERENCES[:1]
    # The formulas know no shape, and these are the same seeds and plan: comparing one run with the product is enough.
    is_checked = shape == "normal"
    stops = [run(a, b, plan, truth, is_checked=is_checked and truth == 0.0) for truth in differences]
    at_margin, equal = (run(a, b, with_margin, truth, is_checked=False) for truth in (MARGIN, 0.0))
    return Outcome(
        shape=shape,
        plan=plan,
        size=stops[0].difference_called,
        wrong_equivalence=at_margin.equivalent,
        coverage=min(stop.covered for stop in (*stops, at_margin, equal)),
        power=tuple(stop.difference_called for stop in stops[1:]),
        mean_n=tuple(stop.mean_n for stop in stops),
        bias=stops[2].bias if shape == "normal" else math.nan,
        equivalent=equal.equivalent,
        mean_n_equivalent=equal.mean_n,
    )


Careful = tuple[str, int, float, float, float, tuple[_Stop, ...]]
_CAREFUL_HEAD = ("power, seeds at 1", "power, seeds at 2")


def careful(replicates: int, rng: np.random.Generator) -> Iterator[Careful]:
    """Yield method, budget, alpha; errors on opposite skews and the worst shape; normal seeds 0, 1 and 2 std apart."""
    for most in CAREFUL_BUDGETS:
        size = (replicates, most)
        shapes = [SHAPES[name] for name in CAREFUL_SHAPES]
        skewed = [(draw_a(rng, size), sd_b * draw_b(rng, size)) for draw_a, draw_b, sd_b in shapes]
        a, b = rng.standard_normal(size), rng.standard_normal(size)
        for method in METHODS:
            for alpha in (ALPHA, CAREFUL):
                plan = Plan(alpha=alpha, method=method, first=FIRST, most=most)
                errors = [run(x, y, plan, 0.0, is_checked=False).difference_called for x, y in skewed]
                none, *some = (run(a, b, plan, difference, is_checked=False) for difference in (0.0, 1.0, 2.0))
                yield method, most, alpha, errors[0], max(errors), (none, *some)


def two_std(replicates: int, rng: np.random.Generator) -> Iterator[tuple[str, float, float, float]]:
    """Yield, for a true difference of 2 std: design, power, mean seeds per arm, error rate without a difference."""
    a, b = rng.standard_normal((replicates, 12)), rng.standard_normal((replicates, 12))

    def measured(plan: Plan) -> tuple[float, float, float]:
        two, none = (run(a[:, : plan.most], b[:, : plan.most], plan, difference) for difference in (2.0, 0.0))
        return two.difference_called, two.mean_n, none.difference_called

    for n in (5, 6):
        yield f"fixed, {n} seeds", *measured(Plan(first=n, most=n))
    for method in METHODS:
        for most in (6, 7, 8, 10, 12):
            yield f"{method}, at most {most}", *measured(Plan(first=2, most=most, method=method))


def several_arms(replicates: int, rng: np.random.Generator) -> Iterator[tuple[int, str, float]]:
    """Yield number of equal arms, method, and how often any of them is called worse than another."""
    for n_arms in (3, 5):
        arms = rng.standard_normal((n_arms, replicates, 12))
        pairs = list(combinations(range(n_arms), 2))
        for method in METHODS:
            plan = Plan(most=12, method=method)
            # The first comparison to show a difference does so with its share of alpha.
            share = replace(plan, alpha=ALPHA / len(pairs))
            outcomes = [race_rows(arms[a], arms[b], share).outcome for a, b in pairs]
            wrong = np.isin(outcomes, (GREATER, SMALLER)).any(axis=0)
            replayed = [_replayed(arms[:, row], plan) for row in range(_CHECKED)]
            check("several arms", wrong, [any(p.verdict in ("better", "worse") for p in r.pairs) for r in replayed])
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


def tables(replicates: int, rng_seed: int, progress: Callable[[str], None]) -> dict[str, str]:
    """Return each table of the page by its name."""
    outcomes = list(measure(replicates, rng_seed, progress))
    rng = np.random.default_rng((rng_seed, len(SHAPES)))
    progress("a difference of 2 std, several arms, a smaller alpha")
    of_two, of_arms = list(two_std(replicates, rng)), list(several_arms(replicates, rng))
    return rendered(outcomes, of_two, of_arms, list(careful(replicates, rng)), replicates)


def rendered(
    outcomes: Sequence[Outcome],
    of_two_std: Sequence[tuple[str, float, float, float]],
    of_arms: Sequence[tuple[int, str, float]],
    of_careful: Sequence[Careful],
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
        "careful": _table(
            ["spending", "n max", "alpha", "opposite skews", "worst shape", "normal", *_CAREFUL_HEAD],
            [
                [
                    method,
                    str(most),
                    f"{alpha:g}",
                    *(_at_most(rate, ALPHA, replicates) for rate in (exponential, largest, none.difference_called)),
                    *(f"{_rate(stop.difference_called)}, {stop.mean_n:.1f}" for stop in some),
                ]
                for method, most, alpha, exponential, largest, (none, *some) in of_careful
            ],
        ),
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
