"""What may stand in a file, and the readers that must survive it: each ends, or says in one line what is wrong.

A target takes bytes and a folder, writes the bytes where a user's file would lie, and reads it as the commands do. Only
a SeedstudyError may come out, in one line of printable text, and nothing may be written beside the file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import polars as pl

from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.published import read_published_table
from seedstudy.read.request import Request
from seedstudy.recipes import reader as recipes
from seedstudy.store.store import Store
from seedstudy.study.study import load_study

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


def read_import(suffix: str) -> Target:
    def read(content: bytes, folder: Path) -> None:
        path = folder / f"numbers{suffix}"
        path.write_bytes(content)
        read_groups(str(path), Request())

    return read


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


def _packaged_recipe() -> bytes:
    return (resources.files("seedstudy") / "recipes" / "packaged" / "a2.toml").read_bytes()


def _fixture(name: str) -> bytes:
    return next(FORMAT_1.glob(f"trials/*-s0-*/{name}")).read_bytes()


def _parquet() -> bytes:
    import io

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
    "published": (read_published, lambda: b"model,val,v2\nx,80.1,68.0\ny,80.35,\n"),
    "trial.json": (read_record("trial.json"), lambda: _fixture("trial.json")),
    "spec.json": (read_record("spec.json"), lambda: _fixture("spec.json")),
    "predictions": (read_predictions, lambda: _fixture("predictions.parquet")),
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
