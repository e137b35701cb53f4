"""What a launcher cannot read now, or is too new for it, it leaves alone: exit 2, and not a byte is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedstudy import files
from seedstudy.engines import launch
from seedstudy.engines.launch import MOST_SET_ASIDE
from seedstudy.errors import StoreError
from seedstudy.store.store import Scan, Store
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial, trial_id_of

MakeStore = Callable[..., Store]
MakeTrial = Callable[..., Trial]
Cli = Callable[..., tuple[int, str, str]]


def missing(store: Store, *, is_repair: bool = False, say: Callable[[str], None] = lambda line: None) -> list[str]:
    """Ask the launcher which trials it would train."""
    scan = store.scan()
    return launch._missing(store, list(scan.states), scan, is_retry=False, is_repair=is_repair, say=say)


def content(root: Path) -> dict[str, object]:
    """Return every file of a study, whoever it is for; the derived table does not count."""
    found: dict[str, object] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if name not in ("index.json", "trials.parquet"):
                status = os.lstat(path)
                found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def _newer_result(folder: Path) -> None:
    record = json.loads((folder / "trial.json").read_text())
    del record["seal"]
    files.write_record(folder / "trial.json", {**record, "format": files.FORMAT + 1})


def _missing_table(folder: Path) -> None:
    (folder / "predictions.parquet").unlink()


def _broken_link(folder: Path) -> None:
    (folder / "trial.json").unlink()
    (folder / "trial.json").symlink_to(folder / "gone")


def _pipe_for_a_table(folder: Path) -> None:
    (folder / "curves.parquet").unlink()
    os.mkfifo(folder / "curves.parquet")


def _pipe_for_a_lock(folder: Path) -> None:
    (folder / "trial.json").unlink()
    os.mkfifo(folder / "lock")


def _linked_folder(folder: Path) -> None:
    folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


FAULTS = [_newer_result, _missing_table, _broken_link, _pipe_for_a_table, _pipe_for_a_lock, _linked_folder]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_damaged_stops_the_launcher(
    fault: Callable[[Path], None], make_store: MakeStore, make_trial: MakeTrial
) -> None:
    store, trial_id = make_store(n_seeds=3, a2=0.8), make_trial(1, name="a2").trial_id
    fault(store.folder(trial_id))
    before = content(store.root)
    scan = store.scan()
    assert scan.states[trial_id] == "unreadable"
    assert list(scan.damaged) == [trial_id]
    with pytest.raises(StoreError, match=r"Nothing was changed\.$") as caught:
        missing(store)
    assert caught.value.exit_code == 2
    assert trial_id in str(caught.value)
    assert content(store.root) == before


def test_a_newer_plan_is_left_alone(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=2, a2=0.8), make_trial(1, name="a2").trial_id
    path = store.folder(trial_id) / "spec.json"
    spec = {**json.loads(path.read_text()), "format": 99, "recipe": {"name": "a2", "of another kind": True}}
    path.write_text(json.dumps(spec))
    store.folder(trial_id).rename(store.root / "trials" / trial_id_of(spec))
    assert sorted(store.scan().states.values()) == ["ok", "unreadable"]
    path = store.root / "trials" / trial_id_of(spec) / "spec.json"
    path.write_text(path.read_text().replace('"a2"', '"a4"'))  # its name is its digest, in every format
    assert sorted(store.scan().states.values()) == ["damaged", "ok"]


LAUNCHER = """
import os, sys
from pathlib import Path
from seedstudy.engines import launch
from seedstudy.errors import SeedstudyError
from seedstudy.store.store import Store
store = Store(Path("results"), "main")
ids = store.trial_ids()
store.scan()
{fault}
try:
    scan = store.scan()
    print(launch._missing(store, ids, scan, is_retry=False, is_repair=False, say=print))
except SeedstudyError as error:
    print(error.exit_code, error)
