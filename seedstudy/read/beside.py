"""Settings of a run that lie beside its log: what timm, Lightning, Ultralytics and Hydra write, or a folder's name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seedstudy.read.formats.plain_yaml import yaml_settings
from seedstudy.read.formats.tracked import role_of_setting
from seedstudy.read.names import is_seed_name, words_of
from seedstudy.read.table import Role

_FILES = ("args.yaml", "hparams.yaml")
"""Of timm and Ultralytics, and of Lightning."""
HYDRA = ".hydra/config.yaml"
_PLACES = frozenset(("output", "dir", "experiment", "resume", "checkpoint", "path", "rank", "world", "devices", "name"))
_PLACES |= {"workers", "log", "save", "project"}
"""Words of settings that say where a run took place and not how it was trained."""
_IN_FOLDER = re.compile(r"(?:^|[^a-z0-9])s(?:eed)?[=_-]?(\d+)(?![0-9a-z])")
_SEED_DIGITS = 18
_LARGEST = 1_000_000

Settings = Mapping[str, Any]


def settings_beside(log: Path, root: Path) -> Settings:
    """Return the settings beside a log that say how a run was trained, or the seed from the names of its folders.

    ``root`` is the folder that is searched; links that lead out of a run's folder are not followed.
    """
    settings: dict[str, Any] = {}
    for file in _files_of(log, root):
        settings |= yaml_settings(file.read_text(encoding="utf-8", errors="replace"))
    settings = {name: value for name, value in settings.items() if _says_how(name) and not str(value).startswith("!")}
    seeds = [name for name in settings if is_seed_name(words_of(name))]
    if not any(isinstance(settings[name], int) or str(settings[name]).isdecimal() for name in seeds):
        settings = {name: value for name, value in settings.items() if name not in seeds}
        relative = log.parent.relative_to(root) if log.parent.is_relative_to(root) else log.parent
        named = _IN_FOLDER.search(str(relative / log.stem).lower())
        if named and len(named[1]) <= _SEED_DIGITS:
            settings["seed"] = int(named[1])
    return settings


def _files_of(log: Path, root: Path) -> list[Path]:
    """Return the files of settings beside a log, and Hydra's of the nearest folder that has one."""
    files = [log.parent / name for name in _FILES]
    above = [folder for folder in log.parents if folder == root or root in folder.parents]
    hydra = [folder / HYDRA for folder in (above or [log.parent]) if (folder / HYDRA).is_file()]
    return [
        file
        for file in (*files, *hydra[:1])
        if file.is_file() and not file.is_symlink() and not file.parent.is_symlink() and file.stat().st_size <= _LARGEST
    ]


def _says_how(name: str) -> bool:
    words = words_of(name)
    return not set(words) & _PLACES or words[0] in ("data", "dataset", "model", "optimizer", "arch")


def of_all(settings: Sequence[Settings]) -> list[Settings]:
    """Return the settings of every log: seed and model where all have them, and whatever else differs."""
    names = list(dict.fromkeys(name for beside in settings for name in beside))
    shared = [name for name in names if all(name in beside for beside in settings)]
    differ = [name for name in names if len({repr(beside.get(name)) for beside in settings}) > 1]
    kept = [name for name in names if name in (shared if is_key(name) else differ)]
    return [{name: beside.get(name) for name in kept} for beside in settings]


def is_key(name: str) -> bool:
    """Say whether a setting is the seed or the model, which a log may hold itself."""
    return name == "model" or is_seed_name(words_of(name))


def values_of(name: str, settings: Sequence[Settings]) -> list[Any]:
    """Return the values of a setting in all logs, by its name or as ``config/name``."""
    return [beside.get(name, beside.get(name.removeprefix("config/"))) for beside in settings]


def role_beside(name: str, values: Sequence[Any]) -> Role:
    """Return the role of a setting that lies beside a log."""
    return role_of_setting(name, values) or Role.CONFIGURATION
