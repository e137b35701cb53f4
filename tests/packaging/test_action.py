"""The GitHub Action: its script is run here as the service would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
ACTION = Path(__file__).parents[2] / "action.yml"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "old.txt").write_text("79.6\n79.7\n79.8\n79.7\n")
    (tmp_path / "worse.txt").write_text("78.6\n78.7\n78.8\n78.7\n")
    (tmp_path / "same.txt").write_text("79.65\n79.7\n79.75\n79.72\n")
    shim = tmp_path / "bin" / "seedstudy"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m seedstudy "$@"\n')
    shim.chmod(0o755)
    return tmp_path


def run(files: Path, n: int = -1, **inputs: str) -> tuple[int, str, str]:
    """Run one step, the last one, with the action's defaults and these inputs."""
    action = yaml.safe_load(ACTION.read_text())
    given = {name: spec.get("default", "") for name, spec in action["inputs"].items()} | inputs
    step = action["runs"]["steps"][n]
    variables = {
        name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in step["env"].items()
    }
    summary = files / "summary.md"
    path = f"{files / 'bin'}{os.pathsep}{os.environ['PATH']}"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, **variables, "PATH": path, "GITHUB_STEP_SUMMARY": str(summary), "PYTHONPATH": root}
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=files, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr, summary.read_text() if summary.exists() else ""


def test_a_worse_recipe_fails_the_job_and_the_summary_says_why(files: Path) -> None:
    code, out, summary = run(files, arms="old.txt worse.txt")
    assert code == 3
    assert "worse" in out
    assert summary.startswith("### seedstudy compare\n```\n")
    assert "worse is WORSE than old on val: -1" in summary.replace("\n", " ")


def test_an_equal_recipe_passes_and_options_are_words(files: Path) -> None:
    code, out, _ = run(files, arms="old.txt same.txt", options="--margin 0.3")
    assert code == 0, out
    code, out, _ = run(files, arms="old.txt $(touch${IFS}x)", options="")
    assert code == 2
    assert not (files / "x").exists()


def test_inputs_may_be_on_several_lines(files: Path) -> None:
    code, out, _ = run(files, arms="old.txt\nworse.txt\n", options="--margin 0.3\n--alpha 0.01\n")
    assert code == 3, out
    assert "alpha 0.01, margin ±0.3" in out


def test_the_version_that_is_asked_for_is_installed(files: Path) -> None:
    pip = files / "bin" / "python"
    pip.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    pip.chmod(0o755)
    for version, wanted in (("", "seedstudy"), ("0.2.0", "seedstudy==0.2.0")):
        code, out, _ = run(files, n=1, version=version)
        assert (code, out.split()) == (0, ["-m", "pip", "install", "--quiet", wanted])


def test_every_input_reaches_a_step_and_the_others_are_asked_first() -> None:
    action = yaml.safe_load(ACTION.read_text())
    steps = action["runs"]["steps"]
    for name in action["inputs"]:
        assert any(f"inputs.{name}" in str(step) for step in steps), name
    assert [step.get("if") for step in steps] == ["inputs.install == 'true'"] * 2 + [None]


def test_what_cannot_be_compared_fails_with_its_line(files: Path) -> None:
    code, _out, summary = run(files, arms="old.txt nowhere.txt")
    assert code == 2
    assert "nowhere.txt" in summary
