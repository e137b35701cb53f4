"""Which code a command runs: the git commit and what was changed since, and the content of named files.

Two trials of different code are not seeds of one recipe. Files that are named (``code = ["train.py", "models/"]``)
decide alone; where none are named, the commit, the changes of tracked files since, and the scripts and configurations
among the words of the command do.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.files import opened

_SOURCES = (
    *(".py", ".sh", ".ipynb", ".jl", ".lua", ".r", ".pl", ".c", ".cc", ".cpp", ".cu", ".rs", ".go"),
    *(".yaml", ".yml", ".toml", ".json", ".jsonnet", ".ini", ".cfg", ".conf", ".gin", ".libsonnet"),
)
"""Suffixes of files that are code or configuration; a word of a command may also name data, or a log."""
_TIMEOUT_S = 60.0


def code_of(folder: Path, named: Sequence[str], words: Iterable[str], *, results: Path) -> dict[str, Any]:
    """Return the identity of the code: ``files`` (name -> digest), and ``commit`` and ``changes`` where git decides.

    ``words`` are those of the command. ``results`` is the folder of all studies. StudyError where a named file is
    missing.
    """
    files = {name: path for word in words for name, path in _mentioned(folder, word)}
    for name in named:
        files |= _named(folder, name)
    identity: dict[str, Any] = {"files": {name: _digest(path) for name, path in sorted(files.items())}}
    if not named:
        identity |= commit_of(folder, results=results)
    return identity


def changed_since(folder: Path, code: Mapping[str, Any], *, results: Path) -> list[str]:
    """Return what is another now than when :func:`code_of` returned this: files, and "the commit or tracked files".

    Where this machine has no git, the files alone are looked at.
    """
    changed = []
    for name, digest in code["files"].items():
        path = folder / name
        if not path.is_file() or _digest(path) != digest:
            changed.append(name)
    now = commit_of(folder, results=results) if "commit" in code else {}
    if now and (now["commit"], now["changes"]) != (code["commit"], code["changes"]):
        changed.append("the commit, or a tracked file")
    return changed


def commit_of(folder: Path, *, results: Path) -> dict[str, Any]:
    """Return the ``commit`` that is checked out in a folder and a digest of the ``changes`` since; empty without git.

    Changes of tracked files count, except below the folder of all studies; no changes are null.
    """
    top, commit = _git(folder, "rev-parse", "--show-toplevel"), _git(folder, "rev-parse", "--verify", "HEAD")
    if top is None or commit is None:
        return {}
    root = Path(top.decode().strip())
    paths = [":/"]
    if results.resolve().is_relative_to(root) and results.resolve() != root:
        paths.append(f":(top,exclude){results.resolve().relative_to(root).as_posix()}")
    diff = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary", "--", *paths)
    if diff is None:
        return {}
    changes = hashlib.sha256(diff).hexdigest()[:16] if diff else None
    return {"commit": commit.decode().strip(), "changes": changes}


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what git prints; None where there is no git, or no repository."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, capture_output=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _mentioned(folder: Path, word: str) -> Iterator[tuple[str, Path]]:
    """Yield the script or configuration that a word of a command names: ``train.py``, ``--config=a2.yaml``."""
    name = word.rpartition("=")[2] if word.startswith("-") else word
    path = folder / name
    if Path(name).suffix.lower() in _SOURCES and len(name) < 4000 and "\0" not in name and path.is_file():
        yield name, path


def _named(folder: Path, name: str) -> dict[str, Path]:
    """Return the files that a name, a folder or a pattern of ``code`` means."""
    path = folder / name
    found = [path] if path.is_file() else []
    if path.is_dir():
        found = [each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts]
    elif not found and not Path(name).is_absolute():
        found = [each for each in folder.glob(name) if each.is_file()]
    if not found:
        raise StudyError(f"code: {path}: no such file; its content decides which trials pool.")
    return {os.path.relpath(each, folder): each for each in found}


def _digest(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
