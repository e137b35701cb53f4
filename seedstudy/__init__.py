"""Is recipe B really better than recipe A, or did it get a lucky seed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from seedstudy.api import compare, fit, grid, load_predictions, load_trials, summary
    from seedstudy.decide.audit import audit
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.plan import power
    from seedstudy.decide.racing import race_replay
    from seedstudy.recipes.reader import load_recipe
    from seedstudy.recipes.recipe import Recipe
    from seedstudy.show.plots.audit import plot_audit
    from seedstudy.show.plots.canvas import save_picture
    from seedstudy.show.plots.distributions import plot_distributions
    from seedstudy.show.plots.estimation import plot_estimation
    from seedstudy.show.plots.fits import plot_fits
    from seedstudy.show.plots.power import plot_power
    from seedstudy.show.plots.race import plot_race
    from seedstudy.stats.audit import best_of
    from seedstudy.study.study import Study, load_study

__all__ = [
    "Answer",
    "Comparisons",
    "Recipe",
    "Study",
    "__version__",
    "audit",
    "best_of",
    "compare",
    "fit",
    "grid",
    "load_predictions",
    "load_recipe",
    "load_study",
    "load_trials",
    "plot_audit",
    "plot_distributions",
    "plot_estimation",
    "plot_fits",
    "plot_power",
    "plot_race",
    "power",
    "race_replay",
    "save_picture",
    "summary",
]

_HOMES = {
    "Answer": "decide.compare.Answer",
    "Comparisons": "decide.compare.Comparisons",
    "Recipe": "recipes.recipe.Recipe",
    "Study": "study.study.Study",
    "audit": "decide.audit.audit",
    "best_of": "stats.audit.best_of",
    "compare": "api.compare",
    "fit": "api.fit",
    "grid": "api.grid",
    "load_predictions": "api.load_predictions",
    "load_recipe": "recipes.reader.load_recipe",
    "load_study": "study.study.load_study",
    "load_trials": "api.load_trials",
    "plot_audit": "show.plots.audit.plot_audit",
    "plot_distributions": "show.plots.distributions.plot_distributions",
    "plot_estimation": "show.plots.estimation.plot_estimation",
    "plot_fits": "show.plots.fits.plot_fits",
    "plot_power": "show.plots.power.plot_power",
    "plot_race": "show.plots.race.plot_race",
    "power": "decide.plan.power",
    "race_replay": "decide.racing.race_replay",
    "save_picture": "show.plots.canvas.save_picture",
    "summary": "api.summary",
}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562): `import seedstudy` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seedstudy' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _HOMES[name].rpartition(".")
    return getattr(import_module(f"seedstudy.{module}"), attribute)
