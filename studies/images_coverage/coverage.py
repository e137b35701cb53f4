"""How often the intervals for new images hold the truth: subsets of real prediction matrices are drawn.

The complete matrix is the world: its mean is the truth. From it come images (and seeds), drawn with replacement.

python -m studies.images_coverage.coverage --published FOLDER --sweeps RESULTS A:RECIPE B:RECIPE --draws 10000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from seedstudy.decide.given import arms_of
from seedstudy.decide.select import Source, select_arms
from seedstudy.stats.images import (
    arm_on_images,
    difference_on_new_images,
    mean_on_new_images,
    paired_networks,
)
from seedstudy.stats.welch import interval, welch


def share(hits: int, draws: int) -> str:
    """Return a coverage with its 95 % Monte-Carlo interval."""
    p = hits / draws
    return f"{p:.4f} ± {1.96 * (p * (1 - p) / draws) ** 0.5:.4f}"


def of_networks(folder: Path, draws: int, rng: np.random.Generator) -> None:
    """Draw images of ImageNet-V2 for pairs of published networks: Tango's interval."""
    arrays = np.load(folder / "v2_matched.npz")
    for a, b in (
        ("resnet50", "se_resnet50"),
        ("resnet101", "resnet152"),
        ("vgg16", "resnet34"),
        ("alexnet", "resnet152"),
    ):
        first, second = arrays[a] == arrays["label"], arrays[b] == arrays["label"]
        truth = second.mean() - first.mean()
        for n in (500, 2000):
            hits = 0
            for _ in range(draws):
                images = rng.integers(0, len(first), n)
                found = paired_networks(first[images], second[images]).difference
                hits += found.low <= truth <= found.high
            print(f"two networks | {b} - {a} | 1 | {n} | {share(hits, draws)} | |", flush=True)


def of_seeds(results: Path, names: list[str], draws: int, rng: np.random.Generator) -> None:
    """Draw seeds and images of two sweeps: the interval for new images, and Welch's on the images as they are."""
    source = Source(results=results, eval_sets=("val",))
    groups = [arm[0] for arm in select_arms(arms_of(names, of="coverage"), source)]
    matrices = [found[0] for group in groups if (found := source.correct(group)) is not None]
    truth = matrices[1].mean() - matrices[0].mean()
    for n_seeds, n in ((3, 100), (3, 500), (5, 100), (5, 500), (10, 100), (10, 500)):
        hits = hits_mean = hits_seeds = 0
        for _ in range(draws):
            images = rng.integers(0, matrices[0].shape[1], n)
            drawn = [m[rng.integers(0, len(m), n_seeds)][:, images] for m in matrices]
            arms = [arm_on_images(m) for m in drawn]
            if not any(arm.variance for arm in arms):
                continue
            found = difference_on_new_images(*arms).estimate
            hits += found.low <= truth <= found.high
            mean = mean_on_new_images(arms[1]).estimate
            hits_mean += mean.low <= matrices[1].mean() <= mean.high
            moments = [(arm.accuracies.mean(), arm.accuracies.std(ddof=1), n_seeds) for arm in arms]
            low, high = interval(welch(*moments[0], *moments[1]), 0.95)
            hits_seeds += low <= truth <= high
        shares = (share(each, draws) for each in (hits, hits_mean, hits_seeds))
        print(f"sweeps | {names[1]} - {names[0]} | {n_seeds} | {n} | {' | '.join(shares)} |", flush=True)


def main() -> None:
    """Print one row per design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path)
    parser.add_argument("--sweeps", nargs=3, metavar=("RESULTS", "A", "B"))
    parser.add_argument("--draws", type=int, default=10_000)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    if options.sweeps:
        of_seeds(Path(options.sweeps[0]), options.sweeps[1:], options.draws, rng)
    if options.published:
        of_networks(options.published, options.draws, rng)


if __name__ == "__main__":
    main()
