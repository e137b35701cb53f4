"""How often a race of equal recipes claims a difference, about these images and about new ones.

Images are drawn with a difficulty and a taste: how much easier each is for one arm than for the other. Tastes are
symmetric about 0, so that on endless images both arms are equal, while on the images of one test set they are not.

python -m studies.images_coverage.race --races 1000
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import special

from seedstudy.decide.race import RaceRule, replay
from seedstudy.stats.race import Plan
from studies.images_coverage.coverage import share

N_IMAGES, MOST = 500, 10
TASTES = (0.0, 0.5, 2.0)
"""Std over images of the taste, in logits."""
SKILLS = (0.1,)
"""Std over seeds of the skill, in logits."""


def worlds(taste: float, skill: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw a test set and the seeds of two arms: which images each has right."""
    difficulty, liking = rng.normal(1.5, 2.0, N_IMAGES), rng.normal(0.0, taste, N_IMAGES)
    found = {}
    for arm, sign in (("a", -0.5), ("b", 0.5)):
        logits = difficulty + sign * liking + rng.normal(0.0, skill, (MOST, 1))
        found[arm] = rng.random((MOST, N_IMAGES)) < special.expit(logits)
    return found


def main() -> None:
    """Print one row per design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--races", type=int, default=1_000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    for method in ("obrien-fleming", "pocock", "anytime"):
        for taste in TASTES:
            for skill in SKILLS:
                wrong = {"these": 0, "new": 0}
                for _ in range(options.races):
                    correct = worlds(taste, skill, rng)
                    values = {arm: 100.0 * matrix.mean(axis=1) for arm, matrix in correct.items()}
                    for images in wrong:
                        plan = Plan(method=method, first=3, every=1, most=MOST)
                        rule = RaceRule(arms=("a", "b"), plan=plan, images=images)
                        race = replay(values, rule, correct=correct)
                        wrong[images] += race.pairs[0].verdict in ("better", "worse")
                shares = " | ".join(share(wrong[images], options.races) for images in ("new", "these"))
                print(f"| {method} | {taste:g} | {skill:g} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
