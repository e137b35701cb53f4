"""The options and checks that several commands share."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.errors import StudyError, suggest

if TYPE_CHECKING:
    from seedstudy.decide.summary import Source

PICTURES = (".png", ".pdf", ".svg")
EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED = 1, 2, 3, 130

Results = Annotated[Path, typer.Option("--results", help="Folder that holds the studies.")]
StudyName = Annotated[str, typer.Option("--study", help="Name of the study inside the results folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="The same facts for machines, on stdout.")]
EvalSets = Annotated[str | None, typer.Option("--eval", help="Eval sets, e.g. val,real,v2 (default: all there are).")]
Metric = Annotated[str, typer.Option("--metric", help="Metric, or column of a file.")]
Unit = Annotated[str | None, typer.Option("--unit", help="percent or fraction, where plain accuracies do not tell.")]
Level = Annotated[float, typer.Option("--level", help="Confidence level of the intervals.")]
Save = Annotated[Path | None, typer.Option("--save", help="Also write the picture (.png, .pdf or .svg).")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder the data set lies in.")]
Margin = Annotated[
    float | None, typer.Option("--margin", help="Smallest difference of interest, in points (default: the study's).")
]


def source_of(results: Path, study: str, eval_sets: str | None, metric: str, unit: str | None) -> Source:
    from seedstudy.decide.summary import Source

    if unit not in (None, "percent", "fraction"):
        raise StudyError(f'--unit "{unit}": expected percent or fraction.')
    return Source(results=results, study=study, eval_sets=eval_names(eval_sets), metric=metric, unit=unit)


def eval_names(text: str | None) -> tuple[str, ...] | None:
    from seedstudy.data.base import EVAL_SET_ORDER

    if text is None:
        return None
    names = words(text)
    for name in names:
        if name not in EVAL_SET_ORDER:
            raise StudyError(f'unknown eval set "{name}".{suggest(name, EVAL_SET_ORDER)}')
    return names


def summaries_of(what: Sequence[str], source: Source, *, level: float) -> list[Any]:
    from seedstudy.decide import summary as analysis

    check_level(level)
    return [analysis.summarise(group, level=level) for group in analysis.select_groups(what, source)]


def check_choice(option: str, given: str, known: Sequence[str], *, what: str) -> None:
    if given not in known:
        raise StudyError(f'{option} "{given}" is no {what}.{suggest(given, known)}')


def check_picture(path: Path | None) -> None:
    """Refuse a picture's name before anything is computed."""
    if path is not None and path.suffix.lower() not in PICTURES:
        raise StudyError(f"{path}: a picture's name ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}.")
    if path is not None and not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")


def check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise StudyError(f"--level {level:g}: must lie between 0 and 1, for example 0.95.")


def damaged_trials(what: Sequence[str], source: Source) -> dict[str, str]:
    """Return the damaged trials of every study that is asked for; the others are still read."""
    from seedstudy.decide.summary import studies_of
    from seedstudy.store.store import Store

    studies = studies_of(what, source)
    return {key: text for name in studies for key, text in Store(source.results, name).scan().damaged.items()}


def tell_damaged(damaged: Mapping[str, str]) -> None:
    for sentence in damaged.values():
        tell(f"left out: {sentence}")


def declared_margin(source: Source) -> float | None:
    """Return the margin the study declared before its numbers, if it has one."""
    from seedstudy.store.store import Store

    return Store(source.results, source.study).rule().get("margin")


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def cache_dir() -> Path:
    """Return where decoded data sets are kept: SEEDSTUDY_CACHE, or the user's cache folder."""
    given = os.environ.get("SEEDSTUDY_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seedstudy"


def tell(text: str) -> None:
    """Say one line on stderr."""
    print(text, file=sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """Print a document for machines on stdout."""
    print(json.dumps(document, indent=1, allow_nan=False))


def number_or_auto(text: str, option: str) -> int | None:
    """Return a whole number of at least 1, or None for ``auto``."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise StudyError(f"{option} {text}: expected a whole number of at least 1, or auto.")
    return int(text)