"""


def launched(store: Store, fault: str) -> str:
    os.chmod(store.root.parent.parent, 0o755)  # noqa: PTH101
    program = [sys.executable, "-c", LAUNCHER.format(fault=fault)]
    done = subprocess.run(program, cwd=store.root.parent.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("what", ["predictions.parquet", "trial.json", "spec.json", "", "../../trials"])
def test_a_file_or_folder_that_this_user_cannot_read_now_is_left_alone(
    what: str, make_store: MakeStore, make_trial: MakeTrial
) -> None:
    store, trial_id = make_store(n_seeds=2, a2=0.8), make_trial(1, name="a2").trial_id
    subprocess.run(["chmod", "-R", "a+rwX", store.root.parent], check=True)
    (store.folder(trial_id) / what).chmod(0)
    before = content(store.root)
    # As root it reads everything once; then it is nobody, who may write here.
    said = launched(store, "(store.root / 'index.json').unlink(missing_ok=True); os.setgid(65534); os.setuid(65534)")
    assert said.startswith("2 "), said
    assert "cannot be read now (Permission denied)" in said
    assert content(store.root) == before


@pytest.mark.parametrize("n_left", range(5))
def test_too_many_open_files_are_no_damage(n_left: int, make_store: MakeStore) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    fault = (
        "(store.root / 'index.json').unlink(missing_ok=True)\nimport resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir('/proc/self/fd'))) + {n_left}, 4096))"
    )
    before = content(store.root)
    said = launched(store, fault)
    assert said == "[]\n" or said.startswith("2 "), said
    assert content(store.root) == before


def test_a_few_damaged_results_are_set_aside_and_many_are_not(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store = make_store(n_seeds=MOST_SET_ASIDE + 2, a2=0.8)
    ids = [make_trial(seed, name="a2").trial_id for seed in range(MOST_SET_ASIDE + 1)]
    for trial_id in ids:
        (store.folder(trial_id) / "curves.parquet").write_bytes(b"")
    before = content(store.root)
    with pytest.raises(StoreError, match=r"3 more of these 5 trials are damaged; nothing was changed: .* --repair"):
        missing(store)
    assert content(store.root) == before
    lines: list[str] = []
    assert sorted(missing(store, is_repair=True, say=lines.append)) == sorted(ids)
    assert len(lines) == len(ids)
    assert len(list(store.root.glob("trials/*/damaged-*"))) == len(ids)


def test_plans_that_a_power_cut_left_empty_are_made_again(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trials = make_store(n_seeds=1, a2=0.8), [make_trial(seed, name="a2") for seed in range(1, 9)]
    store.plan(Study(recipes=("a2",)), trials)
    for trial in trials:
        (store.folder(trial.trial_id) / "spec.json").write_bytes(b"")
    assert len(missing(store)) == len(trials) > MOST_SET_ASIDE
    store.plan(Study(recipes=("a2",)), trials)
    assert sorted(store.scan().states.values()) == ["ok", *["planned"] * len(trials)]


def test_repair_trains_an_incomplete_result_again_and_touches_no_other(
    make_store: MakeStore, make_trial: MakeTrial
) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    first, second = (make_trial(seed, name="a2").trial_id for seed in range(2))
    _missing_table(store.folder(first))
    assert missing(store, is_repair=True) == [first]
    assert (next(store.folder(first).glob("damaged-*")) / "trial.json").exists()
    _newer_result(store.folder(second))
    before = content(store.root)
    with pytest.raises(StoreError, match="use the version that wrote it"):
        missing(store, is_repair=True)
    assert content(store.root) == before


def test_status_and_summary_work_beside_strange_folders(cli: Cli, make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=3, a2=0.8), make_trial(1, name="a2").trial_id
    copy = store.root / "trials" / f"{trial_id} (copy)"
    subprocess.run(["cp", "-a", store.folder(trial_id), copy], check=True)
    for command in ("status", "cancel", "clean"):
        code, _, err = cli(command, *(["--yes"] if command == "clean" else []))
        assert code == 0, err
    assert "not the name of a trial; move this folder away" in cli("status")[2]
    code, out, err = cli("summary", "a2")
    assert (code, " 3 " in out) == (2, True)
    assert "not the name of a trial" in err


def test_no_folder_is_made_again(make_store: MakeStore, make_trial: MakeTrial) -> None:
    """A study that is renamed while it is trained."""
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(1, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    store.root.rename(store.root.with_name("moved"))
    actions: list[Callable[[], Any]] = [
        lambda: store.write_progress(trial.trial_id, epoch=1),
        lambda: store.record_failure(trial.trial_id, "x", ""),
        lambda: store.claim(trial.trial_id).__enter__(),
        lambda: store.record_job("1", "slurm", []),
        store.mark_cancelled,
        store.scan,
    ]
    for action in actions:
        try:
            answer = action()
        except StoreError:
            continue
        assert isinstance(answer, Scan)
    assert not store.root.exists()


def test_a_longer_trial_id_is_a_folder_too(tmp_path: Path, make_trial: MakeTrial) -> None:
    store = Store(tmp_path, "main")
    longest = make_trial(0, name="r" * 40)
    for trial in (longest, Trial(**{**_fields(longest), "model": "m" * 300, "data": "imagenet_minival"})):
        store.plan(Study(recipes=("a2",)), [trial])
        assert store.read_spec(trial.trial_id) == trial
    assert sorted(store.scan().states.values()) == ["planned", "planned"]


def _fields(trial: Trial) -> dict[str, Any]:
    return {name: getattr(trial, name) for name in trial.__dataclass_fields__}
