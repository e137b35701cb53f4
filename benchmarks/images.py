"""How fast are seeds and images read together? 2 x 100 seeds x 50,000 images, 10,000 bootstrap replicates.

Ours (`bootstrap_both`) against the multi-bootstrap written row by row in Python (NumPy within a row), of which a few
replicates are timed; then the closed form, and what it adds to `compare`::

    python benchmarks/images.py --folder /tmp/bench
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np

import seedstudy as ss
from benchmarks.scale import eval_set, make
from seedstudy.stats.images import arm_on_images, bootstrap_both, difference_on_new_images

N_SEEDS, N_IMAGES = 100, 50_000


def arms(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two arms of equal accuracy (.76): images differ in difficulty, arms in taste, seeds in skill."""
    difficulty, taste = rng.normal(2.2, 2.6, N_IMAGES), rng.normal(0.0, 0.4, N_IMAGES)

    def arm(sign: int) -> np.ndarray:
        logits = difficulty + sign * taste + rng.normal(0.0, 0.05, (N_SEEDS, 1))
        return rng.random((N_SEEDS, N_IMAGES)) < 1 / (1 + np.exp(-logits))

    return arm(-1), arm(1)


def by_row(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, n_replicates: int) -> np.ndarray:
    """Draw seeds and images with replacement, and take the mean of each network that was drawn."""
    found = np.empty(n_replicates)
    for k in range(n_replicates):
        images = rng.integers(0, a.shape[1], a.shape[1])
        means = [np.mean([arm[seed][images].mean() for seed in rng.integers(0, len(arm), len(arm))]) for arm in (a, b)]
        found[k] = means[1] - means[0]
    return found


def process_s(work: object, rounds: int = 3) -> float:
    """Return the median process time of a function without arguments."""
    assert callable(work)
    seconds = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds)


def main() -> None:
    """Measure, and print seconds of process time, ratios and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="results folder to make for compare; none: leave that out")
    parser.add_argument("--replicates", type=int, default=10_000)
    options = parser.parse_args()
    a, b = arms(np.random.default_rng(0))
    ours = process_s(lambda: bootstrap_both(a, b, rng=np.random.default_rng(0), n_replicates=options.replicates))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    few = 3
    theirs = process_s(lambda: by_row(a, b, np.random.default_rng(0), few), 1) / few * options.replicates
    print(f"{options.replicates} replicates: {ours:.2f} s of process time, peak {peak:.0f} MiB")
    print(f"row by row: {theirs:.0f} s, from {few} replicates: {theirs / ours:.0f} x ours")
    closed = process_s(lambda: difference_on_new_images(arm_on_images(a), arm_on_images(b)))
    print(f"closed form: {closed:.3f} s")
    if options.folder is None:
        return
    os.fsync = lambda descriptor: None  # writing the study is not measured
    make(options.folder, "pair", 2, {"val": eval_set("val", N_IMAGES)})
    from seedstudy.decide.images import OnImages

    def compare() -> object:
        return ss.compare("r0", "r1", results=options.folder, study="pair")

    compare()
    known = process_s(compare)
    reading = OnImages.reading
    OnImages.reading = lambda *_, **__: None  # type: ignore[method-assign]
    without = process_s(compare)
    OnImages.reading = reading  # type: ignore[method-assign]
    for file in (options.folder / "pair" / "images").iterdir():
        file.unlink()
    first = process_s(compare, 1)
    print(f"compare: {without:.2f} s without images, {known:.2f} s with, {first:.2f} s where the copy is made first")


if __name__ == "__main__":
    main()
