"""What may stand in a file, and the readers that must survive it: each ends, or says in one line what is wrong.

A target takes bytes and a folder, writes the bytes where a user's file would lie, and reads it as the commands do. Only
a SeedstudyError may come out, in one line of printable text, and nothing may be written beside the file.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

import seedstudy as ss
from seedstudy import files
from seedstudy.api import studies
from seedstudy.data import arrays, finding
from seedstudy.data import cache as prepared
from seedstudy.decide.race import RaceRule
from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.inspect import inspect
from seedstudy.read.published import read_published_table
from seedstudy.read.request import Request
from seedstudy.read.selector import parse_selector
from seedstudy.recipes import reader as recipes
from seedstudy.show.status import status_tables
from seedstudy.stats.race import Plan
from seedstudy.store.store import Store
from seedstudy.study.study import Study, load_study
from tests.data.test_cache import small_content
from tests.fuzz import formats
from tests.imagenet_tree import jpeg, write

Target = Callable[[bytes, Path], None]
FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "format_1"

STUDY = b"""format = 1
name = "main"
question = "Is A2 better than A3?"

[grid]
recipes = ["a2", "a3", "own.toml"]
models = ["resnet8_nano"]
data = "shapes"
seeds = "0-4"
vary = ["init", "order"]
epochs = 3
train_limit = 100
set = ["drop_path=0.1"]

[rule]
margin = 0.5
baseline = "a3"

[engine]
name = "local"
workers = 2
gpus = 0.5
"""


def read_recipe(content: bytes, folder: Path) -> None:
    path = folder / "own.toml"
    path.write_bytes(content)
    recipe = recipes.load_recipe(str(path))
    assert recipes.load_recipe(str(path)) == recipe


def read_study(content: bytes, folder: Path) -> None:
    (folder / "study.toml").write_bytes(content)
    load_study(folder / "study.toml")


def read_import(suffix: str, *, by: str = "") -> Target:
    def read(content: bytes, folder: Path) -> None:
        path = folder / f"numbers{suffix}"
        path.write_bytes(content)
        inspect(str(path), Request())  # what `import --dry-run` shows, with or without a result
        groups = read_groups(str(path), Request(by=(by,) if by else ()))
        assert all(np.isfinite(group.values).all() for group in groups)

    return read


def read_pick(content: bytes, folder: Path) -> None:
    path = folder / "table.csv"
    path.write_bytes(CURVES)
    pick = content.decode("utf-8", errors="replace")
    if parse_selector(f"{path}:{pick}") == (str(path), pick):
        read_groups(f"{path}:{pick}", Request())


CURVES = b"""method,seed,epoch,val_acc,train_loss,state,when,lr
a,0,1,70.1,1.0,finished,2026-03-01 10:00,0.1
a,0,2,71.1,0.9,finished,2026-03-01 10:00,0.01
a,1,1,70.2,1.0,finished,2026-03-01 10:00,0.1
a,1,2,71.2,,finished,2026-03-01 10:00,0.01
b,0,1,70.3,1.0,finished,2026-03-01 10:00,0.1
b,0,2,71.3,0.9,finished,2026-03-01 10:00,0.01
"""
CHART = b"""Step,glad-sun-1 - val_acc,glad-sun-1 - val_acc__MIN,glad-sun-1 - val_acc__MAX,odd-sea-2 - val_acc
1,60.1,60.1,60.1,61.0
2,70.1,70.1,70.1,71.0
"""


def read_published(content: bytes, folder: Path) -> None:
    path = folder / "table.csv"
    path.write_bytes(content)
    read_published_table(path)


def read_record(name: str) -> Target:
    """Return the target that puts the bytes in a trial's folder and reads the study; the others are still read."""

    def read(content: bytes, folder: Path) -> None:
        shutil.copytree(FORMAT_1, folder / "format_1", dirs_exist_ok=True)
        store = Store(folder, "format_1")
        victim, other = store.trial_ids()[:2]
        (store.folder(victim) / name).write_bytes(content)
        scan = store.scan()
        assert other in set(scan.trials["trial_id"])
        assert victim in scan.states or victim in scan.damaged

    return read


