"""How fast is a full comparison? Ours against two peers, taking turns in one process, as ratios of process time.

Two arms of 100 seeds on three eval sets; every peer gets as many replicates as we do.

Ours is everything that `compare` prints for three eval sets: Welch interval, verdict, 9,999 permutations, P(B > A) with
its interval, Hedges' g; then the same with the details: medians, ranks, spreads. The peers, on the same eval sets:

- deep-significance, `aso`: its almost-stochastic-order test (package `deepsig`);
- rliable, the same questions: `get_interval_estimates` of the mean of either arm and of `probability_of_improvement`,
  the two calls of its README that a comparison needs (package `rliable`, pandas < 3);
- rliable, four aggregates: median, IQM, mean and optimality gap of either arm, the README's first call;
- rliable, means alone: less than a comparison, the cheapest call there is.

A peer that is not installed is left out, with a note::

    python benchmarks/stats.py --replicates 9999 --rounds 3
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np

from seedstudy.decide.verdict import Rule, decide
from seedstudy.stats.compare import compare, details

Data = dict[str, tuple[np.ndarray, np.ndarray]]
"""Per eval set the results of arm A and of arm B."""
Runner = Callable[[Data, int], None]

N_SEEDS = 100
EVAL_SETS = {"val": (79.72, 0.10), "real": (85.37, 0.08), "v2": (67.99, 0.23)}
"""Mean and std of 100 seeds of recipe A2 in "ResNet strikes back" (Wightman et al. 2021), in percentage points."""


def arms(rng: np.random.Generator) -> Data:
    """Draw both arms on every eval set, B better by half a std."""
    return {
        name: (rng.normal(mean, sd, N_SEEDS), rng.normal(mean + sd / 2, sd, N_SEEDS))
        for name, (mean, sd) in EVAL_SETS.items()
    }


def ours(data: Data, replicates: int) -> None:
    """Compare and decide on every eval set."""
    rng = np.random.default_rng(0)
    for a, b in data.values():
        decide(compare(a, b, rng=rng, margin=0.1, resamples=replicates), Rule(margin=0.1))


def ours_with_details(data: Data, replicates: int) -> None:
    """Compare, decide and compute the details on every eval set."""
    ours(data, replicates)
    for a, b in data.values():
        details(a, b)


def deep_significance(data: Data, replicates: int) -> None:
    """Run almost stochastic order on every eval set."""
    from deepsig import aso

    for a, b in data.values():
        aso(b, a, num_bootstrap_iterations=replicates, show_progress=False, seed=0)


def rliable_questions(data: Data, replicates: int) -> None:
    """Bootstrap the means of both arms, and P(B > A), on every eval set."""
    from rliable import metrics

    rliable_means(data, replicates)
    _rliable_pairs(data, replicates, lambda b, a: np.array([metrics.probability_of_improvement(b, a)]))


def rliable_aggregates(data: Data, replicates: int) -> None:
    """Bootstrap median, IQM, mean and optimality gap of both arms on every eval set."""
    from rliable import metrics

    aggregates = (
        metrics.aggregate_median,
        metrics.aggregate_iqm,
        metrics.aggregate_mean,
        metrics.aggregate_optimality_gap,
    )
    _rliable_arms(data, replicates, lambda scores: np.array([aggregate(scores) for aggregate in aggregates]))


def rliable_means(data: Data, replicates: int) -> None:
    """Bootstrap the mean of both arms on every eval set."""
    _rliable_arms(data, replicates, lambda scores: np.array([np.mean(scores)]))


def _rliable_arms(data: Data, replicates: int, aggregate: Callable[[np.ndarray], np.ndarray]) -> None:
    from rliable import library

    for a, b in data.values():
        library.get_interval_estimates({"a": a[:, None], "b": b[:, None]}, aggregate, reps=replicates)


def _rliable_pairs(data: Data, replicates: int, pair: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    from rliable import library

    for a, b in data.values():
        library.get_interval_estimates({"b,a": [b[:, None], a[:, None]]}, pair, reps=replicates)


RUNNERS: dict[str, tuple[str, Runner]] = {
    "ours": ("seedstudy", ours),
    "ours with details": ("seedstudy", ours_with_details),
    "deep-significance, ASO": ("deepsig", deep_significance),
    "rliable, the same questions": ("rliable", rliable_questions),
    "rliable, four aggregates": ("rliable", rliable_aggregates),
    "rliable, means alone": ("rliable", rliable_means),
}
"""Who compares: the package it needs, and the function; ours first."""


def measured(runners: dict[str, Runner], data: Data, replicates: int, rounds: int) -> dict[str, list[float]]:
    """Return each runner's process time per round, in seconds; they take turns."""
    for runner in runners.values():
        runner(data, 19)  # imports and first calls are not measured
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, runner in runners.items():
            started = time.process_time()
            runner(data, replicates)
            seconds[name].append(time.process_time() - started)
    return seconds


def main() -> None:
    """Take turns, then print medians, and ratios with their range over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=9_999)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="+", default=[], metavar="PACKAGE", help="peers that do not take part")
    options = parser.parse_args()
    data = arms(np.random.default_rng(0))
    print(f"{N_SEEDS} seeds per arm, {len(data)} eval sets, {options.replicates} replicates, {options.rounds} rounds")
    runners: dict[str, Runner] = {}
    for name, (package, runner) in RUNNERS.items():
        if package in options.without:
            continue
        if importlib.util.find_spec(package):
            runners[name] = runner
        else:
            print(f"  {name}: package {package} is not installed, left out")
    seconds = measured(runners, data, options.replicates, options.rounds)
    for name, times in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(times, seconds["ours"], strict=True)]
        print(
            f"  {name}: {statistics.median(times):.3g} s of process time, "
            f"{statistics.median(ratios):.3g} x ours ({min(ratios):.3g} to {max(ratios):.3g})"
        )


if __name__ == "__main__":
    main()
