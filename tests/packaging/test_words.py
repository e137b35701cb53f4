"""Plain English: the pages and README keep to a short house list of words (docs/glossary.md has the terms)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "studies").glob("**/README.md")),
]

WORDS = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\b(some|any)body\b": "someone, anyone",
    r"\bat hand\b": "available",
    r"\bjudged by\b": "by",
    r"\bdear(er|est)?\b": "expensive",
    r"\bstands? in\b": "replaces",
    r"\bgoes on\b|\bgo on\b": "continues",
    r"\ball the same\b": "anyway",
    r"\bis told\b|\bare told\b": "is reported",
    r"\btold apart\b|\btells? \w+ apart\b": "distinguished, distinguishes",
    r"\bwhoever\b": "anyone who, if you",
    r"\botherwise than\b": "differently from",
    r"\bpassed over\b": "ignored",
    r"\ba (seed|line|row|trial|cell|step) a (line|row|seed|cell|step)\b": "one per line",
    r"\bwhat it brings\b": "say what",
    r"\b(were|had) (it|they|the \w+|both \w+) .{0,40},": "if it were: no inverted conditionals",
    r"\bas such\b": "leave it out",
    r"\blikewise\b": "also",
    r"\bheart of the matter\b|\bhouse rule\b": "say what",
    r"\bin order to\b": "to",
    r"\butili[sz]e": "use",
    r"\bleverag": "use",
    r"\bseamless": "leave it out",
    r"\bsimply\b|\bobviously\b|\bof course\b": "leave it out",
}
"""Pattern of what the pages avoid -> what a colleague would write."""


def prose(text: str) -> str:
    """Return a page without code and quotations (of the output: in italics), line by line."""
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^    .*$|^> .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`|(?<!\*)\*[^*\n]+\*(?!\*)", "", text)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "catalogue.md"], ids=lambda page: f"{page.parent.name}/{page.name}"
)
def test_plain_words(page: Path) -> None:
    """The catalogue is made from the recipes' own words."""
    found = [
        f"{page.relative_to(ROOT)}:{number}: {match[0]!r}: {better}"
        for number, line in enumerate(prose(page.read_text(encoding="utf-8")).splitlines(), 1)
        for pattern, better in WORDS.items()
        for match in re.finditer(pattern, line, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


def test_the_list_finds_what_it_names() -> None:
    text = "Were the recipes equal, seeds alone would do it.\n`mend` is code.\n    mend\nIt is mended."
    assert [line for line in prose(text).splitlines() if re.search(r"\bmended\b", line)] == ["It is mended."]
    assert "mend\n" not in prose(text)
    inverted = next(pattern for pattern, better in WORDS.items() if "inverted" in better)
    assert re.search(inverted, text, re.IGNORECASE)
