"""The words of a race."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seedstudy.decide.race import Race, RaceRule, replay
from seedstudy.show.race import look_lines, race_tables
from seedstudy.stats.race import Plan


def ended(n: int = 12, **plan: object) -> Race:
    rng = np.random.default_rng(1)
    values = {"a3": rng.normal(78.0, 0.1, n), "a2": rng.normal(79.0, 0.1, n)}
    return replay(values, RaceRule(arms=("a3", "a2"), plan=Plan(most=12, **plan)))  # type: ignore[arg-type]  # by name


def test_a_look_says_what_it_showed_what_it_needs_and_what_follows() -> None:
    (line,) = look_lines(ended(3))
    assert line.startswith("look at 3 seeds: a2 - a3 = +0.95 [-9.97, 11.88], p = 0.0034")
    assert " (needs " in line
    assert line.endswith(", continue")
    (line,) = look_lines(ended())
    assert line.endswith(", better")
    (line,) = look_lines(ended(method="anytime"))
    assert " needs " not in line, "a confidence sequence has no p"


def test_the_end_of_a_race_says_verdict_and_seeds(rendered: Callable[..., str]) -> None:
    race = ended()
    text = rendered(race_tables(race), 200)
    assert text.startswith("a2 is BETTER than a3 on val, shown at ")
    assert f"{race.seeds_used} seeds used, {24 - race.seeds_used} of 24 saved." in text
    assert "alpha 0.05 over all looks" in text
    text = rendered(race_tables(ended(3)), 200)
    assert text.startswith("INCONCLUSIVE on val: a2 - a3 = ")
    assert "Next: not over: the next look needs a3 4, a2 4 seeds." in text
