"""Where two recipes differ."""

from __future__ import annotations

from seedstudy.recipes.recipe import KEYS, Recipe, Value


def changes(a: Recipe, b: Recipe) -> list[tuple[str, Value, Value]]:
    """Return (key, value in a, value in b) where they differ, in the order of the keys."""
    old, new = a.values(), b.values()
    return [(key, old[key], new[key]) for key in KEYS if old[key] != new[key]]
