"""The core installation, without the extra ``train``: commands that need it say so, the others do without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMANDS = {
    "run": ["run", "--recipe", "a2", "--seeds", "2"],
    "evaluate": ["evaluate", "resnet50.a1_in1k"],
    "cost": ["cost", "resnet50"],
    "compare": ["compare", "a.csv", "b.csv"],
}

WITHOUT_EXTRA = """
import contextlib, io, json, sys
from importlib.machinery import PathFinder

from seedstudy.errors import EXTRAS

PACKAGES = EXTRAS["train"]

class Core(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in PACKAGES else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Core

from seedstudy.cli import main

for name, command in json.loads(sys.argv[1]).items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(command)
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([name, code, out.getvalue(), err.getvalue()]))
"""

Answer = tuple[int, str, str]
"""Exit code, stdout, stderr."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core")
    for name, low in (("a", 70.0), ("b", 75.0)):
        (folder / f"{name}.csv").write_text("top1\n" + "".join(f"{low + seed / 10}\n" for seed in range(5)))
    return folder


@pytest.fixture(scope="module")
def answers(folder: Path) -> dict[str, Answer]:
    """Return what each command answers in one process without the extra's packages."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, json.dumps(COMMANDS)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SEEDSTUDY_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name: (code, out, err) for name, code, out, err in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("command", ["run", "evaluate", "cost"])
def test_a_command_that_needs_the_extra_names_it_in_one_line_and_writes_nothing(
    command: str, answers: dict[str, Answer], folder: Path
) -> None:
    code, out, err = answers[command]
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "torch is not installed" in line
    assert line.endswith("pip install 'seedstudy[train]'")
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "b.csv"]


def test_judging_does_without_the_extra(answers: dict[str, Answer]) -> None:
    code, out, err = answers["compare"]
    assert code == 0, err
    assert "better" in out
