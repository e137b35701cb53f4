from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from seedstudy.data.base import Dataset
from seedstudy.errors import StoreError
from seedstudy.files import read_record, write_record
from seedstudy.store import upkeep
from seedstudy.store.rows import pool_key
from seedstudy.store.schema import CURVES, PREDICTIONS, TRIALS, validate
from seedstudy.store.store import Store, open_study
from seedstudy.study.study import Study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result

MakeStore = Callable[..., Store]
MakeTrial = Callable[..., Trial]
STARTED = "2026-01-01T00:00:00+00:00"


def publish(store: Store, trial: Trial, data: Dataset, **changes: str) -> None:
    store.publish(trial, drawn_result(data, 0.7, np.random.default_rng(trial.seed), **changes), data.eval_sets, STARTED)


@pytest.mark.train  # Arrow reads Parquet
def test_what_is_written_is_read(make_store: MakeStore, data: Dataset) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    scan = store.scan()
    assert scan.trials.schema == pl.Schema(dict(TRIALS))
    assert scan.trials.height == 2 * 2  # seeds x eval sets
    assert set(scan.states.values()) == {"ok"}
    row = scan.trials.row(0, named=True)
    trial_id = row["trial_id"]
    predictions, curves = store.predictions(trial_id), store.curves(trial_id)
    assert predictions.schema == pl.Schema(dict(PREDICTIONS))
    assert curves.schema == pl.Schema(dict(CURVES))
    by_set = predictions.group_by("eval_set").agg(
        pl.len(), n_correct=pl.col("labels").list.contains(pl.col("predicted")).sum()
    )
    counted = {r["eval_set"]: (r["n_correct"], r["len"]) for r in by_set.iter_rows(named=True)}
    of_trial = scan.trials.filter(pl.col("trial_id") == trial_id)
    stored = {r["eval_set"]: (r["n_correct"], r["n_examples"]) for r in of_trial.iter_rows(named=True)}
    assert counted == stored
    real = data.eval_sets["real"]
    labels = predictions.filter(pl.col("eval_set") == "real")["labels"].to_list()
    assert labels[0] == list(real.label_values[: real.label_offsets[1]])
    assert max(map(len, labels)) == 2


