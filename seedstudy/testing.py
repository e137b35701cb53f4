"""For tests of a training's quality: fail where new seeds are worse than a baseline, and not because of the seed.

    from seedstudy.testing import assert_not_worse

    def test_accuracy():
        assert_not_worse([train(seed) for seed in range(3)], baseline="baseline.csv", margin=0.2)

pytest offers the same function as the fixture ``assert_not_worse`` (seedstudy.pytest_plugin).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seedstudy.decide.gate import GateAnswer
    from seedstudy.decide.given import Given


def assert_not_worse(
    values: float | Sequence[float],
    *,
    baseline: Given,
    margin: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    metric: str = "top1",
    unit: str | None = None,
    lower_is_better: bool | None = None,
) -> GateAnswer:
    """Raise AssertionError where the mean of new seeds is shown to be worse than a baseline by more than a margin.

    The threshold comes from the baseline's spread: seeds that are worse by exactly the margin fail with probability
    `alpha`, if seeds are normal and spread as the baseline's do (:func:`seedstudy.stats.gate.gate`).

    Parameters
    ----------
    values
        One number per new seed; one number is one seed.
    baseline
        The sweep to be measured against: one number per seed, a file, or a recipe of a study; at least two seeds.
    margin
        How much worse is accepted, in the metric's unit (percentage points for accuracies).
    power
        For the sentence that says how large a drop is seen with this probability.
    metric, unit, lower_is_better
        As for :func:`seedstudy.compare`.

    """
    __tracebackhide__ = True  # pytest shows the caller's line
    from seedstudy.api.judging import gate

    answer = gate(
        [values] if isinstance(values, int | float) else list(values),
        baseline,
        margin=margin,
        alpha=alpha,
        power=power,
        metric=metric,
        unit=unit,
        lower_is_better=lower_is_better,
    )
    if not answer.passes:
        raise AssertionError(answer.sentence)
    return answer
