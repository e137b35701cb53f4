"""The derived table: quick, and never believed where a folder says otherwise."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedstudy.engines.launch import ResolvedStudy, train
from seedstudy.engines.local import Work
from seedstudy.errors import StoreError
from seedstudy.store import index
from seedstudy.store.store import Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial

MakeStore = Callable[..., Store]
MakeTrial = Callable[..., Trial]


@pytest.fixture
def store(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a study whose table is written; files count as settled at once."""
    monkeypatch.setattr(index, "_SETTLED_NS", 0)
    store = make_store(n_seeds=4, a2=0.8)
    store.scan()
    assert (store.root / "trials.parquet").exists()
    return store


_opened: list[str] | None = None


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | Path):
        _opened.append(Path(arguments[0]).name)


sys.addaudithook(_note_opened)  # for the life of the process: a hook cannot be removed


@pytest.fixture
def opened(store: Store) -> Iterator[list[str]]:
    """Return the list that the names of all files opened after ``store`` was made go to."""
    global _opened  # the hook has no other way to see it
    _opened = []
    yield _opened
    _opened = None


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that the ids of all trials read from their folders go to."""
    ids: list[str] = []
    read = Store.read_spec

    def noted(self: Store, trial_id: str) -> object:
        ids.append(trial_id)
        return read(self, trial_id)

    monkeypatch.setattr(Store, "read_spec", noted)
    return ids


def test_what_has_not_changed_is_not_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.scan()
    ids = reads(monkeypatch)
    second = store.scan()
    assert ids == []
    assert second.trials.equals(first.trials)
    assert second.states == first.states
    assert second.damaged == {}


def test_an_ended_study_is_read_without_opening_its_trials(store: Store, opened: list[str]) -> None:
    """What `run` needs to find nothing missing, and `summary` and `compare` to judge: two files, once each."""
    scan = store.scan()
    assert sorted(opened) == [index.RECORD, index.TABLE]
    assert set(scan.states.values()) == {"ok"}
    assert set(scan.labels.values()) == {("a2", "resnet8_nano", "tiny")}
    assert scan.rows_of(scan.states).equals(scan.trials)
    assert sorted(opened) == [index.RECORD, index.TABLE]


def test_a_finished_run_reads_its_study_once(store: Store, make_trial: MakeTrial, opened: list[str]) -> None:
    trials = tuple(make_trial(seed, name="a2") for seed in range(4))
    resolved = ResolvedStudy(trials=trials, work=Work(prepared=Path("nowhere")), n_classes=4, n_train=64)
    lines: list[str] = []
    scan = store.scan()
    after = train(store, Study(recipes=("a2",)), resolved, scan, is_retry=False, say=lines.append)
    assert after is scan
    assert sorted(opened) == [index.RECORD, "study.json", index.TABLE]  # and the rule that was declared
    assert lines == []


@pytest.mark.parametrize("command", [("summary",), ("compare", "a3", "a2"), ("status",)], ids=lambda words: words[0])
def test_a_command_reads_its_study_once(
    command: tuple[str, ...],
    store: Store,
    make_store: MakeStore,
    cli: Callable[..., tuple[int, str, str]],
    opened: list[str],
) -> None:
    make_store(n_seeds=4, a3=0.7)
    store.scan()
    opened.clear()
    code, _, err = cli(*command)
    assert code == 0, err
    assert (opened.count(index.RECORD), opened.count(index.TABLE)) == (1, 1)
    assert not set(opened) & {"spec.json", "failure.json", "curves.parquet"}
    # Whether two eval sets share images is read from one trial per recipe; there are two.
    assert opened.count("trial.json") <= 2 * 2
    assert opened.count("predictions.parquet") <= 2


def test_only_a_new_trial_is_read(
    store: Store, make_trial: MakeTrial, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = reads(monkeypatch)
    make_store(n_seeds=6, a2=0.8)
    assert sorted(store.scan().trials["seed"].unique()) == [0, 1, 2, 3, 4, 5]
    assert sorted(ids) == sorted(make_trial(seed, name="a2").trial_id for seed in (4, 5))


@pytest.mark.parametrize("name", ["spec.json", "trial.json", "predictions.parquet", "curves.parquet"])
def test_one_flipped_bit_is_seen_though_size_and_time_are_as_before(name: str, store: Store) -> None:
    trial_id = store.trial_ids()[1]
    path = store.folder(trial_id) / name
    content = bytearray(path.read_bytes())
    before = path.stat()
    position = content.index(b": 0.") + 2 if name == "spec.json" else len(content) // 2
    content[position] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    scan = store.scan()
    assert list(scan.damaged) == [trial_id]
    assert name in scan.damaged[trial_id]
    assert trial_id not in set(scan.trials["trial_id"])
    assert list(store.scan().damaged) == [trial_id]  # named again, not only once


def test_rot_is_found_when_the_content_is_used(store: Store) -> None:
    trial_id = store.trial_ids()[1]
    path = store.folder(trial_id) / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"predictions\.parquet: damaged"):
        store.predictions(trial_id)


@pytest.mark.parametrize("name", ["spec.json", "trial.json", "predictions.parquet"])
def test_a_missing_file_is_seen(name: str, store: Store) -> None:
    trial_id = store.trial_ids()[1]
    (store.folder(trial_id) / name).unlink()
    scan = store.scan()
    assert trial_id not in set(scan.trials["trial_id"])
    assert trial_id in scan.damaged or scan.states[trial_id] == "planned"
    assert (trial_id in scan.damaged) == (name != "trial.json")


def test_a_trial_that_is_gone_leaves_the_table(store: Store) -> None:
    trial_id = store.trial_ids()[1]
    shutil.rmtree(store.folder(trial_id))
    for _ in range(2):
        scan = store.scan()
        assert trial_id not in scan.states
        assert trial_id not in set(scan.trials["trial_id"])


def test_a_young_file_is_not_trusted(store: Store, make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes within one tick of the file system's clock look like one."""
    monkeypatch.setattr(index, "_SETTLED_NS", 10**15)
    make_store(n_seeds=5, a2=0.8)
    store.scan()
    ids = reads(monkeypatch)
    store.scan()
    assert len(ids) == 5


