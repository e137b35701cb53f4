"""Ultralytics: results.csv of a training, with or without blanks around its cells. Its accuracies are fractions."""

from __future__ import annotations

from pathlib import Path

from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.table import Role, Table
from seedstudy.read.tables import csv_table


def _is_mine(path: Path) -> bool:
    first = head_of(path, ".csv").partition(b"\n")[0].decode(errors="replace")
    names = [name.strip() for name in first.split(",")]
    return names[0] == "epoch" and "lr/pg0" in names


def _read(path: Path) -> Table:
    table = csv_table(path)
    roles = {**table.roles, "epoch": Role.CLOCK}
    for name in table.frame.columns:
        if name.startswith(("metrics/", "val/", "train/")):
            roles[name] = Role.MEASURE
        elif name.startswith("lr/"):
            roles[name] = Role.NOISE
    return Table(frame=table.frame, roles=roles, unit="fraction", notes=table.notes)


ULTRALYTICS = Format(name="Ultralytics results.csv", is_mine=_is_mine, read=_read, run="folder")