def test_equal_results_are_equal_files(tmp_path: Path, data: Dataset, make_trial: MakeTrial) -> None:
    contents = []
    for name in ("one", "two"):
        store, trial = Store(tmp_path, name), make_trial(1)
        store.plan(Study(recipes=("a2",)), [trial])
        publish(store, trial, data)
        contents.append((store.folder(trial.trial_id) / "predictions.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_a_result_is_named_once_the_disk_has_all_that_it_needs(
    make_store: MakeStore, make_trial: MakeTrial, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(5, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    events: list[str] = []
    sync, link = os.fsync, os.link

    def fsync(descriptor: int) -> None:
        events.append(
            re.sub(r"^\.|-[0-9a-f]{16}|\.[0-9a-f]{16}\.tmp$", "", Path(f"/proc/self/fd/{descriptor}").readlink().name)
        )
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", lambda *names: (events.append("LINK"), link(*names)))
    publish(store, trial, data)
    folder, before = trial.trial_id, events[: events.index("LINK")]
    assert set(before) == {"spec.json", "predictions.parquet", "curves.parquet", "trial.json", folder}
    assert before.index("curves.parquet") < len(before) - before[::-1].index(folder)
    assert events[events.index("LINK") + 1] == folder


def test_first_result_wins(make_store: MakeStore, data: Dataset, make_trial: MakeTrial) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2")
    before = (store.folder(trial.trial_id) / "trial.json").read_bytes()
    publish(store, trial, data)
    assert (store.folder(trial.trial_id) / "trial.json").read_bytes() == before


def test_states_of_a_trial(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    planned, running, killed, failed = (make_trial(seed, name="a2") for seed in (1, 2, 3, 4))
    store.plan(Study(recipes=("a2",)), [planned, running, killed, failed])
    with store.claim(killed.trial_id) as is_mine:
        assert is_mine
    store.record_failure(failed.trial_id, "RuntimeError: boom", "traceback")
    with store.claim(running.trial_id):
        scan = store.scan()
    states = {trial: scan.states[trial.trial_id] for trial in (planned, running, killed, failed)}
    assert list(states.values()) == ["planned", "running", "interrupted", "failed"]
    rows = {row["seed"]: row for row in scan.trials.iter_rows(named=True)}
    assert rows[4]["reason"] == "RuntimeError: boom"
    assert rows[3]["status"] == "interrupted"
    assert 1 not in rows
    assert 2 not in rows


def test_a_claim_is_exclusive_between_processes(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2")
    script = (
        "import sys; from pathlib import Path; from seedstudy.store.store import Store\n"
        "with Store(Path(sys.argv[1]), sys.argv[2]).claim(sys.argv[3]) as is_mine: sys.exit(is_mine)"
    )
    command = [sys.executable, "-c", script, str(store.root.parent), store.study, trial.trial_id]
    with store.claim(trial.trial_id):
        assert subprocess.run(command, check=False).returncode == 0
    assert subprocess.run(command, check=False).returncode == 1
    with store.claim(trial.trial_id) as is_mine:
        assert is_mine


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("trial.json", b"{", "trial.json: damaged (not valid JSON)"),
        ("trial.json", b"[]", "trial.json: damaged (not a JSON object)"),
        ("trial.json", b'{"format": 3}', "trial.json: damaged (its content is not what was written)"),
        ("trial.json", b'{"format": 4}', "trial.json: format 4, this version of seedstudy reads up to 3"),
        ("trial.json", b"\xff\xfe", "trial.json: damaged (not valid JSON)"),
        ("predictions.parquet", b"PAR1", "predictions.parquet: damaged"),
        ("curves.parquet", b"", "curves.parquet: damaged"),
        ("spec.json", b'{"format": 1}', "spec.json: damaged (a key is missing"),
        ("spec.json", b'{"format": 7}', "spec.json: format 7"),
    ],
)
def test_damaged_file_is_named_and_the_others_are_read(
    name: str, content: bytes, expected: str, make_store: MakeStore, make_trial: MakeTrial
) -> None:
    store = make_store(n_seeds=3, a2=0.8)
    trial_id = make_trial(1, name="a2").trial_id
    (store.folder(trial_id) / name).write_bytes(content)
    scan = store.scan()
    assert list(scan.damaged) == [trial_id]
    assert expected in scan.damaged[trial_id]
    assert sorted(scan.trials["seed"].unique()) == [0, 2]


def test_one_flipped_bit_in_any_file_is_noticed(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    path = store.folder(make_trial(0, name="a2").trial_id) / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert len(store.scan().damaged) == 1


def test_a_changed_spec_does_not_pass_for_another_trial(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store = make_store(n_seeds=1, a2=0.8)
    path = store.folder(make_trial(0, name="a2").trial_id) / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 5}))
    assert "does not belong to this folder" in next(iter(store.scan().damaged.values()))


def test_damaged_trial_is_set_aside_whole(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    (store.folder(trial_id) / "curves.parquet").write_bytes(b"")
    aside = upkeep.set_aside(store, trial_id)
    assert aside is not None
    assert sorted(path.name for path in aside.iterdir()) == ["curves.parquet", "predictions.parquet", "trial.json"]
    assert store.read_trial(trial_id)[0] == "planned"


def test_a_damaged_spec_is_set_aside_and_planned_anew(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2")
    (store.folder(trial.trial_id) / "spec.json").write_bytes(b"{")
    aside = upkeep.set_aside(store, trial.trial_id)
    assert aside is not None
    assert (aside / "spec.json").exists()
    store.plan(Study(recipes=("a2",)), [trial])
    assert store.read_trial(trial.trial_id)[0] == "planned"


def test_a_trial_whose_failure_is_damaged_can_be_trained_again(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(5, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    (store.folder(trial.trial_id) / "failure.json").write_bytes(b"{")
    assert store.scan().states[trial.trial_id] == "damaged"
    upkeep.set_aside(store, trial.trial_id)
    assert not store.has_ended(trial.trial_id)
    assert store.read_trial(trial.trial_id)[0] == "planned"


def test_what_is_damaged_says_how_to_mend_it(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    for name in ("curves.parquet", "predictions.parquet", "trial.json", "spec.json"):
        (store.folder(trial_id) / name).write_bytes(b"")
        sentence = store.scan().damaged[trial_id]
        assert sentence.startswith(f"{store.folder(trial_id) / name}: damaged (")
        assert sentence.endswith("; the same `seedstudy run` command trains this trial again.")


def test_leftovers_of_a_killed_attempt_count_for_nothing(
    make_store: MakeStore, make_trial: MakeTrial, data: Dataset
) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(9, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    folder = store.folder(trial.trial_id)
    (folder / "predictions.parquet").write_bytes(b"half")
    (folder / ".trial.json.1.tmp").write_bytes(b"half")
    assert store.read_trial(trial.trial_id)[0] == "planned"
    publish(store, trial, data)
    assert store.read_trial(trial.trial_id)[0] == "ok"


def test_trials_pool_only_where_provenance_agrees(make_store: MakeStore, make_trial: MakeTrial, data: Dataset) -> None:
    store = make_store(n_seeds=2, a2=0.8)
    newer, patched = make_trial(5, name="a2"), make_trial(6, name="a2")
    store.plan(Study(recipes=("a2",)), [newer, patched])
    publish(store, newer, data, torch="2.16.0")
    publish(store, patched, data, torch="2.15.1")
    keys = {row["seed"]: row["pool_key"] for row in store.scan().trials.iter_rows(named=True)}
    assert keys[0] == keys[1] == keys[6] != keys[5]


def test_a_compiled_trial_is_another_only_where_it_rounds_to_16_bits(make_trial: MakeTrial, data: Dataset) -> None:
    trial, provenance = make_trial(0), drawn_result(data, 0.8, np.random.default_rng(0)).provenance

    def key(precision: str, **changes: bool) -> str:
        return pool_key(trial, {**provenance, "precision": precision, **changes})

    assert key("float32", compiled=True) == key("float32") == pool_key(trial, provenance)
    assert key("bfloat16", compiled=True) != key("bfloat16")


def test_a_full_disk_leaves_nothing_half_written(
    make_store: MakeStore, make_trial: MakeTrial, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(9, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"cannot write results \(No space left on device\); finished trials are safe"):
        publish(store, trial, data)
    assert sorted(path.name for path in store.folder(trial.trial_id).iterdir()) == ["spec.json"]


def test_missing_study_names_the_ones_that_are_there(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store("ladder", n_seeds=1)
    with pytest.raises(StoreError, match=r'no study "lader"\. Did you mean "ladder"'):
        open_study(store.root.parent, "lader")
    with pytest.raises(StoreError, match="no such results folder"):
        open_study(tmp_path / "nowhere", "main")


@pytest.mark.parametrize("name", ["../main", "/etc", "a/b", "", ".", "..", ".hidden", "x" * 200, "a\0b", "a\n", "é"])
def test_names_become_folders_only_after_a_check(name: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="use letters, digits"):
        Store(tmp_path, name)


# --- formats --------------------------------------------------------------------------------------------

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "format_1"


@pytest.fixture
def old_store(tmp_path: Path) -> Store:
    """Return a study written before records had seals: two results, a failure, a planned trial."""
    shutil.copytree(FORMAT_1, tmp_path / "old" / "format_1")
    return Store(tmp_path / "old", "format_1")


@pytest.mark.train  # Arrow reads Parquet
def test_format_1_is_read(old_store: Store) -> None:
    scan = old_store.scan()
    assert scan.damaged == {}
    assert sorted(scan.states.values()) == ["failed", "ok", "ok", "planned"]
    assert set(scan.trials["trial_id"]) == {key for key, state in scan.states.items() if state != "planned"}
    counts = scan.trials.filter(pl.col("status") == "ok").select("seed", "eval_set", "n_correct", "n_examples").rows()
    assert counts == [(0, "val", 33, 40), (0, "real", 18, 20), (1, "val", 30, 40), (1, "real", 15, 20)]
    assert scan.trials["reason"].to_list()[-1] == "RuntimeError: out of memory"
    predictions = old_store.predictions(old_store.trial_ids()[0])
    assert predictions.height == predictions["label_probability"].null_count() == 60
    assert old_store.rule().margin == 0.5


def test_a_trial_planned_by_another_training_version_is_still_read(
    make_store: MakeStore, data: Dataset, make_trial: MakeTrial
) -> None:
    store, older = make_store(n_seeds=1, a2=0.8), make_trial(1, name="a2", training_version=0)
    store.plan(Study(recipes=("a2",)), [older])
    publish(store, older, data)
    assert store.read_spec(older.trial_id) == older
    assert store.read_trial(older.trial_id)[0] == "ok"


# --- what a hand or a disk may do -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "fine"),
        ("status", 3),
        ("provenance", []),
        ("evaluations", []),
        ("evaluations", {}),
        ("evaluations", {"val": {"n_correct": "many", "n_examples": 1, "n_correct_top5": 1, "loss": 1.0}}),
        ("evaluations", {"val": {"n_correct": 2, "n_examples": 1, "n_correct_top5": 1, "loss": 1.0}}),
        ("evaluations", {"val": {"n_correct": None, "n_examples": 1, "n_correct_top5": 1, "loss": 1.0}}),
        ("started_at", "yesterday"),
        ("started_at", "0001-01-01T00:00:00+14:00"),
        ("reason", "\ud800"),
        ("epochs", 2**63),
        ("train_s", True),
        ("sha256", None),
    ],
)
def test_a_wrong_value_in_an_unsealed_record_spoils_one_trial_alone(key: str, value: object, old_store: Store) -> None:
    trial_id = old_store.trial_ids()[0]
    path = old_store.folder(trial_id) / "trial.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}).replace("\\\\u", "\\u"))
    scan = old_store.scan()
    assert list(scan.damaged) == [trial_id]
    assert "damaged" in scan.damaged[trial_id]
    assert scan.trials.filter(pl.col("status") == "ok")["seed"].unique().to_list() == [1]


@pytest.mark.parametrize("name", ["trial.json", "failure.json", "study.json"])
def test_a_changed_number_in_a_record_is_noticed(name: str, make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    if name == "failure.json":
        (store.folder(trial_id) / "trial.json").unlink()
        store.record_failure(trial_id, "RuntimeError: 1", "")
    path = store.root / name if name == "study.json" else store.folder(trial_id) / name
    path.write_text(re.sub(r"1|null", "3", path.read_text(), count=1))
    with pytest.raises(StoreError, match=rf"{name}: damaged \(its content is not what was written\)"):
        store.rule() if name == "study.json" else store.read_trial(trial_id)


def test_a_pipe_or_folder_in_place_of_a_file_is_damage(make_store: MakeStore, make_trial: MakeTrial) -> None:
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    for name in ("predictions.parquet", "trial.json", "spec.json"):
        path = store.folder(trial_id) / name
        for make in (os.mkfifo, os.mkdir):
            path.unlink()
            make(path)
            assert "not a regular file" in store.scan().damaged[trial_id]
            (Path.unlink if make is os.mkfifo else Path.rmdir)(path)
            path.write_bytes(b"")


def test_a_link_left_in_a_folder_leads_no_write_outside(
    tmp_path: Path, make_store: MakeStore, make_trial: MakeTrial, data: Dataset
) -> None:
    store, trial = make_store(n_seeds=1, a2=0.8), make_trial(5, name="a2")
    store.plan(Study(recipes=("a2",)), [trial])
    outside = tmp_path / "outside"
    outside.write_text("mine")
    for name in (f".predictions.parquet.{os.getpid()}.tmp", "curves.parquet", f".trial.json.{os.getpid()}.tmp"):
        (store.folder(trial.trial_id) / name).symlink_to(outside)
    publish(store, trial, data)
    assert outside.read_text() == "mine"
    assert store.read_trial(trial.trial_id)[0] == "ok"


# --- schemas --------------------------------------------------------------------------------------------


def test_validate_names_what_is_wrong() -> None:
    good = pl.DataFrame(schema=dict(CURVES))
    assert validate(good, CURVES, where="x").equals(good)
    with pytest.raises(StoreError, match='x: column "lr" is missing'):
        validate(good.drop("lr"), CURVES, where="x")
    with pytest.raises(StoreError, match='x: column "lr" has type String, expected Float64'):
        validate(good.with_columns(pl.col("lr").cast(pl.String)), CURVES, where="x")
    with pytest.raises(StoreError, match='x: unknown column "more"'):
        validate(good.with_columns(more=1), CURVES, where="x")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"n_correct": 11}, "n_correct lies outside 0 to n_examples"),
        ({"n_correct": -1}, "n_correct lies outside"),
        ({"n_correct": None}, 'status "ok" has no counts'),
        ({"status": "fine"}, 'unknown status "fine"'),
    ],
)
def test_validate_checks_counts_and_status(change: dict[str, object], expected: str) -> None:
    row = {**dict.fromkeys(TRIALS), "status": "ok", "n_correct": 5, "n_examples": 10, **change}
    with pytest.raises(StoreError, match=expected):
        validate(pl.DataFrame([row], schema=dict(TRIALS)), TRIALS, where="x")


@pytest.mark.parametrize("digest", ["../../../victim", "x\x00", "", 7, "5b8c"])
def test_a_digest_that_is_none_names_no_file(
    make_store: MakeStore, make_trial: MakeTrial, tmp_path: Path, digest: object
) -> None:
    """Found by fuzzing: digests are parts of file names, and a sealed record may name anything."""
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    path = store.folder(trial_id) / "trial.json"
    record = read_record(path)
    write_record(path, {**record, "sha256": {**record["sha256"], "curves.parquet": digest}})
    (store.folder(trial_id) / "curves.parquet").unlink()
    assert "it names no digests of the tables" in store.scan().damaged[trial_id]


def test_a_reason_that_no_text_can_hold_is_shown_escaped(make_store: MakeStore, make_trial: MakeTrial) -> None:
    """Found by fuzzing: JSON can spell half a character, which no frame can hold."""
    store, trial_id = make_store(n_seeds=1, a2=0.8), make_trial(0, name="a2").trial_id
    (store.folder(trial_id) / "trial.json").unlink()
    store.record_failure(trial_id, "RuntimeError: \ud800", "")
    assert store.scan().trials["reason"].to_list() == ["RuntimeError: \\ud800"]
