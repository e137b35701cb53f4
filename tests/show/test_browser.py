"""The report in a real browser: it loads nothing, its console is silent, its table sorts, and it fits a phone."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import seedstudy as ss

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")]
NAME = "<script>document.title = 'taken'</script>"
SCRIPT = """
const click = (name) => {
  const head = [...document.querySelectorAll("#every-trial th")].find((each) => each.textContent.trim() === name);
  head.querySelector("button").click();
  const at = [...head.parentNode.children].indexOf(head);
  const cells = [...document.querySelectorAll("#every-trial tbody tr")].map((row) => row.cells[at].textContent);
  return [head.getAttribute("aria-sort"), cells];
};
const shown = (name) => [...document.querySelectorAll("figure." + name)].filter((each) => each.offsetWidth > 0).length;
document.documentElement.dataset.found = JSON.stringify({
  title: document.title,
  loaded: performance.getEntriesByType("resource").map((each) => each.name),
  wide: document.documentElement.scrollWidth - window.innerWidth,
  page: shown("page"), column: shown("column"),
  up: click("val"), down: click("val"), seeds: click("seed"),
});
"""


def in_browser(page: Path, width: int) -> dict[str, Any]:
    """Return what a script finds in a page that a window so wide shows."""
    assert BROWSER is not None
    copy = page.with_stem(f"{page.stem}-{width}")
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"<script>{SCRIPT}</script></body>"))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--window-size={width},900")
    done = subprocess.run(
        [BROWSER, *options, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    (found,) = re.findall(r'data-found="([^"]*)"', done.stdout)
    return dict(json.loads(html.unescape(found)))


def test_the_page_works_in_a_browser(tmp_path: Path) -> None:
    values_of = {NAME: [9.5, 78.0, 78.1, 100.0], "b": [79.0, 79.1, 79.4, 79.2], "c": [80.0, 80.1, 80.4, 80.3]}
    arms = {name: dict(zip((2, 10, 0, 1), values, strict=True)) for name, values in values_of.items()}
    ss.save_report(ss.report(arms, title=f"{NAME} wins"), tmp_path / "r.html")
    values = sorted(value for arm in values_of.values() for value in arm)
    for width, is_phone in ((1280, False), (600, True)):
        found = in_browser(tmp_path / "r.html", width)
        assert found["title"] == f"{NAME} wins"
        assert found["loaded"] == []
        assert found["wide"] <= 0, "nothing but tables and code scrolls sideways"
        assert bool(found["page"]) is not is_phone
        assert bool(found["column"]) is is_phone
        assert found["up"][0] == "ascending"
        assert [float(cell) for cell in found["up"][1]] == values
        assert found["down"][0] == "descending"
        assert [float(cell) for cell in found["down"][1]] == values[::-1]
        assert found["seeds"] == ["ascending", [str(seed) for seed in (0, 1, 2, 10) for _ in arms]]
