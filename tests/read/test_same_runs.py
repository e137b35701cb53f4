"""However a table is written, the same runs are found in it, or it is refused: never another number."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from seedstudy.study.group import Group

Rows = Sequence[Mapping[str, Any]]

FORMATS = ("csv", "tsv", "json", "jsonl", *(("parquet",) if find_spec("pyarrow") else ()))
# Letters that spell no word of a training log.
WORDS = st.text("bdfghjkqvwxyz", min_size=3, max_size=8)
SEEDS = st.one_of(
    st.integers(2, 12).map(lambda n: list(range(n))),
    st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True),
)
NOISE = st.sampled_from(["host", "time", "float", "whole", "word", "id", "row", "constant", "loss"])


def _noise(kind: str, row: int, random: Random) -> Any:
    match kind:
        case "host":
            return random.choice(["node1", "node2"])
        case "time":
            return f"2026-03-{1 + row % 28:02d} 10:{random.randrange(60):02d}:00"
        case "float" | "loss":
            return round(random.uniform(0.1, 5.0), 5)
        case "whole":
            return random.randrange(5)
        case "word":
            return random.choice(["red", "blue"])
        case "id":
            return f"{random.getrandbits(48):012x}"
        case "row":
            return row
    return "same"


def _write(rows: Rows, path: Path) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        path.write_text(pl.DataFrame(rows).write_csv(separator="\t" if path.suffix == ".tsv" else ","))


def _groups(selector: str, request: Request) -> list[Group] | None:
    """Return the groups, None for a refusal."""
    try:
        return read_groups(selector, request)
    except SeedstudyError:
        return None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_same_runs_or_a_refusal(data: st.DataObject) -> None:
    draw = data.draw
    random = Random(draw(st.integers(0, 2**32), label="random"))
    seeds = draw(SEEDS, label="seeds")
    n_epochs = draw(st.sampled_from([1, 1, 2, 5, 12]), label="epochs")
    seed_name = draw(st.sampled_from(["seed", "params.seed", "config/seed"]) | WORDS, label="seed column")
    clock_name = draw(st.sampled_from(["epoch", "training_iteration", "step"]) | WORDS, label="clock column")
    method_name = draw(st.sampled_from(["method", "model"]) | WORDS, label="method column")
    n_methods = draw(st.sampled_from([1, 1, 2]), label="methods")
    noise = {name: draw(NOISE) for name in draw(st.lists(WORDS, max_size=3, unique=True), label="noise")}
    assume(len({seed_name, clock_name, method_name, *noise}) == 3 + len(noise))
    has_clock = n_epochs > 1 or draw(st.booleans(), label="with a clock")
    first, step = draw(st.sampled_from([(0, 1), (1, 1), (100, 100)]), label="clock")

    rows, truth = [], dict[str, dict[int, float]]()
    for method in ("alpha", "beta")[:n_methods]:
        for seed in seeds:
            for epoch in range(n_epochs):
                value = round(random.uniform(60.0, 90.0), 3)
                truth.setdefault(method, {})[seed] = value
                row = {seed_name: seed, "acc": value}
                row |= {clock_name: first + step * epoch} if has_clock else {}
                row |= {method_name: method} if n_methods > 1 else {}
                rows.append(row | {name: _noise(kind, len(rows), random) for name, kind in noise.items()})
    if draw(st.booleans(), label="shuffled"):
        random.shuffle(rows)
    names = list(rows[0])
    random.shuffle(names)
    rows = [{name: row[name] for name in names} for row in rows]

    folder = Path(tempfile.mkdtemp())
    try:
        kind = draw(st.sampled_from(FORMATS), label="format")
        n_files = draw(st.sampled_from([1, 1, 2, 3]), label="files")
        size = -(-len(rows) // n_files)
        parts = [rows[i : i + size] for i in range(0, len(rows), size)]
        for i, part in enumerate(parts):
            _write(part, folder / f"part{i}.{kind}")
        selector = str(folder / (f"part*.{kind}" if len(parts) > 1 else f"part0.{kind}"))
        asked = draw(st.sampled_from(["nothing", "by", "pick", "seeds", "clock"]), label="asked")
        request = Request(
            by=(method_name,) if asked == "by" and n_methods > 1 else (),
            seeds_by=seed_name if asked in ("seeds", "clock") else None,
            clock=clock_name if asked == "clock" and has_clock else None,
        )
        if asked == "pick" and n_methods > 1:
            selector, truth = f"{selector}:{method_name}=beta", {"beta": truth["beta"]}
        groups = _groups(selector, request)
        assert groups is None or len(groups) == len(truth)
        for group in groups or ():
            expected = next(iter(truth.values())) if len(truth) == 1 else truth[group.label.rpartition("@")[2]]
            if group.seeds is not None:
                assert dict(zip(group.seeds, group.values.tolist(), strict=True)) == expected
            assert sorted(group.values.tolist()) == sorted(expected.values())
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_named_is_always_read(kind: str) -> None:
    """The property above would hold of a reader that refuses everything."""
    random = Random(0)
    rows = [
        {"seed": seed, "epoch": epoch, "acc": 70.0 + epoch + seed / 10, "host": "node1", "loss": random.random()}
        for seed in range(4)
        for epoch in range(6)
    ]
    random.shuffle(rows)
    _write(rows[:13], Path(f"part0.{kind}"))
    _write(rows[13:], Path(f"part1.{kind}"))
    (group,) = read_groups(f"part*.{kind}", Request())
    assert dict(zip(group.seeds or (), group.values.tolist(), strict=True)) == {s: 75.0 + s / 10 for s in range(4)}
