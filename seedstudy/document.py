"""Answers as JSON documents: what ``--json`` prints and ``to_dict()`` returns, made from the dataclasses themselves.

A field becomes a key of its own name, in the order of the fields. Its metadata says what differs: see :func:`shown_as`.
Numbers that JSON does not know (nan, infinity) become null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

HIDDEN: Mapping[str, Any] = {"document": None}
"""``field(metadata=HIDDEN)``: not a part of the document."""
FLAT: Mapping[str, Any] = {"document": ""}
"""``field(metadata=FLAT)``: the keys of this dataclass or mapping appear beside those of its owner."""


def shown_as(name: str) -> Mapping[str, Any]:
    """Return the metadata of a field that has another name in the document."""
    return {"document": name}


def document(answer: Any) -> Any:
    """Return what JSON can hold of an answer: a dataclass, or anything made of them.

    An object with ``to_dict`` speaks for itself. An interval (an object with ``low`` and ``high`` beside ``value``)
    that is a field becomes two keys: ``name`` and ``name_ci``, the latter null where nothing is known of either end.
    """
    if hasattr(answer, "to_dict"):
        return answer.to_dict()
    if is_dataclass(answer):
        return fields_of(answer)
    if isinstance(answer, Mapping):
        return {str(key): document(value) for key, value in answer.items()}
    if isinstance(answer, str | bool | None):
        return answer
    if isinstance(answer, Path):
        return str(answer)
    if hasattr(answer, "tolist"):  # NumPy
        return document(answer.tolist())
    if isinstance(answer, float):
        return finite(answer)
    if isinstance(answer, int):
        return answer
    return [document(value) for value in answer]


def fields_of(answer: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as a document; for a ``to_dict`` that adds to them."""
    found: dict[str, Any] = {}
    for field in fields(answer):
        name = field.metadata.get("document", field.name)
        if name is None:
            continue
        value = getattr(answer, field.name)
        if name == "":
            found |= document(value) if value is not None else {}
        elif all(hasattr(value, end) for end in ("value", "low", "high")):  # an estimate with an interval
            found |= {name: finite(value.value), f"{name}_ci": ends(value)}
        else:
            found[name] = document(value)
    return found


def finite(value: float | None) -> float | None:
    """Return a number JSON can hold; what is not known is null."""
    return None if value is None or not math.isfinite(value) else float(value)


def ends(estimate: Any) -> list[float | None] | None:
    """Return [low, high], or None where nothing is known of either end."""
    found = [finite(estimate.low), finite(estimate.high)]
    return None if found == [None, None] else found