def read_predictions(content: bytes, folder: Path) -> None:
    """Read a table whose digest is right: written by somebody else, or by a broken writer."""
    shutil.copytree(FORMAT_1, folder / "format_1", dirs_exist_ok=True)
    store = Store(folder, "format_1")
    victim = store.trial_ids()[0]
    (store.folder(victim) / "predictions.parquet").write_bytes(content)
    path = store.folder(victim) / "trial.json"
    record = json.loads(path.read_text())
    record["sha256"]["predictions.parquet"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(record))
    store.predictions(victim)


# --- files of a study that somebody else, or another program, wrote -------------------------------------------


def sealed(content: bytes, path: Path) -> None:
    """Write a JSON object as a record with the right seal, as everybody can; anything else as it is."""
    path.parent.mkdir(exist_ok=True)
    try:
        record = json.loads(content)
        record.pop("seal", None)
        files.write_record(path, record)
    except (ValueError, TypeError, AttributeError, RecursionError):
        path.write_bytes(content)


def asked(store: Store) -> None:
    """Ask of a study what commands ask, and print it; no control character may reach the terminal."""
    answer = ss.status(store.study, results=store.root.parent)
    json.dumps(answer.to_dict())
    terminal = Console(file=io.StringIO(), width=80)
    terminal.print(status_tables(answer))
    assert "\x1b" not in terminal.file.getvalue()  # type: ignore[attr-defined]
    studies.leftovers(store.study, results=store.root.parent)


def _copy(folder: Path) -> tuple[Store, str]:
    """Return a copy of a study, and the one trial of it that is planned."""
    shutil.copytree(FORMAT_1, folder / "format_1", dirs_exist_ok=True)
    store = Store(folder, "format_1")
    return store, next(trial_id for trial_id, state in store.scan().states.items() if state == "planned")


def read_lock(content: bytes, folder: Path) -> None:
    store, trial_id = _copy(folder)
    (store.folder(trial_id) / "lock").write_bytes(content)
    asked(store)
    with store.claim(trial_id):
        asked(store)


def read_progress(content: bytes, folder: Path) -> None:
    store, trial_id = _copy(folder)
    with store.claim(trial_id):
        (store.folder(trial_id) / "progress.json").write_bytes(content)
        asked(store)


def read_failure(content: bytes, folder: Path) -> None:
    store, trial_id = _copy(folder)
    sealed(content, store.folder(trial_id) / "failure.json")
    asked(store)


def read_jobs(content: bytes, folder: Path) -> None:
    store, _ = _copy(folder)
    sealed(content, store.root / "jobs" / "1.json")
    asked(store)


def read_rule(content: bytes, folder: Path) -> None:
    store, _ = _copy(folder)
    sealed(content, store.root / "study.json")
    ss.summary(study="format_1", results=folder)
    store.declare(Study(recipes=("a2",), margin=0.25))


def read_race(content: bytes, folder: Path) -> None:
    store, _ = _copy(folder)
    sealed(content, store.root / "race.json")
    asked(store)
    kept = store.race_rule()
    assert kept is not None
    rule = RaceRule.from_dict(kept, where="race.json")
    assert json.loads(json.dumps(rule.to_dict())) is not None
    assert all(f"{a} against {b}" for a, b in rule.pairs)


