"""How fast is a full comparison? Ours against two peers, taking turns in one process, as ratios of process time.

Two arms of 100 seeds on three eval sets. Ours does everything `compare` prints: Welch, 9,999 permutations, ranks, BCa
bootstrap, effect sizes, spreads. The peers, each with as many replicates:

- deep-significance: `aso`, its almost-stochastic-order test (package `deepsig`);
- rliable: `get_interval_estimates`, percentile bootstrap intervals of both arms, once of the mean alone and once of the
  four aggregates of its README (package `rliable`, pandas < 3).

A peer that is not installed is left out, and said to be::

    python benchmarks/stats.py --replicates 9999 --rounds 3
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np

from seedstudy.stats.compare import compare
from seedstudy.verdict import Rule, decide

Data = dict[str, tuple[np.ndarray, np.ndarray]]
"""Per eval set the results of arm A and of arm B."""

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


def deep_significance(data: Data, replicates: int) -> None:
    """Run almost stochastic order on every eval set."""
    from deepsig import aso

    for a, b in data.values():
        aso(b, a, num_bootstrap_iterations=replicates, show_progress=False, seed=0)


def rliable_mean(data: Data, replicates: int) -> None:
    """Bootstrap the mean of both arms on every eval set."""
    _rliable(data, replicates, lambda scores: np.array([np.mean(scores)]))


def rliable_readme(data: Data, replicates: int) -> None:
    """Bootstrap median, IQM, mean and optimality gap of both arms on every eval set."""
    from rliable import metrics

    aggregates = (
        metrics.aggregate_median,
        metrics.aggregate_iqm,
        metrics.aggregate_mean,
        metrics.aggregate_optimality_gap,
    )
    _rliable(data, replicates, lambda scores: np.array([aggregate(scores) for aggregate in aggregates]))


def _rliable(data: Data, replicates: int, aggregate: Callable[[np.ndarray], np.ndarray]) -> None:
    from rliable import library

    for a, b in data.values():
        library.get_interval_estimates({"a": a[:, None], "b": b[:, None]}, aggregate, reps=replicates)


PEERS: dict[str, tuple[str, Callable[[Data, int], None]]] = {
    "deep-significance ASO": ("deepsig", deep_significance),
    "rliable, mean": ("rliable", rliable_mean),
    "rliable, four aggregates": ("rliable", rliable_readme),
}


def main() -> None:
    """Take turns, then print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=9_999)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="peers that take part")
    options = parser.parse_args()
    runners = {"ours": ours}
    for name in options.peers:
        package, runner = PEERS[name]
        if importlib.util.find_spec(package):
            runners[name] = runner
        else:
            print(f"{name}: package {package} is not installed, left out")
    data = arms(np.random.default_rng(0))
    for runner in runners.values():
        runner(data, 19)  # imports and first calls are not measured
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(options.rounds):
        for name, runner in runners.items():
            started = time.process_time()
            runner(data, options.replicates)
            seconds[name].append(time.process_time() - started)
    base = statistics.median(seconds["ours"])
    print(f"{N_SEEDS} seeds per arm, {len(data)} eval sets, {options.replicates} replicates, {options.rounds} rounds")
    for name, times in seconds.items():
        median = statistics.median(times)
        spread = f"{min(times):.2f} to {max(times):.2f}"
        print(f"{name}: {median:.2f} s of process time ({spread}), {median / base:.1f} x ours")


if __name__ == "__main__":
    main()
