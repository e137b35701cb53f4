"""Pictures, one file each; seaborn and matplotlib are imported by those files alone. Here: what kinds there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedstudy.errors import StudyError, suggest

SUFFIXES = (".png", ".pdf", ".svg")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of picture."""

    question: str
    """The public function whose answer is drawn."""
    answer: str
    """Class of that answer."""
    draw: str
    """Module and function."""
    help: str


KINDS: Mapping[str, Kind] = {
    "distribution": Kind("summary", "Summaries", "distributions.plot_distributions", "seeds (RSB Figure 2)"),
    "fit": Kind("fit", "Fits", "distributions.plot_fits", "histogram with fitted families, quantiles"),
    "quantiles": Kind("fit", "Fits", "distributions.plot_quantiles", "normal quantile plot of one recipe"),
    "estimation": Kind("compare", "Comparisons", "estimation.plot_estimation", "seeds, means, differences, margin"),
    "forest": Kind("compare", "Comparisons", "estimation.plot_forest", "differences by recipe and eval set, margin"),
    "means": Kind("summary", "Summaries", "curves.plot_running_means", "mean and interval against the number of seeds"),
    "curves": Kind("report", "Report", "curves.plot_curves", "learning curves with a band over seeds"),
    "sets": Kind("summary", "Summaries", "sets.plot_sets", "seeds on val against the other eval sets"),
    "grid": Kind("grid", "Grids", "grid.plot_grid", "heat map of architecture x recipe, undecided cells marked"),
    "components": Kind("variance", "Variances", "components.plot_components", "where the variance comes from"),
    "images": Kind("images", "WhichImages", "flips.plot_flips", "how many seeds have each image right, and flips"),
    "race": Kind("race", "Race", "race.plot_race", "path of a race (replayed) with its boundaries"),
    "power": Kind("power", "PowerPlan", "power.plot_power", "power against seeds; WHAT is a pilot, or give --sd"),
    "pareto": Kind("scaling", "Scaling", "scaling.plot_pareto", "accuracy against cost, with seed intervals"),
    "scaling": Kind("scaling", "Scaling", "scaling.plot_scaling", "error against cost, with its power law"),
    "ranks": Kind("audit", "Audit", "audit.plot_audit", "published table: ranks that seeds allow"),
    "ladder": Kind("audit", "Audit", "audit.plot_audit", "published table: each step beside seed noise"),
}
"""Kind -> what it draws; of the kinds of one answer the first is what its ``.plot()`` draws."""


def kind_of(name: str) -> Kind:
    """Return a kind of picture; StudyError, with all kinds, for another name."""
    if name not in KINDS:
        raise StudyError(f'plot: no kind "{name}".{suggest(name, KINDS)} The kinds are {", ".join(KINDS)}.')
    return KINDS[name]


def check_picture(path: Path | None) -> None:
    """Refuse a picture's path before anything is computed or drawn.

    Raises
    ------
    StudyError
        Another suffix, or a folder that does not exist.

    """
    if path is None:
        return
    if path.suffix.lower() not in SUFFIXES:
        raise StudyError(f"{path}: a picture's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    if not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")
