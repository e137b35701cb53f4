"""How many of the images that `seedstudy images` says differ do not: simulated arms, and one real sweep split in two.

Simulated: 2,000 images of unequal difficulty, in each arm seeds of unequal skill (which moves all images together). In
a share of the images the arms differ; the false discovery rate is the mean share of the others among those found.
Real: seeds of one recipe are dealt to two arms, so that every image that is found is false.

python -m studies.images_coverage.false_discoveries --replicates 1000 [--sweep RESULTS STUDY:RECIPE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import special

from seedstudy.decide.given import arms_of
from seedstudy.decide.select import Source, select_arms
from seedstudy.stats.which_images import differing_images
from studies.images_coverage.coverage import share

N_IMAGES, FDR = 2_000, 0.05
SEEDS = ((4, 4), (5, 5), (8, 8), (5, 10), (10, 10), (20, 20))
WORLDS = ((0.0, 0.0), (0.05, 3.0), (0.2, 2.0))
"""Share of images in which the arms differ, and by how much, in logits."""
SKILL = 0.3
"""Std over seeds of the skill, in logits."""


def simulated(n_a: int, n_b: int, differing: float, shift: float, replicates: int, rng: np.random.Generator) -> str:
    """Return a row: the false discovery rate, how often anything false is found, and the share of differences found."""
    false_share, n_any, found = np.empty(replicates), 0, []
    for k in range(replicates):
        difficulty = rng.normal(1.5, 2.5, N_IMAGES)
        differs = rng.random(N_IMAGES) < differing
        moved = np.where(differs, shift * rng.choice((-1.0, 1.0), N_IMAGES), 0.0)
        right = [
            (rng.random((n, N_IMAGES)) < special.expit(logits + rng.normal(0.0, SKILL, (n, 1)))).sum(axis=0)
            for n, logits in ((n_a, difficulty), (n_b, difficulty + moved))
        ]
        seen = differing_images(right[0], n_a, right[1], n_b, fdr=FDR).differs
        n_false = int((seen & ~differs).sum())
        false_share[k] = n_false / max(1, int(seen.sum()))
        n_any += n_false > 0
        found.append(float((seen & differs).sum()) / max(1, int(differs.sum())))
    half = 1.96 * false_share.std(ddof=1) / replicates**0.5
    power = f"{np.mean(found):.3f}" if differing else "–"
    rate = f"{false_share.mean():.4f} ± {half:.4f}"
    return f"| {n_a} + {n_b} | {100 * differing:.0f} % | {rate} | {share(n_any, replicates)} | {power} |"


def real(correct: np.ndarray, n: int, replicates: int, rng: np.random.Generator) -> str:
    """Return a row: how often anything is found between two arms that are seeds of one recipe."""
    n_any = 0
    for _ in range(replicates):
        seeds = rng.permutation(len(correct))[: 2 * n]
        a, b = correct[seeds[:n]].sum(axis=0), correct[seeds[n:]].sum(axis=0)
        n_any += bool(differing_images(a, n, b, n, fdr=FDR).differs.any())
    return f"| {n} + {n} | 0 % (a real sweep) | {share(n_any, replicates)} | | – |"


def main() -> None:
    """Print one row per design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("--sweep", nargs=2, metavar=("RESULTS", "STUDY:RECIPE"))
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    for n_a, n_b in SEEDS:
        for differing, shift in WORLDS:
            print(simulated(n_a, n_b, differing, shift, options.replicates, rng), flush=True)
    if options.sweep:
        source = Source(results=Path(options.sweep[0]), eval_sets=("val",))
        ((group,),) = select_arms(arms_of([options.sweep[1]], of="false discoveries"), source)
        known = source.correct(group)
        assert known is not None
        for n in (5, 10, 20, 50):
            print(real(known[0], n, options.replicates, rng), flush=True)


if __name__ == "__main__":
    main()
