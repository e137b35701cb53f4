"""Is recipe B really better than recipe A, or did it get a lucky seed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from seedstudy.api.choices import about, check_data, data_sets, example, explain, resize_data, schema
    from seedstudy.api.elsewhere import cost, evaluate, import_files, inspect_files
    from seedstudy.api.images import images, save_images
    from seedstudy.api.in_script import TrialReport, trial
    from seedstudy.api.judging import across_data, compare, fit, gate, grid, race, scaling, summary, variance
    from seedstudy.api.kept import evaluate_trials
    from seedstudy.api.picturing import plot
    from seedstudy.api.planning import audit, power
    from seedstudy.api.pseudolabel import pseudolabel
    from seedstudy.api.reporting import report, save_report
    from seedstudy.api.studies import dry_run, init, load_predictions, load_trials, run, status
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.recipes.reader import load_recipe
    from seedstudy.recipes.recipe import Recipe
    from seedstudy.show.plots.audit import plot_audit
    from seedstudy.show.plots.canvas import save_picture
    from seedstudy.show.plots.distributions import plot_distributions, plot_fits
    from seedstudy.show.plots.estimation import plot_estimation
    from seedstudy.show.plots.power import plot_power
    from seedstudy.show.plots.race import plot_race
    from seedstudy.show.plots.scaling import plot_scaling
    from seedstudy.show.plots.sizes import plot_test_sizes
    from seedstudy.stats.audit import best_of
    from seedstudy.study.study import Study, load_study

__all__ = [
    "Answer",
    "Comparisons",
    "Recipe",
    "Study",
    "TrialReport",
    "__version__",
    "about",
    "across_data",
    "audit",
    "best_of",
    "check_data",
    "compare",
    "cost",
    "data_sets",
    "dry_run",
    "evaluate",
    "evaluate_trials",
    "example",
    "explain",
    "fit",
    "gate",
    "grid",
    "images",
    "import_files",
    "init",
    "inspect_files",
    "load_predictions",
    "load_recipe",
    "load_study",
    "load_trials",
    "plot",
    "plot_audit",
    "plot_distributions",
    "plot_estimation",
    "plot_fits",
    "plot_power",
    "plot_race",
    "plot_scaling",
    "plot_test_sizes",
    "power",
    "pseudolabel",
    "race",
    "report",
    "resize_data",
    "run",
    "save_images",
    "save_picture",
    "save_report",
    "scaling",
    "schema",
    "status",
    "summary",
    "trial",
    "variance",
]
_HOMES = {
    **dict.fromkeys(
        (
            "about",
            "check_data",
            "data_sets",
            "example",
            "explain",
            "resize_data",
            "schema",
        ),
        "api.choices",
    ),
    **dict.fromkeys(
        (
            "cost",
            "evaluate",
            "import_files",
            "inspect_files",
        ),
        "api.elsewhere",
    ),
    **dict.fromkeys(
        (
            "across_data",
            "compare",
            "fit",
            "gate",
            "grid",
            "race",
            "scaling",
            "summary",
            "variance",
        ),
        "api.judging",
    ),
    **dict.fromkeys(
        (
            "audit",
            "power",
        ),
        "api.planning",
    ),
    **dict.fromkeys(
        (
            "report",
            "save_report",
        ),
        "api.reporting",
    ),
    **dict.fromkeys(
        (
            "dry_run",
            "init",
            "load_predictions",
            "load_trials",
            "run",
            "status",
        ),
        "api.studies",
    ),
    **dict.fromkeys(
        (
            "TrialReport",
            "trial",
        ),
        "api.in_script",
    ),
    "Answer": "decide.compare",
    "Comparisons": "decide.compare",
    "Recipe": "recipes.recipe",
    "Study": "study.study",
    "best_of": "stats.audit",
    "images": "api.images",
    "save_images": "api.images",
    "evaluate_trials": "api.kept",
    "load_recipe": "recipes.reader",
    "load_study": "study.study",
    "plot": "api.picturing",
    "pseudolabel": "api.pseudolabel",
    "plot_audit": "show.plots.audit",
    "plot_distributions": "show.plots.distributions",
    "plot_estimation": "show.plots.estimation",
    "plot_fits": "show.plots.distributions",
    "plot_power": "show.plots.power",
    "plot_race": "show.plots.race",
    "plot_scaling": "show.plots.scaling",
    "plot_test_sizes": "show.plots.sizes",
    "save_picture": "show.plots.canvas",
}
"""Public name -> its module. None of them is also the name of a room: an imported room would hide it."""


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562): `import seedstudy` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seedstudy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"seedstudy.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names: what tab completion offers."""
    return sorted(__all__)
