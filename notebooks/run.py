"""Run the notebooks here and keep what they show: ``python -m notebooks.run [NAME]…``; a test runs them again.

Cells run one after the other in this process, as a kernel would run them: only seedstudy and its core are needed.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seedstudy.show.plots.canvas import Picture, picture_bytes

HERE = Path(__file__).parent
_DPI = 110


def names() -> list[Path]:
    """Return the notebooks in the order in which they are read."""
    return sorted(HERE.glob("*.ipynb"))


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as it is kept."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def run(path: Path) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Run a notebook; yield each code cell, what it printed, and the value of its last line (None: nothing)."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in read(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]), filename=f"{path.name}, cell {cell['id']}")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed, value = io.StringIO(), None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, path.name, "exec"), scope)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), path.name, "eval"), scope)
        yield cell, printed.getvalue(), value


def outputs_of(printed: str, value: Any, number: int) -> list[dict[str, Any]]:
    """Return what a notebook shows below a cell; a picture as PNG."""
    found: list[dict[str, Any]] = []
    if printed:
        found.append({"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)})
    if isinstance(value, Picture):
        for page in value.all_pages():
            image = base64.b64encode(picture_bytes(page, ".png", dpi=_DPI)).decode()
            data = {"image/png": image, "text/plain": [page.description]}
            found.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    elif value is not None:
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(keepends=True)
        found.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    return found


def store(path: Path) -> None:
    """Run a notebook and write it with what it shows."""
    notebook = read(path)
    shown = {
        cell["id"]: (outputs_of(printed, value, number), number)
        for number, (cell, printed, value) in enumerate(run(path), start=1)
    }
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = shown[cell["id"]]
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for each in [HERE / name for name in sys.argv[1:]] or names():
        store(each)
        print(f"{each.name}: {each.stat().st_size / 1000:.0f} kB")