def read_imported(content: bytes, folder: Path) -> None:
    store, _ = _copy(folder)
    (store.root / "imported").mkdir()
    (store.root / "imported" / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet").write_bytes(content)
    asked(store)
    ss.summary(study="format_1", results=folder)


def read_checkpoint(content: bytes, folder: Path) -> None:
    from seedstudy.train import checkpoint

    (folder / "checkpoint.pt").write_bytes(content + hashlib.sha256(content).digest())
    checkpoint.read(folder / "checkpoint.pt")


# --- data ------------------------------------------------------------------------------------------------------


@cache
def _prepared() -> Path:
    from tempfile import mkdtemp

    return prepared.ensure("small", source_key="", cache_dir=Path(mkdtemp(prefix="fuzz-cache-")), build=small_content)


def read_meta(content: bytes, folder: Path) -> None:
    shutil.copytree(_prepared(), folder / "entry")
    sealed(content, folder / "entry" / "meta.json")
    data = prepared.load(folder / "entry")
    data.check_unchanged()
    assert len(data.train_images) == len(data.train_labels)


def read_array(content: bytes, folder: Path) -> None:
    (folder / "array.npy").write_bytes(content)
    with suppress(ValueError):  # which its callers name the file of
        arrays.facts(arrays.mapped(folder / "array.npy"))


def read_tar(suffix: str) -> Target:
    def read(content: bytes, folder: Path) -> None:
        path = folder / f"val{suffix}"
        path.write_bytes(gzip.compress(content, 1) if suffix == ".tar.gz" and content[:1] != b"\x1f" else content)
        left_out = finding.LeftOut()
        listed = finding.entries(path, lambda line: None, left_out)
        finding.encoded_images(listed, [entry.name for entry in listed])
        assert str(left_out).isprintable()

    return read


def read_image(content: bytes, folder: Path) -> None:
    path = folder / "n01440764" / "x.JPEG"
    path.parent.mkdir()
    path.write_bytes(content)
    listed = finding.entries(folder, lambda line: None, finding.LeftOut())
    for row in range(len(listed)):
        finding.encoded_images(listed, [entry.name for entry in listed]).open(row)


def read_classes(content: bytes, folder: Path) -> None:
    from seedstudy.data import check

    (folder / "data").mkdir()
    (folder / "data" / "classes.txt").write_bytes(content)
    for synset in ("n01440764", "n01443537"):
        write(folder / "data" / "val" / synset / f"{synset}.JPEG", jpeg())
    check("imagenet", folder / "data")


# --- right files to start from ----------------------------------------------------------------------------------


def _packaged_recipe() -> bytes:
    return (resources.files("seedstudy") / "recipes" / "packaged" / "a2.toml").read_bytes()


def _fixture(name: str) -> bytes:
    return next(FORMAT_1.glob(f"trials/*-s0-*/{name}")).read_bytes()


def _record(name: str) -> bytes:
    """Return a record as the store writes it, its seal left out."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        store, trial_id = _copy(Path(place))
        match name:
            case "lock":
                with store.claim(trial_id):
                    return (store.folder(trial_id) / "lock").read_bytes()
            case "progress":
                at = {"epoch": 1, "epochs": 3, "images_per_s": 10.0, "epoch_s": 1.0, "at": 1e9, "moved_at": 1e9}
                return json.dumps(at).encode()
            case "failure":
                store.record_failure(trial_id, "RuntimeError: 1", "traceback", epoch=1, host="h")
                path = store.folder(trial_id) / "failure.json"
            case "jobs":
                store.record_job("1", "slurm", [[trial_id]])
                path = store.root / "jobs" / "1.json"
            case "race":
                rule = RaceRule(arms=("a2", "a3"), plan=Plan(margin=0.5))
                store.declare_race({**rule.to_dict(), "trains": {"a2": {"epochs": 3}, "a3": {"epochs": 3}}})
                path = store.root / "race.json"
            case "rule":
                store.plan(Study(recipes=("a2",), question="q", margin=0.5, baseline="a2"), [])
                path = store.root / "study.json"
            case _:
                path = _prepared() / "meta.json"
        return json.dumps(files.read_record(path)).encode()


def _imported() -> bytes:
    from tempfile import TemporaryDirectory

    buffer = io.BytesIO()
    with TemporaryDirectory() as place:
        scan = _copy(Path(place))[0].scan()
    scan.trials.with_columns(trial_id="elsewhere-" + pl.col("trial_id")).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _checkpoint() -> bytes:
    import torch

    buffer = io.BytesIO()
    state = {"model": {"w": torch.zeros(3)}, "epoch": 1, "streams": [{}], "reports": []}
    torch.save({"format": 1, "trial_id": "x", "state": state}, buffer)
    return buffer.getvalue()


def _array() -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.arange(6, dtype=np.int32).reshape(2, 3))
    return buffer.getvalue()


def _tar() -> bytes:
    inner, outer = io.BytesIO(), io.BytesIO()
    for stream, members in (
        (inner, {"x.JPEG": b"x" * 600}),
        (outer, {"n01440764/a.JPEG": b"x", f"n01440764/{'long' * 30}.JPEG": b"y", "n01443537.tar": b""}),
    ):
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                content = content or inner.getvalue()
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return outer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"seed": [0, 1, 2], "val": [79.1, 79.2, 79.3], "recipe": ["a", "b", "c"]}).write_parquet(buffer)
    return buffer.getvalue()


TARGETS: dict[str, tuple[Target, Callable[[], bytes]]] = {
    "recipe": (read_recipe, _packaged_recipe),
    "study": (read_study, lambda: STUDY),
    "csv": (read_import(".csv"), lambda: b"seed,val,recipe\n0,79.1,a2\n1,79.2,a2\n2,78.9,a3\n"),
    "json": (read_import(".json"), lambda: b'[{"seed": 0, "val": 79.1}, {"seed": 1, "val": 79.2, "x": [1, null]}]'),
    "jsonl": (read_import(".jsonl"), lambda: b'{"seed": 0, "val": 79.1}\n{"seed": 1, "val": 79.2, "x": {"y": 1}}\n'),
    "txt": (read_import(".txt"), lambda: b"79.1\n79.2 # seed 1\n\n7e1\n"),
    "parquet": (read_import(".parquet"), _parquet),
    "curves": (read_import(".csv", by="method"), lambda: CURVES),
    "chart": (read_import(".csv"), lambda: CHART),
    "means": (read_import(".csv"), lambda: "method,top1,n_seeds\na,79.1 ± 0.1,5\nb,79.3±0.2,5\n".encode()),
    "log": (read_import(".txt"), lambda: b'{"epoch": 0, "test_acc1": 70.1}\n{"epoch": 1, "test_acc1": 71.1}\n'),
    "pick": (read_pick, lambda: b"method='a',seed=0"),
    "published": (read_published, lambda: b"model,val,v2\nx,80.1,68.0\ny,80.35,\n"),
    "trial.json": (read_record("trial.json"), lambda: _fixture("trial.json")),
    "spec.json": (read_record("spec.json"), lambda: _fixture("spec.json")),
    "predictions": (read_predictions, lambda: _fixture("predictions.parquet")),
    "lock": (read_lock, lambda: _record("lock")),
    "progress": (read_progress, lambda: _record("progress")),
    "failure": (read_failure, lambda: _record("failure")),
    "jobs": (read_jobs, lambda: _record("jobs")),
    "rule": (read_rule, lambda: _record("rule")),
    "race": (read_race, lambda: _record("race")),
    "imported": (read_imported, _imported),
    "checkpoint": (read_checkpoint, _checkpoint),
    "meta": (read_meta, lambda: _record("meta")),
    "array": (read_array, _array),
    "tar": (read_tar(".tar"), _tar),
    "tar.gz": (read_tar(".tar.gz"), _tar),
    "image": (read_image, jpeg),
    "classes": (read_classes, lambda: b"n01440764\nn01443537\n"),
    **{name: (formats.read_format(name), formats.right(name)) for name in formats.PLACES},
}
"""Name -> what reads, and a file that is right, to start from."""


def survives(name: str, content: bytes, folder: Path) -> None:
    """Run a target; raises AssertionError, or whatever came out, unless all is as it must be."""
    before = {path.name for path in folder.iterdir()}
    try:
        TARGETS[name][0](content, folder)
    except SeedstudyError as error:
        text = str(error)
        assert text
        assert "\n" not in text, text
        assert text.isprintable(), text
    written = {path.name for path in folder.iterdir()} - before
    assert len(written) <= 1, written
