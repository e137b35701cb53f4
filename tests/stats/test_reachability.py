"""No statistic without a use: what neither a command nor a public name reaches is deleted."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "seedstudy"
WAITING = {"split_variance", "VarianceSplit"}
"""For the command that splits variances, which does not exist yet."""


def names_in(node):
    """Return the names and attributes that code refers to, and the words of its strings (lazy imports are strings)."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def test_every_definition_of_stats_is_reached_from_outside():
    definitions, reached = {}, set()
    for path in PACKAGE.rglob("*.py"):
        in_stats = path.parent == PACKAGE / "stats"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if in_stats and isinstance(node, ast.FunctionDef | ast.ClassDef):
                definitions.setdefault(node.name, set()).update(names_in(node))
            else:
                reached.update(names_in(node))
    assert len(definitions) > 150
    while new := {name for name in reached & definitions.keys() if not definitions[name] <= reached}:
        reached.update(*(definitions[name] for name in new))
    assert definitions.keys() - reached == WAITING
