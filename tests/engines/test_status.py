"""`status`, `cancel` and `clean` see a study's folder and nothing else."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from seedstudy.engines import slurm
from seedstudy.files import write_record
from seedstudy.store import lease
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial

Cli = Callable[..., tuple[int, str, str]]
MakeStore = Callable[..., Store]
MakeTrial = Callable[..., Trial]


@pytest.fixture
def study(make_store: MakeStore, make_trial: MakeTrial) -> tuple[Store, dict[str, str]]:
    """Return a study with a trial in each state, by the name of the state."""
    store = make_store(n_seeds=1, a2=0.8)
    names = ("planned", "queued", "running", "failed", "interrupted", "lost", "damaged")
    trials = {name: make_trial(seed, name="a2") for seed, name in enumerate(names, start=10)}
    store.plan(Study(recipes=("a2",)), trials.values())
    ids = {name: trial.trial_id for name, trial in trials.items()}
    store.record_job("77", "slurm", [[ids["queued"]], ["gone-s0-00"]])
    store.record_failure(ids["failed"], "RuntimeError: boom", "Traceback …", epoch=3)
    store.log(ids["failed"]).write_text("RuntimeError: boom\n")
    with store.claim(ids["interrupted"]):
        store.write_progress(ids["interrupted"], epoch=4, epochs=10, epoch_s=1.0, images_per_s=9.0, at=0.0)
    with pytest.raises(MemoryError), store.claim(ids["lost"]):
        raise MemoryError
    (store.folder(ids["damaged"]) / "trial.json").write_text("{")
    elsewhere(store, ids["running"])
    store.write_progress(ids["running"], epoch=3, epochs=10, epoch_s=60.0, images_per_s=9.0, at=time.time())
    return store, ids


def elsewhere(store: Store, trial_id: str) -> None:
    """Let another machine hold a trial, alive by its heartbeat."""
    with store.claim(trial_id) as held:
        assert held is not None
    holder = replace(
        held.holder, host="node7", boot="another", job="slurm:78_2", since=time.time() - 3700, is_released=False
    )
    (store.folder(trial_id) / "lock").write_text(json.dumps(asdict(holder)))


def test_status_tells_every_state(cli: Cli, study: tuple[Store, dict[str, str]]) -> None:
    store, ids = study
    document = json.loads(cli("status", "--json")[1])
    (group,) = document["groups"]
    assert {name: group[name] for name in ids} == dict.fromkeys(ids, 1)
    assert group["ok"] == 1
    assert document["reasons"] == {ids["failed"]: "RuntimeError: boom"}
    assert list(document["damaged"]) == [ids["damaged"]]
    by_state = {each["state"]: each for each in document["trials"]}
    running = by_state["running"]
    assert (running["where"], running["epoch"], running["epochs"]) == ("node7 slurm:78_2", 3, 10)
    assert 410 < running["left_s"] <= 420
    assert by_state["queued"]["where"] == "slurm:77"
    assert by_state["failed"]["log"] == str(store.log(ids["failed"]).relative_to(Path.cwd()))
    assert by_state["interrupted"]["reason"] == "stopped before the result"
    assert by_state["lost"]["reason"] == "the process ended before the result"


def test_status_names_a_damaged_import(cli: Cli, make_store: MakeStore) -> None:
    folder = make_store(n_seeds=1, a2=0.8).root / "imported"
    folder.mkdir()
    (folder / "0123456789abcdef.parquet").write_bytes(b"PAR1")
    document = json.loads(cli("status", "--json")[1])
    assert list(document["damaged"]) == ["0123456789abcdef.parquet"]
    assert document["groups"][0]["damaged"] == 0
    assert "damaged" in cli("status")[2]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_trial_that_may_not_be_read_hides_no_other(cli: Cli, make_store: MakeStore) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    folder = store.folder(store.trial_ids()[0])
    folder.chmod(0)
    try:
        code, out, err = cli("status")
    finally:
        folder.chmod(0o755)
    assert code == 0
    assert "a2" in out
    assert "cannot be read now (Permission denied)" in err


def test_status_in_words(cli: Cli, study: tuple[Store, dict[str, str]]) -> None:
    store, ids = study
    code, out, err = cli("status")
    assert code == 0
    lines = dict(line.split(": ", 1) for line in out.splitlines() if line.startswith("a2-") or "-s1" in line)
    assert lines[ids["running"]].startswith("running on node7 slurm:78_2 for 1:01:4")
    assert ", epoch 3/10, 0:0" in lines[ids["running"]]
    assert lines[ids["failed"]] == f"RuntimeError: boom ({store.log(ids['failed']).relative_to(Path.cwd())})"
    assert "after epoch 4: stopped before the result" in lines[ids["interrupted"]]
    assert "trial.json: damaged" in err


def test_time_left_counts_what_waits(cli: Cli, make_store: MakeStore, make_trial: MakeTrial) -> None:
    store = make_store(n_seeds=2, a2=0.8)  # each took 1 s
    trials = [make_trial(seed, name="a2") for seed in (10, 11, 12)]
    store.plan(Study(recipes=("a2",)), trials)
    assert json.loads(cli("status", "--json")[1])["time_left_s"] is None  # nothing runs
    elsewhere(store, trials[0].trial_id)
    assert json.loads(cli("status", "--json")[1])["time_left_s"] is None  # its speed is not known
    store.write_progress(trials[0].trial_id, epoch=3, epochs=5, epoch_s=5.0, images_per_s=9.0, at=time.time())
    assert 10 < json.loads(cli("status", "--json")[1])["time_left_s"] <= 12


def test_cancel_marks_signals_and_takes_jobs_from_the_queue(
    cli: Cli, study: tuple[Store, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ids = study
    script = (
        "import sys, time; from pathlib import Path; from seedstudy.store import lease\n"
        "lease.take(Path(sys.argv[1])); print(flush=True); time.sleep(60)"
    )
    path = store.folder(ids["planned"]) / "lock"
    here = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
    assert here.stdout is not None
    here.stdout.readline()
    calls: list[Any] = []
    monkeypatch.setattr(slurm, "_call", lambda command, stdin=None: calls.append(command))
    before = store.cancel_mark()
    code, _, err = cli("cancel")
    assert code == 0
    assert calls == [["scancel", "--", "77"]]
    assert here.wait(10) == -signal.SIGTERM
    assert "2 running trials asked to stop (1 of them on this machine), 1 jobs" in err
    assert store.cancel_mark() != before
    here.stdout.close()


def test_cancel_signals_also_where_scancel_is_missing(
    cli: Cli, study: tuple[Store, dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store, _ = study
    sent: list[Any] = []
    monkeypatch.setattr("seedstudy.engines.status._interrupt", lambda holder: sent.append(holder) or True)
    monkeypatch.setenv("PATH", str(tmp_path))
    before = store.cancel_mark()
    code, _, err = cli("cancel")
    assert code == 2
    assert "jobs may still be in the queue: scancel: no such command" in err
    assert len(sent) == 1
    assert store.cancel_mark() != before


def test_a_damaged_record_of_a_job_closes_neither_status_nor_cancel(
    cli: Cli, study: tuple[Store, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = study
    write_record(store.root / "jobs" / "77.json", {"engine": "slurm", "job": "--me", "tasks": [["t0"]]})
    calls: list[Any] = []
    monkeypatch.setattr(slurm, "_call", lambda command, stdin=None: calls.append(command))
    code, out, err = cli("status")
    assert code == 0
    assert "running on node7" in out
    assert "77.json: damaged" in err
    code, _, err = cli("cancel")
    assert code == 2
    assert "77.json: damaged" in err
    assert calls == []
    assert store.cancel_mark()


def test_status_says_which_trial_shows_no_progress(cli: Cli, study: tuple[Store, dict[str, str]]) -> None:
    store, ids = study
    assert "no progress" not in cli("status")[1]
    quiet = {"epoch": 3, "epochs": 10, "epoch_s": 60.0, "images_per_s": 9.0, "at": 0.0}
    store.write_progress(ids["running"], **quiet, moved_at=time.time() - 720, longest_s=2.0)
    assert ", no progress for 12 min, pid " in cli("status")[1]
    (running,) = [each for each in json.loads(cli("status", "--json")[1])["trials"] if each["state"] == "running"]
    assert 719 < running["quiet_s"] < 730
    store.write_progress(ids["running"], **quiet, moved_at=time.time() - 720, longest_s=100.0)  # usually slow
    assert "no progress" not in cli("status")[1]


def test_nothing_in_a_record_steers_the_terminal(cli: Cli, study: tuple[Store, dict[str, str]]) -> None:
    store, ids = study
    store.record_failure(ids["failed"], "RuntimeError: \x1b]0;owned\x07 \x1b[2J\x9b2J", "")
    (store.folder(ids["planned"]) / ".\x1b[2Jx.tmp").write_text("")
    for command in (("status",), ("status", "--json"), ("clean", "--yes")):
        _, out, err = cli(*command)
        assert not [each for each in out + err if not each.isprintable() and each != "\n"], command
    assert r"\x1b[2J\x9b2J" in cli("status")[1]


def test_clean_asks_and_removes_only_what_no_one_misses(
    cli: Cli, study: tuple[Store, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ids = study
    done = next(path.parent.name for path in store.root.glob("trials/*/predictions.parquet"))
    for trial_id in (done, ids["interrupted"], ids["running"]):
        store.checkpoint(trial_id).write_bytes(b"x" * 10)
        (store.folder(trial_id) / ".checkpoint.pt.1.tmp").write_bytes(b"x")
    before = {path for path in store.root.rglob("*") if path.is_file()}
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no one answers
    code, _, _ = cli("clean")
    assert code == 130
    assert {path for path in store.root.rglob("*") if path.is_file()} == before
    code, out, err = cli("clean", "--yes")
    assert code == 0
    gone = {str(path.relative_to(store.root / "trials")) for path in before if not path.exists()}
    assert gone == {
        f"{done}/checkpoint.pt",
        f"{done}/.checkpoint.pt.1.tmp",
        f"{ids['interrupted']}/.checkpoint.pt.1.tmp",
        f"{ids['lost']}/lock",
    }
    assert "4 files removed" in err
    assert len(out.splitlines()) == 4
    assert "nothing to remove" in cli("clean")[2]


def test_trial_without_a_name_is_refused(cli: Cli) -> None:
    code, _, err = cli("trial", "results/main")
    assert code == 2
    assert "no trial named" in err


def test_trial_is_not_in_the_help(cli: Cli) -> None:
    names = re.findall(r"^(?:\W )? ?(\w+) ", cli("--help")[1], re.MULTILINE)  # the box depends on the terminal
    assert "cancel" in names
    assert "trial" not in names


def test_a_beating_lease_is_believed(study: tuple[Store, dict[str, str]]) -> None:
    store, ids = study
    assert store.is_running(ids["running"])
    old = time.time() - lease.STALE_S - 60
    os.utime(store.folder(ids["running"]) / "lock", (old, old))
    assert store.read_trial(ids["running"])[0] == "interrupted"
