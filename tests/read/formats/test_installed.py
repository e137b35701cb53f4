"""Where a program's library is installed, what it writes today is read as what it wrote when the files were kept."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.read.formats.test_formats import expect

HERE = Path(__file__).parent

PROGRAMS = {
    "mlflow": ("mlruns/:arm=large", {"metric": "val_acc", "left_out": 2}),
    "trackio": ("sweep.db:lr=0.3", {"metric": "val/acc"}),
    "optuna": ("optuna.db:lr=0.3", {"metric": "value", "unit": "percent", "left_out": 2}),
    "sacred": ("runs/:optimizer.lr=0.3", {"metric": "val.acc", "left_out": 2}),
    "mlperf_logging": ("results/machine_large/", {"left_out": 1}),
    "hydra": ("multirun/:optimizer.name=large", {}),
    "keras": ("runs/large/", {}),
}
"""Module -> what is read of its arm `large`, and how."""


@pytest.mark.slow
@pytest.mark.parametrize("module", PROGRAMS)
def test_what_the_installed_library_writes_is_read(module: str, tmp_path: Path) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    program = {"mlperf_logging": "mllog"}.get(module, module)
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    maker = [sys.executable, str(HERE / f"make_{program}.py"), str(tmp_path)]
    made = subprocess.run(maker, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(tmp_path / f"{program}.zip") as archive:
        archive.extractall(tmp_path)
    selector, request = PROGRAMS[module]
    expect(selector, "large", **request)