@pytest.mark.parametrize("name", [index.TABLE, index.RECORD])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone", "folder"])
def test_a_damaged_table_counts_for_nothing(name: str, harm: str, store: Store) -> None:
    before = store.scan()
    path = store.root / name
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm in ("cut", "empty"):
        path.write_bytes(content[: len(content) // 2 if harm == "cut" else 0])
    else:
        path.unlink()
        if harm == "folder":
            path.mkdir()
    after = store.scan()
    assert after.trials.equals(before.trials)
    assert after.damaged == {}


def test_another_version_of_the_code_derives_the_rows_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = reads(monkeypatch)
    monkeypatch.setattr(index, "ROWS_VERSION", index.ROWS_VERSION + 1)
    store.scan()
    assert len(ids) == 4


def test_the_rows_of_stored_records_are_those_of_this_version(tmp_path: Path) -> None:
    """Where this fails, equal records give other rows: raise ``ROWS_VERSION`` and write the file anew."""
    fixtures = Path(__file__).parents[1] / "fixtures"
    shutil.copytree(fixtures / "format_1", tmp_path / "format_1")
    rows = Store(tmp_path, "format_1").scan().trials.sort("trial_id", "eval_set")
    text = "".join(f"{json.dumps(row, default=str, sort_keys=True)}\n" for row in rows.iter_rows(named=True))
    assert text == (fixtures / f"format_1-rows_{index.ROWS_VERSION}.jsonl").read_text()


def test_where_nothing_can_be_written_the_study_is_still_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (index.TABLE, index.RECORD):
        (store.root / name).unlink()

    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(index, "write_atomically", fail)
    assert len(store.scan().states) == 4
    assert not (store.root / index.TABLE).exists()


READER = """
import sys
from pathlib import Path
from seedstudy.store import index
from seedstudy.store.store import Store
index._SETTLED_NS = 0
store = Store(Path(sys.argv[1]), sys.argv[2])
while True:
    scan = store.scan()
    assert scan.damaged == {} and scan.trials.height == 2 * len(scan.states), scan
"""


@pytest.mark.slow
def test_readers_that_write_at_once_and_are_killed_spoil_nothing(make_store: MakeStore) -> None:
    """Two processes keep the table while trials appear; one of them is killed again and again."""
    store = make_store(n_seeds=2, a2=0.8)
    command = [sys.executable, "-c", READER, str(store.root.parent), store.study]

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    source = make_store("other", n_seeds=39, a2=0.8)
    steady, victim = start(), start()
    rng = random.Random(0)
    try:
        for seed in range(2, 39):
            # Whole at once, under another name first: a trial that is only planned has no rows.
            newest = next(trial_id for trial_id in source.trial_ids() if f"-s{seed}-" in trial_id)
            hidden = store.root / "new"
            shutil.copytree(source.folder(newest), hidden)
            hidden.rename(store.folder(newest))
            time.sleep(0.02)
            if seed % 6 == 0:
                time.sleep(rng.random())
                victim.send_signal(signal.SIGKILL)
                victim.communicate()
                victim = start()
    finally:
        assert steady.poll() is None, steady.communicate()[1]
        for process in (steady, victim):
            process.kill()
            process.communicate()
    truth = store.scan()
    (store.root / index.TABLE).unlink(missing_ok=True)
    assert store.scan().trials.equals(truth.trials)
    assert truth.trials["seed"].n_unique() == 39
