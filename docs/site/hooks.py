"""What the site needs beyond Markdown that also reads well in the repository: called by MkDocs (`hooks` in mkdocs.yml).

Pages made anew at every build, links that leave `docs/`, and the names of files above blocks.
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

from docs.site import commands

ROOT = Path(__file__).parents[2]
SOURCE = "https://github.com/seedstudy/seedstudy/blob/main"
FROM_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""File of the repository's root -> its page on the site."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


@cache
def studies() -> list[str]:
    """Return what the site shows of `studies/`: the pages and the pictures, by their path in the repository."""
    kinds = ("README.md", "*/README.md", "*/*.svg", "*/*.png")
    return sorted(path.relative_to(ROOT).as_posix() for kind in kinds for path in ROOT.glob(f"studies/{kind}"))


def place(path: str) -> str | None:
    """Return where a file of the repository is on the site; None where it is not."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path == "README.md":
        return "index.md"
    if path in studies():
        return path.replace("README.md", "index.md")
    return FROM_ROOT.get(path)


def generated() -> dict[str, str]:
    """Return the pages that no file of `docs/` holds: name -> Markdown."""
    files = [*FROM_ROOT, *(path for path in studies() if path.endswith(".md"))]
    pages = {str(place(path)): (ROOT / path).read_text(encoding="utf-8") for path in files}
    return {"cli.md": commands.reference(), **pages}


def _origin(page: str) -> str:
    """Return the file of the repository that a page is made from: its links start there."""
    copied = {place(path): path for path in (*FROM_ROOT, *studies())}
    return copied.get(page, f"docs/{page}")


def links_on_site(markdown: str, page: str) -> str:
    """Return a page with its links to other files of the repository led to their page, or to the repository."""
    origin = _origin(page)

    def led(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), found[1]))
        target = place(path)
        link = f"{SOURCE}/{path}" if target is None else posixpath.relpath(target, posixpath.dirname(page) or ".")
        return link + (found[2] or "")

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
    """Add the generated pages, and the pictures of the studies."""
    from mkdocs.structure.files import File

    for name, content in generated().items():
        files.append(File.generated(config, name, content=content))
    for path in studies():
        if not path.endswith(".md"):
            files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Change what reads differently on the site."""
    return titled_blocks(links_on_site(markdown, page.file.src_uri))


def on_page_content(html: str, *, page: Any, **_: Any) -> str:
    """Change what docstrings say in the words of another format."""
    return readable(html) if page.file.src_uri == "api.md" else html
