"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TESTS = """
def test_good(assert_not_worse):
    assert_not_worse([79.6, 79.7], baseline=[79.7, 79.8, 79.6, 79.75])

def test_bad(assert_not_worse):
    assert_not_worse([78.0], baseline="baseline.txt")
"""


def test_the_fixture_judges_and_the_failure_is_the_callers_line(tmp_path: Path) -> None:
    (tmp_path / "test_quality.py").write_text(TESTS)
    (tmp_path / "baseline.txt").write_text("79.7\n79.8\n79.6\n79.75\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "seedstudy.pytest_plugin", "-p", "no:cacheprovider"]
    root = str(Path(__file__).parents[2])
    environment = {"PYTHONPATH": root, "PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([*command, "."], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert '>       assert_not_worse([78.0], baseline="baseline.txt")\nE' in done.stdout.replace("    E", "E")
    assert "worse: 1 new seed is 78.00" in done.stdout
