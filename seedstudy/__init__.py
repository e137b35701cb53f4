"""Is recipe B really better than recipe A, or did it get a lucky seed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from seedstudy.api import Answer, Comparisons, compare, load_predictions, load_trials, summary
    from seedstudy.recipe import Recipe, load_recipe
    from seedstudy.study import Study, load_study

__all__ = [
    "Answer",
    "Comparisons",
    "Recipe",
    "Study",
    "__version__",
    "compare",
    "load_predictions",
    "load_recipe",
    "load_study",
    "load_trials",
    "summary",
]

_HOMES = {
    "Answer": "api",
    "Comparisons": "api",
    "Recipe": "recipe",
    "Study": "study",
    "compare": "api",
    "load_predictions": "api",
    "load_recipe": "recipe",
    "load_study": "study",
    "load_trials": "api",
    "summary": "api",
}


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used (PEP 562): `import seedstudy` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seedstudy' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"seedstudy.{_HOMES[name]}"), name)
