"""The list of keys in docs/recipes.md, made from their declaration: ``python -m tests.recipes.key_table``."""

from __future__ import annotations

from pathlib import Path

from seedstudy.recipes.recipe import KEYS, TABLE_2, allowed_in_words, format_value

DOCUMENT = Path(__file__).parents[2] / "docs" / "recipes.md"
START, END = "<!-- keys: made by tests/recipes/key_table.py -->\n", "<!-- end of keys -->\n"


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| key | value | meaning | since |", "|---|---|---|---|"]
    for name, key in KEYS.items():
        value = allowed_in_words(key).replace('"', "`")
        meaning = key.meaning + (f' RSB Table 2: "{TABLE_2[name]}".' if name in TABLE_2 else "")
        since = f"{key.since}; before: `{format_value(key.before)}`" if key.since > 1 else "1"
        lines.append(f"| `{name}` | {value} | {meaning} | {since} |")
    return "\n".join(lines) + "\n"


def parts() -> tuple[str, str, str]:
    """Return the document before the table, the table, and the rest."""
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(START)
    listed, after = rest.split(END)
    return before + START, listed, END + after


if __name__ == "__main__":
    before, _, after = parts()
    DOCUMENT.write_text(before + table() + after, encoding="utf-8")
