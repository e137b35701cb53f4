"""Errors that a user can cause, each with a message of one line: what is wrong, where, how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.util import find_spec

EXTRAS = {
    "train": ("torch", "torchvision", "timm", "accelerate", "datasets", "safetensors", "sklearn", "pyarrow"),
    "video": ("av",),
    "parquet": ("pyarrow",),
    "excel": ("fastexcel",),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "inspect": ("zstandard",),
    "lightning": ("lightning",),
    "transformers": ("transformers",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "trackio": ("trackio",),
}
"""The optional dependencies of pyproject.toml: extra -> the modules that it installs."""


class SeedstudyError(Exception):
    """Wrong input, a damaged file or an unusable folder; the command line prints it and exits with `exit_code`.

    The message is one line with three parts: what is wrong, where (file, key, trial), how to fix it.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Return text with its control characters as escapes: a name from a file must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """Return the first line of what an error of a library says; its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


class UsageError(SeedstudyError):
    """An argument of the wrong kind, or one that nothing takes."""


class RecipeError(SeedstudyError):
    """A recipe file or value that cannot be used."""


class StudyError(SeedstudyError):
    """A study file, a seed list or a selector that cannot be used."""


class DataError(SeedstudyError):
    """A data set that is unknown, missing, incomplete or damaged."""


class StoreError(SeedstudyError):
    """A results folder that cannot be read or written."""


class DamagedError(StoreError):
    """A file that is not what was written: its digest fails, or its content cannot be parsed.

    Nothing else is damage: what cannot be read at the moment, or is of a newer format, may be perfectly good.
    """


class MissingError(StoreError):
    """A file that is not there, and should be."""


class TooNewError(StoreError):
    """A file of a newer format than this version reads."""


class TrialFailed(SeedstudyError):
    """A trial that ended without the result that was needed."""

    exit_code = 1


class StatisticsError(SeedstudyError):
    """Numbers that allow no sound answer (too few, not finite, of different kinds)."""


class UnitError(StatisticsError):
    """Accuracies that may be percent or fractions."""


class NotFiniteError(StudyError):
    """A result that is nan or infinite: the training diverged."""

    def __init__(self, message: str, value: float) -> None:
        super().__init__(message)
        self.value = value


class MissingExtraError(SeedstudyError):
    """Optional dependencies are needed that are not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed; this needs an extra: pip install 'seedstudy[{extra}]'")


def require_extra(extra: str) -> None:
    """Raise MissingExtraError where a module of an extra is not installed, without importing any."""
    for module in EXTRAS[extra]:
        if find_spec(module) is None:
            raise MissingExtraError(module, extra)


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the error for a user where an import failed because an extra is not installed, else None."""
    module = (error.name or "").partition(".")[0]
    return next((MissingExtraError(module, extra) for extra, modules in EXTRAS.items() if module in modules), None)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' for the closest known word, else the short list of known words."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    if close:
        return " Did you mean " + " or ".join(f'"{name}"' for name in close) + "?"
    if len(names) <= 12:
        return " Known: " + ", ".join(names) + "."
    return ""
