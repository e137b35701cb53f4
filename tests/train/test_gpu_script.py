"""The GPU benchmark runs whole on a CPU, in small, with nothing but what GPU machines have."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
ABSENT = ("polars", "datasets", "statsmodels", "seaborn", "rich", "typer", "pyarrow")
WITHOUT = (
    "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, sys.argv[0]); "
    f"sys.modules.update(dict.fromkeys({ABSENT})); runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(tmp_path: Path, *options: str) -> tuple[int, dict[str, dict[str, object]], str]:
    report = tmp_path / "gpu.json"
    command = [sys.executable, "-c", WITHOUT, str(SCRIPT), "--device", "cpu", "--tiny", "-o", str(report), *options]
    # Nothing is compiled: that takes minutes on a CPU.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TORCHDYNAMO_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3600)
    return done.returncode, json.loads(report.read_text()), done.stdout + done.stderr


pytestmark = pytest.mark.train


@pytest.mark.slow
def test_every_step_runs_and_nothing_is_wrong(tmp_path: Path) -> None:
    code, report, output = run(tmp_path, "--minutes", "60")  # a busy machine skips nothing
    assert code == 0, output
    assert [name for name, found in report.items() if "error" in found or "skipped" in found] == []
    assert "error" not in json.dumps(report)
    assert "left_out" not in json.dumps(report)
    assert len(report) == 13
    assert "nothing is wrong" in output


def test_what_there_is_no_time_for_is_skipped_and_what_was_measured_is_kept(tmp_path: Path) -> None:
    code, report, output = run(tmp_path, "--only", "streams,stacks", "--minutes", "0.5")
    assert code == 0, output
    assert report["streams"]["ok"] is True
    assert "skipped" in report["stacks"]


def test_a_step_whose_time_is_up_names_what_it_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    gpu = importlib.import_module("gpu")
    bench = gpu.Bench(gpu.Device(gpu.torch.device("cpu")), gpu.TINY, tmp_path, None)
    assert list(bench.in_time("abc")) == ["a", "b", "c"]
    bench.until = 0.0
    assert list(bench.in_time("abc")) == ["a"]  # one row is better than none
    assert bench.left_out == ["b", "c"]
