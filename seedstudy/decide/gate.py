"""Whether new seeds pass the gate that a baseline sweep sets, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from seedstudy.document import FLAT, fields_of
from seedstudy.stats.gate import Gate, gate
from seedstudy.stats.result import decimals_for
from seedstudy.stats.sample import mean_of
from seedstudy.study.group import Group


@dataclass(frozen=True, kw_only=True, slots=True)
class GateAnswer:
    """New seeds against a baseline's threshold."""

    metric: str
    unit: str | None
    """``pp`` for accuracies, which are in percent."""
    new_mean: float
    gate: Gate = field(metadata=FLAT)

    @property
    def passes(self) -> bool:
        """Whether the new seeds are not shown to be worse."""
        return self.gate.passes(self.new_mean)

    @property
    def sentence(self) -> str:
        """What was found, against what, and how often such a finding is wrong."""
        g = self.gate
        d = decimals_for(g.sd)
        points = " points" if self.unit == "pp" else ""
        side = "above" if g.lower_is_better else "below"
        seeds = "1 new seed" if g.n_new == 1 else f"the mean of {g.n_new} new seeds"
        beyond = "not worse" if self.passes else "worse"
        where = f"within {g.threshold:.{d}f}" if self.passes else f"{side} {g.threshold:.{d}f}"
        equal = "Seeds worse by the margin" if g.margin else "Equally good seeds"
        allowed = f", margin {g.margin:g}" if g.margin else ""
        return (
            f"{self.metric}: {beyond}: {seeds} is {self.new_mean:.{d}f}, {where}, the threshold from the baseline "
            f"({g.mean:.{d}f} ± {g.sd:.{d}f}, n = {g.n_baseline}{allowed}). {equal} fail in "
            f"{100 * g.alpha:.3g} of 100 runs; seeds worse by {g.detectable:.{d}f}{points} fail in "
            f"{100 * g.power:.3g} of 100."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as a document."""
        return fields_of(self) | {"passes": self.passes}


def judge_gate(
    new: Group, baseline: Group, *, margin: float, alpha: float, power: float, lower_is_better: bool
) -> GateAnswer:
    """Judge one group's seeds by the threshold that another group sets."""
    found = gate(
        baseline.values,
        new.n,
        margin=margin,
        alpha=alpha,
        power=power,
        lower_is_better=lower_is_better,
        name=baseline.label,
    )
    return GateAnswer(metric=baseline.metric, unit=baseline.unit, new_mean=mean_of(new.values), gate=found)
