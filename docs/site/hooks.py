"""What the site needs beyond Markdown that also reads well in the repository: called by MkDocs (`hooks` in mkdocs.yml).

Pages made anew at every build, links that leave `docs/`, and the names of files above blocks.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from docs.site import commands

ROOT = Path(__file__).parents[2]
SOURCE = "https://github.com/seedstudy/seedstudy/blob/main"
ELSEWHERE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "README.md": "index.md"}
"""File of the repository -> its page on the site."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def generated() -> dict[str, str]:
    """Return the pages that no file of `docs/` holds: name -> Markdown."""
    return {
        "cli.md": commands.reference(),
        "contributing.md": _from_root("CONTRIBUTING.md"),
        "changelog.md": _from_root("CHANGELOG.md"),
    }


def _from_root(name: str) -> str:
    """Return a file of the repository's root as a page of `docs/`: its links start there."""

    def moved(found: re.Match[str]) -> str:
        return posixpath.relpath(found[1], "docs") + (found[2] or "")

    return _LINK.sub(moved, (ROOT / name).read_text(encoding="utf-8"))


def links_on_site(markdown: str, page: str) -> str:
    """Return a page with its links to files outside `docs/` led to their page, or to the repository."""

    def led(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), found[1]))
        if path.startswith("docs/"):
            return found[0]
        target = ELSEWHERE.get(path)
        return (target or f"{SOURCE}/{path}") + (found[2] or "")

    return _LINK.sub(led, markdown)


def titled_blocks(markdown: str) -> str:
    """Return a page whose blocks "```csv runs.csv" have the file's name as their title."""
    return re.sub(r"^```(csv|txt|toml|python) (\S+)$", r'```\1 title="\2"', markdown, flags=re.MULTILINE)


def readable(html: str) -> str:
    """Return the text of docstrings without the markup of another format."""
    html = re.sub(r":(?:func|class|mod|meth|attr):<code>~?(?:[\w.]+\.)?(\w+)</code>", r"<code>\1</code>", html)
    return html.replace("<p>::</p>", "")


# --- called by MkDocs -------------------------------------------------------------------------------------------


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for name, content in generated().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Change what reads differently on the site."""
    return titled_blocks(links_on_site(markdown, page.file.src_uri))


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """Change what docstrings say in the words of another format."""
    return readable(html) if page.file.src_uri == "api.md" else html
