"""Keras: the file of its CSVLogger, a CSV under any name, usually ``training.log``.

Accuracies of Keras are fractions. With ``append=True`` a second training may follow in the same file.
"""

from __future__ import annotations

from pathlib import Path

from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.table import Role, Table
from seedstudy.read.tables import csv_table


def _is_mine(path: Path) -> bool:
    first = head_of(path, ".log", ".csv").partition(b"\n")[0].strip()
    names = first.decode(errors="replace").split(";" if b";" in first else ",")
    if names[0] != "epoch" or len(names) < 2:
        return False
    is_plain = not any("/" in name or " " in name for name in names)
    return is_plain and "loss" in names and any(name.startswith("val_") or name == "accuracy" for name in names)


def _read(path: Path) -> Table:
    table = csv_table(path)
    unit = "fraction" if {"accuracy", "val_accuracy"} & set(table.frame.columns) else table.unit
    return Table(frame=table.frame, roles={**table.roles, "epoch": Role.CLOCK}, unit=unit, notes=table.notes)


KERAS = Format(name="Keras CSVLogger", is_mine=_is_mine, read=_read, run="folder")
