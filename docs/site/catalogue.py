"""docs/catalogue.md, every value of the packaged recipes with its source: ``python -m docs.site.catalogue``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import seedstudy.recipes
from seedstudy.recipes.reader import packaged_names
from seedstudy.recipes.recipe import Value, format_value

PAGE = Path(__file__).parents[1] / "catalogue.md"
PACKAGED = Path(seedstudy.recipes.__file__).with_name("packaged")
HEAD = """# All recipes, with sources

Every value of every packaged recipe, with the paper or script that it comes from. [Recipes](recipes.md#all-keys)
explains the keys. The page is made from the recipe files by `python -m docs.site.catalogue`; a test checks that it is
current.

A recipe with a base lists only what differs from the base. "missing" means that no source gives the value: training
stops until you set it.
"""


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, *_overview(), *(line for name in packaged_names() for line in _recipe(name))]) + "\n"


def _read(name: str) -> tuple[list[str], dict[str, Any]]:
    """Return the remarks at the top of a recipe's file, and its content."""
    text = (PACKAGED / f"{name}.toml").read_text(encoding="utf-8")
    remarks = [line.removeprefix("#").strip() for line in text.split("\n\n", 1)[0].splitlines()]
    return remarks, tomllib.loads(text)


def _overview() -> Iterator[str]:
    yield "| recipe | what it is | base | networks |\n|---|---|---|---|"
    for name in packaged_names():
        _, recipe = _read(name)
        networks = len(recipe.get("models", {}).keys() - {"source"})
        base = f"[{recipe['base']}](#{recipe['base']})" if "base" in recipe else ""
        yield f"| [{name}](#{name}) | {_cell(recipe['title'])} | {base} | {networks or ''} |"
    yield ""


def _recipe(name: str) -> Iterator[str]:
    remarks, recipe = _read(name)
    yield f"## {name}\n\n**{_plain(recipe['title'])}**\n"
    for remark in remarks:
        yield f"- {_plain(remark)}"
    if "base" in recipe:
        yield f"- Base: [{recipe['base']}](#{recipe['base']})"
    if recipe.get("differences"):
        yield "\nWhere our training differs from the source:\n"
        yield from (f"- {_plain(difference)}" for difference in recipe["differences"])
    if recipe.get("values"):
        yield "\n| key | value | source |\n|---|---|---|"
        yield from (_row(key, given) for key, given in recipe["values"].items())
    models = dict(recipe.get("models", {}))
    source = models.pop("source", "")
    if models:
        yield f"\n| network | values of its own{f' ({_cell(source)})' if source else ''} |\n|---|---|"
        for model, own in models.items():
            yield f"| `{model}` | {', '.join(f'`{key}` {_value(value)}' for key, value in own.items())} |"
    yield ""


def _row(key: str, given: Any) -> str:
    if not isinstance(given, dict):
        return f"| `{key}` | {_value(given)} |  |"
    if "missing" in given:
        return f"| `{key}` | missing | {_cell(given['missing'])} |"
    return f"| `{key}` | {_value(given['value'])} | {_cell(given['source'])} |"


def _value(value: Any) -> str:
    shown: Value = tuple(value) if isinstance(value, list) else value
    return f"`{format_value(shown)}`"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return a text in which nothing is Markdown."""
    return text.replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
