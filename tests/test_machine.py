"""Without the names that only Linux or only Unix has, nothing breaks."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedstudy import machine
from seedstudy.engines import local
from seedstudy.store import lease
from seedstudy.store.store import Store
from seedstudy.study.placement import Placement
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial

AS_ON_WINDOWS = """
import asyncio, os, signal, sys
import numpy, polars  # compiled for Linux: they may use its names
for name in ("fcntl", "resource", "termios"):
    sys.modules[name] = None
for name in ("uname", "sched_getaffinity", "pwrite", "O_NONBLOCK", "O_CLOEXEC", "getuid"):
    delattr(os, name)
del signal.SIGUSR1
from seedstudy.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def on_macos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in ("_BOOT_ID", "_STATUS", "_CLEAR_REFS"):
        monkeypatch.setattr(machine, name, tmp_path / "proc" / name)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has an affinity")
def test_cores_are_those_this_process_may_use() -> None:
    script = "import os; from seedstudy import machine\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    shown = subprocess.run([sys.executable, "-c", f"{script}print(machine.cores())"], capture_output=True, check=True)
    assert shown.stdout == b"1\n"


@pytest.mark.usefixtures("on_macos")
def test_the_launcher_counts_cores_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert local.default_slots(Placement()) == 6
    (environment, *_) = local.slot_environments(3, Placement())
    assert environment["SEEDSTUDY_LOADERS"] == "2"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can reset the peak")
def test_peak_memory_follows_what_is_used_and_can_be_reset() -> None:
    assert machine.reset_peak_memory()
    before = machine.peak_memory()
    block = np.ones(64 * 2**20, dtype=np.uint8)
    during = machine.peak_memory()
    assert during > before + 32 * 2**20
    del block
    assert machine.reset_peak_memory()
    assert machine.peak_memory() < during - 32 * 2**20


@pytest.mark.usefixtures("on_macos")
def test_peak_memory_is_in_bytes_on_macos_and_cannot_be_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        ru_maxrss = 3_000_000

    monkeypatch.setattr(resource, "getrusage", lambda _: Usage)
    assert machine.peak_memory() == 3_000_000
    assert not machine.reset_peak_memory()


def test_a_process_of_another_program_is_not_ours() -> None:
    for words, is_ours in (((), False), (("seedstudy",), True)):
        command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert machine.runs_seedstudy(process.pid) == is_ours
            process.kill()
        assert not machine.runs_seedstudy(process.pid)


@pytest.mark.usefixtures("on_macos")
def test_a_lease_on_macos_names_the_host(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lease.held(path) as held:
        assert held is not None
        assert held.holder.boot == held.holder.host == machine.host()
        assert lease.is_live(path)
    assert not lease.is_live(path)


def test_stored_studies_are_judged_on_windows(
    make_store: Callable[..., Store], make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    store, unfinished = make_store(n_seeds=3), make_trial(9, name="a2")
    store.plan(Study(recipes=("a2",)), [unfinished])
    (store.folder(unfinished.trial_id) / "lock").write_bytes(b"")

    def shown(*arguments: str) -> Any:
        command = [sys.executable, "-c", AS_ON_WINDOWS, *arguments, "--json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert {(group["recipe"], group["n"]) for group in shown("summary")["groups"]} == {("a2", 3), ("a3", 3)}
    assert shown("compare", "a3", "a2")["comparisons"]


def test_prepared_data_are_kept_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert machine.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("SEEDSTUDY_CACHE")
    assert machine.cache_dir() == tmp_path / "cache" / "seedstudy"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert machine.cache_dir() == tmp_path / "home" / ".cache" / "seedstudy"
