"""The real thing, small: the command in a process of its own, interrupted and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "seedstudy", "run", "-r", "a3", "-d", "digits", "--seeds", "3", "--epochs", "4"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def start(folder: Path, cache: Path, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "SEEDSTUDY_CACHE": str(cache)}
    return subprocess.Popen(
        [*COMMAND, *more],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(folder: Path, cache: Path, *more: str) -> tuple[int, str, str]:
    process = start(folder, cache, *more)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def counts(folder: Path) -> dict[str, tuple[str, int]]:
    """Return trial id -> digest of the predictions and right answers on val; fails where one is not finished."""
    found = {}
    for spec in sorted(folder.glob("results/main/trials/*/spec.json")):
        record = json.loads((spec.parent / "trial.json").read_text())
        found[spec.parent.name] = (
            record["sha256"]["predictions.parquet"],
            record["evaluations"]["val"]["n_correct"],
        )
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> dict[str, tuple[str, int]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, out, err = finish(folder, cache)
    assert code == 0, err
    assert "a3@resnet8_nano" in out
    assert "[3/3]" in err
    assert "time left" in err
    return counts(folder)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def workers_of(launcher: int) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(launcher), "-f", "engines.worker"], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def first_result(folder: Path) -> list[Path]:
    return list(folder.glob("results/main/trials/*/trial.json"))


def test_interrupted_and_given_again_it_goes_on(
    tmp_path: Path, cache: Path, undisturbed: dict[str, tuple[str, int]]
) -> None:
    process = start(tmp_path, cache, "--workers", "1")
    wait_for(lambda: first_result(tmp_path), "the first result")
    kept = {path: path.stat().st_mtime_ns for path in first_result(tmp_path)}
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "finished and safe; the same command goes on" in err
    code, _, err = finish(tmp_path, cache)
    assert code == 0, err
    assert "trials are missing" in err
    assert counts(tmp_path) == undisturbed
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())  # none was trained twice


def test_a_killed_launcher_takes_its_workers_along_and_loses_only_what_was_in_flight(
    tmp_path: Path, cache: Path, undisturbed: dict[str, tuple[str, int]]
) -> None:
    process = start(tmp_path, cache, "--workers", "1")
    wait_for(lambda: first_result(tmp_path), "the first result")
    workers = workers_of(process.pid)
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers to end")
    code, _, err = finish(tmp_path, cache)
    assert code == 0, err
    assert counts(tmp_path) == undisturbed


def test_a_killed_worker_is_replaced_and_its_trial_trained_again(
    tmp_path: Path, cache: Path, undisturbed: dict[str, tuple[str, int]]
) -> None:
    process = start(tmp_path, cache, "--workers", "1")
    wait_for(lambda: list(tmp_path.glob("results/main/trials/*/lock")), "a trial in flight")
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "its worker died" in err
    assert counts(tmp_path) == undisturbed


def test_two_launchers_share_a_study(tmp_path: Path, cache: Path, undisturbed: dict[str, tuple[str, int]]) -> None:
    both = [start(tmp_path, cache, "--workers", "1") for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    assert counts(tmp_path) == undisturbed


def test_damaged_result_is_named_and_only_it_is_trained_again(
    tmp_path: Path, cache: Path, undisturbed: dict[str, tuple[str, int]]
) -> None:
    assert finish(tmp_path, cache)[0] == 0
    victim, *others = first_result(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in others}
    (victim.parent / "predictions.parquet").write_bytes(b"PAR1")
    code, _, err = finish(tmp_path, cache)
    assert code == 0, err
    assert str(victim.parent.relative_to(tmp_path)) in err
    assert counts(tmp_path) == undisturbed
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())


def test_wrong_model_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    code, out, err = finish(tmp_path, cache, "-m", "resnet5O")
    assert code == 2
    assert 'unknown model "resnet5O". Did you mean' in err.splitlines()[-1]
    assert out == ""
    assert not (tmp_path / "results").exists()


def test_results_folder_that_cannot_be_written_is_one_line(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    code, _, err = finish(tmp_path, cache)
    assert code == 2
    assert "cannot write results" in err.splitlines()[-1]
