"""The JSON schema of a recipe file, made from the declaration of its keys: editors complete and check with it."""

from __future__ import annotations

import math
from typing import Any, get_args, get_origin

from seedstudy.recipes.reader import FORMAT
from seedstudy.recipes.recipe import KEYS, Key, kind_of, type_in_words


def recipe_schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe file."""
    values = {name: _value(key) for name, key in KEYS.items()}
    text = {"type": "string"}
    with_source = {
        name: {
            "description": key.meaning,
            "anyOf": [
                values[name],
                _object({"value": values[name], "source": text}, required=["value", "source"]),
                _object({"missing": text}, required=["missing"]),
            ],
        }
        for name, key in KEYS.items()
    }
    models = {
        "type": "object",
        "description": "Networks that the source trained, with what differs for each.",
        "properties": {"source": text},
        "additionalProperties": _object(values),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "seedstudy: a recipe file",
        **_object(
            {
                "format": {"const": FORMAT},
                "name": {"type": "string", "description": "Short name, used in file names and selectors."},
                "title": {"type": "string", "description": "One line for people."},
                "base": {"type": "string", "description": "Recipe that gives what this one does not."},
                "differences": {
                    "type": "array",
                    "items": text,
                    "description": "Where the training differs from the source's.",
                },
                "values": _object(with_source),
                "models": models,
            },
            required=["format", "name"],
        ),
    }


def _object(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return made if required is None else {**made, "required": required}


def _value(key: Key) -> dict[str, Any]:
    """Return the schema of a key's value."""
    kind = kind_of(key.type)
    if choices := get_args(kind) if get_origin(kind) is not tuple else ():
        made: dict[str, Any] = {"enum": list(choices)}
    elif get_origin(kind) is tuple:
        made = {"type": "array", "items": {"type": "number", **_bounds(key)}, "minItems": 2, "maxItems": 2}
    elif kind is str:
        made = {"type": "string", **({"pattern": f"^(?:{key.form})$"} if key.form else {})}
    elif kind is bool:
        made = {"type": "boolean"}
    else:
        made = {"type": "integer" if kind is int else "number", **_bounds(key)}
    if key.is_optional:
        made = {"anyOf": [made, {"const": "none"}]}
    return {**made, "title": type_in_words(key.type)}


def _bounds(key: Key) -> dict[str, float]:
    low, high = key.range
    found: dict[str, float] = {}
    if math.isfinite(low):
        found["exclusiveMinimum" if 0.0 < low < 1e-300 else "minimum"] = 0 if 0.0 < low < 1e-300 else low
    if math.isfinite(high):
        is_open = high == math.nextafter(1.0, 0.0)
        found["exclusiveMaximum" if is_open else "maximum"] = 1 if is_open else high
    return found
