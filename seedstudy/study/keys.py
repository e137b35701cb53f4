"""Every key of a study file, declared once: the reader, the JSON schema and `seedstudy init` are made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from seedstudy.study.design import DesignName
from seedstudy.study.placement import TRACKERS, EngineName
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.trial import Augmentation

FORMAT = 1
"""Of study files."""

Images = Literal["these", "new"]

Schema = Mapping[str, Any]
"""JSON Schema of a value."""

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_MINUTES: Schema = {"type": "number", "exclusiveMinimum": 0}
_SEEDS: Schema = {"anyOf": [_COUNT, {"type": "string"}, {"type": "array", "items": {"type": "integer", "minimum": 0}}]}
_COUNT_OR_AUTO: Schema = {"anyOf": [_COUNT, {"const": "auto"}]}
_WORDS: Schema = {"anyOf": [_TEXT, _TEXTS]}


def _one_of(literal: Any) -> Schema:
    return {"enum": list(get_args(literal))}


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What a schema and a template need to know of one key."""

    meaning: str
    schema: Schema
    example: str
    """A value as TOML writes it."""


def _key(meaning: str, schema: Schema, example: str) -> Key:
    return Key(meaning=meaning, schema=schema, example=example)


HEAD: Mapping[str, Key] = {
    "format": _key("Format of this file.", {"const": FORMAT}, str(FORMAT)),
    "name": _key(
        "Name of the study and of its folder in results/ (default: the folder in its path, or main).", _TEXT, '"main"'
    ),
    "question": _key("What the study is to answer, in a sentence.", _TEXT, '"Is A2 better than A3?"'),
}
TABLES: Mapping[str, Mapping[str, Key]] = {
    "grid": {
        "recipes": _key("Names, or paths of recipe files (seedstudy recipes list).", _TEXTS, '["a3", "a2"]'),
        "models": _key("timm names, or resnet8, resnet20, … (default: the data set's own).", _TEXTS, '["resnet20"]'),
        "data": _key("Data set (seedstudy data list), folder:PATH, csv:FILE or hub:NAME.", _TEXT, '"shapes"'),
        "seeds": _key('A number of seeds, "0-9" or [3, 5, 8].', _SEEDS, "5"),
        "vary": _key(
            "Random streams that follow the seed (default: all).",
            {"type": "array", "items": {"enum": list(PURPOSES)}},
            '["init", "order", "augment", "mix", "drop"]',
        ),
        "epochs": _key("Epochs, instead of the recipe's as scaled to the data.", _COUNT, "10"),
        "train_limit": _key("Only so many training images, class-balanced.", _COUNT, "5000"),
        "set": _key("Changes to every recipe (seedstudy recipes keys).", _TEXTS, '["drop_path=0.1"]'),
        "augment": _key("Who augments: tensors on the device, or timm's own.", _one_of(Augmentation), '"batched"'),
    },
    "design": {
        "kind": _key("How random streams vary.", _one_of(DesignName), '"crossed"'),
        "levels": _key(
            "Sources of the design, and their seeds.",
            {"anyOf": [_TEXT, _TEXTS, {"type": "object", "additionalProperties": _SEEDS}]},
            '{ init = 5, "augment+mix" = 5 }',
        ),
        "replicates": _key("Trials with the same seed in every stream.", _COUNT, "2"),
    },
    "rule": {
        "margin": _key(
            "Smallest difference that matters, in points (seedstudy explain margin).",
            {"type": "number", "exclusiveMinimum": 0},
            "0.5",
        ),
        "baseline": _key("The recipe that others are compared with.", _TEXT, '"a3"'),
        "images": _key("Whether verdicts are about these test images, or of new ones too.", _one_of(Images), '"these"'),
    },
    "command": {
        "run": _key(
            "Your own training, in place of recipes.",
            _WORDS,
            '"python train.py --config {arm}.yaml --seed {seed} --output {out}"',
        ),
        "result": _key("File with its result (default: a line of JSON on stdout).", _TEXT, '"{out}/results.json"'),
        "metric": _key("Column or key of the result.", _TEXT, '"top1"'),
        "unit": _key("Of accuracies that leave it open.", {"enum": ["percent", "fraction"]}, '"percent"'),
        "lower_is_better": _key("For metrics whose name leaves it open.", _FLAG, "true"),
        "resume": _key('What continues an interrupted attempt; "same": the command itself.', _WORDS, '"same"'),
        "shell": _key("Whether /bin/sh runs it.", _FLAG, "true"),
        "environment": _key(
            "Variables of its environment.", {"type": "object", "additionalProperties": _TEXT}, '{ LEVEL = "2" }'
        ),
        "code": _key("Files whose content decides what pools (default: the git commit).", _WORDS, '["train.py"]'),
        "keep": _key("Patterns of files in {out} that stay (default: all).", _WORDS, '["*.json"]'),
        "time_limit": _key("Minutes of one attempt.", _MINUTES, "90"),
        "folder": _key("Where it runs (default: this file's folder).", _TEXT, '"."'),
    },
    "engine": {
        "name": _key("Where trials are trained.", _one_of(EngineName), '"local"'),
        "workers": _key("Trials at a time.", _COUNT_OR_AUTO, '"auto"'),
        "nodes": _key("Machines that train one trial together (Slurm, Ray).", _COUNT, "1"),
        "processes": _key("Processes that train one trial, on each machine.", _COUNT, "1"),
        "cores": _key("Cores for each process.", _COUNT, "2"),
        "gpus": _key("GPUs for each process; 0.25 shares one among four.", {"type": "number", "minimum": 0}, "1"),
        "trials_per_job": _key("Trials that one job of a queue trains in turn.", _COUNT, "4"),
        "stack": _key("Seeds of a small model trained side by side.", _COUNT_OR_AUTO, '"auto"'),
        "keep_weights": _key("Whether weights of finished trials stay.", _FLAG, "true"),
        "log_to": _key(
            "Trackers that finished trials are logged to.",
            {"anyOf": [_TEXT, {"type": "array", "items": {"enum": list(TRACKERS)}}]},
            '["tensorboard"]',
        ),
    },
}
"""Table of a study file -> its keys."""
_ARMS: Schema = {
    "type": "object",
    "description": "Arms of the command: [arms.NAME] with the values of its placeholders.",
    "additionalProperties": {"type": "object"},
}
_SHOWN = {"format", "question", "recipes", "data", "seeds", "margin", "baseline"}
"""Keys that a template sets; the others stand there as comments."""


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file."""
    properties: dict[str, Any] = {name: _described(key) for name, key in HEAD.items()}
    for table, keys in TABLES.items():
        properties[table] = _object({name: _described(key) for name, key in keys.items()})
    properties["arms"] = dict(_ARMS)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "seedstudy: a study file",
        **_object(properties),
        "required": ["format"],
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _described(key: Key) -> dict[str, Any]:
    return {**key.schema, "description": key.meaning}


def study_template(given: Mapping[str, str]) -> str:
    """Return a commented study file; `given`: key -> its value as TOML writes it, in place of the example."""
    lines = [
        "# A study: what is trained, and the rule that decides, declared before the numbers.",
        "# Train it, or what is missing of it: seedstudy run THIS_FILE",
        "# Lines that begin with # have no effect: they show what else you can set.",
        "",
        *(_line(name, key, given) for name, key in HEAD.items()),
    ]
    in_tables = {key: value for key, value in given.items() if key not in HEAD}  # an engine has a name, too
    for table, keys in TABLES.items():
        is_used = any(_is_set(name, in_tables) for name in keys)
        lines += ["", f"{'' if is_used else '# '}[{table}]"]
        lines += [_line(name, key, in_tables) for name, key in keys.items()]
    return "\n".join(lines) + "\n"


def _is_set(name: str, given: Mapping[str, str]) -> bool:
    return name in _SHOWN or name in given


def _line(name: str, key: Key, given: Mapping[str, str]) -> str:
    return f"{'' if _is_set(name, given) else '# '}{name} = {given.get(name, key.example)}  # {key.meaning}"
