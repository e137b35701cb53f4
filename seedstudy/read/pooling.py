"""Whether runs are seeds of one recipe: what shows it, what speaks against it, and how to say so."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from seedstudy.errors import StudyError
from seedstudy.read.metrics import plain
from seedstudy.read.names import MEANS, N_OF_RUNS, REMARKS, SAVED, SPREADS, VERSIONS, is_clock_name, words_of
from seedstudy.read.request import Request
from seedstudy.read.roles import AS_DECLARED, AUTO_NAME, CODE, NUMBERED_FOLDER, TIME, UNEXPLAINED, Columns, names_of
from seedstudy.read.table import FILE, Role, quoted_column
from seedstudy.study.group import Values

_COUNTERS = ("run", "trial", "rep", "repeat", "replicate", "replica", "repetition", "try", "attempt")
_REACH_OF_CURVE, _TREND_OF_CURVE = 0.1, 0.9
"""Reach, as a share of the largest number, and rank correlation with their place, from which rows look like a curve."""
_SEED_WORD = re.compile(r"[a-z]*[ _=:-]*(\d{1,18})(\.0+)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seeds:
    """What numbers the runs of one arm."""

    by: str | None
    """The column; None where the file does not say."""
    texts: tuple[str | None, ...]
    """Seed of each run as it is compared: 42, 42.0 and ``seed_42`` are one seed."""

    @property
    def repeated(self) -> str | None:
        return next((text for text in self.texts if text is not None and self.texts.count(text) > 1), None)

    @property
    def is_shown(self) -> bool:
        """Whether the file numbers the seeds, and each counts once."""
        return self.by is not None and self.repeated is None

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """The seeds; None where one is missing or is no number."""
        if self.by is None or not all(text is not None and text.isdecimal() for text in self.texts):
            return None
        return tuple(int(text) for text in self.texts if text is not None)


def seeds_of(rows: pl.DataFrame, columns: Columns, request: Request, where: str) -> Seeds:
    """Return what numbers the runs; StudyError where two columns may."""
    names = [name for name in names_of(columns, Role.SEED) if name in rows.columns]
    if request.seeds_by is not None:
        names = [request.seeds_by]
    names = [name for name in names if rows[name].null_count() < rows.height]
    varying = [name for name in names if len(set(_texts(rows[name]))) > 1]
    chosen = _one_of(rows, varying or names[:1], where)
    return Seeds(by=chosen, texts=() if chosen is None else tuple(_texts(rows[chosen])))


def check_counts_once(rows: pl.DataFrame, columns: Columns, seeds: Seeds, where: str, what: str) -> None:
    """Refuse a seed, or without seeds the name of a run, that is in several rows of one arm."""
    if seeds.by is None:
        _check_identities(rows, columns, where, what)
    elif (repeated := seeds.repeated) is not None:
        apart = _apart(rows, columns, [text == repeated for text in seeds.texts])
        hint = f" They differ in `{apart}`: --by {quoted_column(apart)} compares them." if apart else ""
        raise StudyError(
            f"{where}: seed {repeated} is in several rows of {what}; a seed counts once: give one row per seed, "
            f"or pick rows with FILE:column=value.{hint}"
        )


def _texts(cells: pl.Series) -> list[str | None]:
    """Return seeds as they are compared: the number in them, else the text."""
    texts = []
    for cell in cells.to_list():
        match = None if cell is None else _SEED_WORD.fullmatch(str(cell).strip())
        texts.append(None if cell is None else str(int(match[1])) if match else str(cell).strip())
    return texts


def _one_of(rows: pl.DataFrame, names: Sequence[str], where: str) -> str | None:
    """Return the one column of seeds; several that number the runs alike are one."""
    if not names:
        return None
    preferred = sorted(names, key=lambda name: (plain(name) != "seed", words_of(name)[-1] != "seed", len(name)))
    first = _texts(rows[preferred[0]])
    for other in preferred[1:]:
        pairs = set(zip(first, _texts(rows[other]), strict=True))
        if len(pairs) > min(len({a for a, _ in pairs}), len({b for _, b in pairs})):
            raise StudyError(
                f"{where}: `{preferred[0]}` and `{other}` may both number the seeds: use --seeds-by {preferred[0]} or "
                f"--seeds-by {other}."
            )
    return preferred[0]


def _apart(rows: pl.DataFrame, columns: Columns, repeated: Sequence[bool]) -> str | None:
    """Return a column that tells the rows of one seed apart: a setting, else the file."""
    same = rows.filter(pl.Series(repeated))
    roles = (Role.CONFIGURATION, Role.RECIPE, Role.MODEL, Role.DATA)
    names = [*names_of(columns, *roles), *([FILE] if FILE in columns else [])]
    return next((name for name in names if name in same.columns and same[name].n_unique() > 1), None)


def _check_identities(rows: pl.DataFrame, columns: Columns, where: str, what: str) -> None:
    """Refuse rows that have no seed and share what names a run: they are not a run each."""
    names = [name for name in names_of(columns, Role.IDENTITY) if name in rows.columns and name != FILE]
    if rows.height < 2:
        return
    varying = [name for name in names if rows[name].n_unique() > 1]
    counters = [name for name in names if rows[name].dtype.is_integer() and words_of(name)[-1] in _COUNTERS]
    varying = varying or counters
    if FILE in rows.columns and FILE in columns and not varying:
        counts = rows[FILE].value_counts(sort=True)
        if counts["count"][0] > 1:
            raise StudyError(
                f"{counts[FILE][0]}: holds {counts['count'][0]} trials; among several files each must hold one, or a "
                "column must number the seeds (--seeds-by COLUMN)."
            )
    if varying:
        repeated = rows.filter(pl.struct(varying).is_duplicated())
        if repeated.height:
            raise StudyError(
                f"{where}: {varying[0]} {repeated[varying[0]][0]} is in several rows of {what}: pick rows with "
                "FILE:column=value, or name what tells them apart with --by."
            )


def not_seeds(
    rows: pl.DataFrame,
    columns: Columns,
    request: Request,
    files: str,
    *,
    arms: Sequence[str],
    picks: Sequence[str],
    measures: Collection[str],
    seeds: Seeds,
) -> list[str]:
    """Return notes on columns in which the runs of one arm differ; refuse where these may be several recipes.

    Where the user chose the arm, settings that differ are noted. Else settings and text that differ are refused:
    nothing shows that the rows are seeds of one recipe.
    """
    if rows.height < 2:
        return []
    skip = {*arms, *picks, *measures}
    remarks = [] if picks else _remarks(rows, columns)
    differ = [name for name in _differing(rows, columns, seeds) if name not in skip]
    is_chosen = bool(picks or request.by)
    counting = [name for name in differ if _may_count(rows[name], columns[name].why, is_chosen=is_chosen)]
    if counting and not seeds.is_shown and not request.pool:
        quoted = quoted_column(counting[0])
        raise StudyError(
            f'{files}: column "{counting[0]}" holds {_listed(rows[counting[0]])}: points of one run '
            f"(--clock {quoted}), or a seed in each row (--seeds-by {quoted})? Else --ignore {quoted}."
        )
    if is_chosen:
        differ = [name for name in differ if columns[name].role is not Role.IDENTITY]
    if not differ:
        return remarks
    listed = ", ".join(f"`{name}`" for name in differ[:4]) + (" and more" if len(differ) > 4 else "")
    if request.pool:
        return [f"pooled as you say: the rows differ in {listed}", *remarks]
    if is_chosen:
        return [f"the rows of one arm differ in {listed}", *remarks]
    raise StudyError(_which_are_seeds(rows, columns, differ, files, seeds))


def _remarks(rows: pl.DataFrame, columns: Columns) -> list[str]:
    """Return notes on columns that never tell recipes apart, and still may: remarks, and versions of the code."""
    differ = [
        (name, {*words_of(name)})
        for name in (*names_of(columns, Role.NOISE), *names_of(columns, Role.IDENTITY))
        if name in rows.columns and rows[name].drop_nulls().n_unique() > 1
    ]
    return [
        f"the remarks in `{name}` differ ({_listed(rows[name])}): pick rows by them if they tell recipes apart"
        for name, words in differ
        if words & REMARKS
    ] + [
        f"runs of {rows[name].drop_nulls().n_unique()} versions of the code (`{name}`) are pooled; if they train "
        f"differently, compare them: --by {quoted_column(name)}"
        for name, words in differ
        if words & VERSIONS and not words & REMARKS
    ]


def check_no_curve(
    values: Values, column: str, rows: pl.DataFrame, columns: Columns, where: str, *, is_share: bool
) -> None:
    """Refuse rows without seeds or names whose numbers rise, or fall, far and steadily, as over epochs of one run.

    Seeds may be in order, by luck or because they were sorted; they are not so far apart as well. Few numbers are in
    order by luck too often where seeds may differ that far: other metrics than accuracies need five.
    """
    named = [name for name in names_of(columns, Role.IDENTITY) if name in rows.columns and rows[name].n_unique() > 1]
    if named or len(values) < (3 if is_share else 5) or np.ptp(values) < _REACH_OF_CURVE * np.abs(values).max():
        return
    ranks, places = values.argsort().argsort(), np.arange(len(values))
    if abs(np.corrcoef(places, ranks)[0, 1]) > _TREND_OF_CURVE:
        raise StudyError(
            f'{where}: "{column}" runs from {values[0]:.4g} to {values[-1]:.4g} along the rows: points of one run? Add '
            "a column that counts them (epoch), or use --pool if each row is a run."
        )


def _may_count(cells: pl.Series, why: str, *, is_chosen: bool) -> bool:
    """Say whether a column may be a clock or a seed: it rises by a constant, or is whole and nothing explains it.

    Where the user did not choose the arm, the latter is refused in any case, as a setting.
    """
    return why.startswith("rises") or (is_chosen and why == UNEXPLAINED and _is_whole(cells))


def _is_whole(cells: pl.Series) -> bool:
    numbers = cells.drop_nulls().cast(pl.Float64)
    return bool((numbers == numbers.round()).all())


def _which_are_seeds(rows: pl.DataFrame, columns: Columns, differ: Sequence[str], files: str, seeds: Seeds) -> str:
    name, *others = differ
    if name == FILE:
        places = sorted({str(Path(str(cell)).parent) for cell in rows[name].to_list()})
        shown = [_short(place) for place in places] if len(places) > 1 else _listed(rows[name]).split(", ")
        listed = ", ".join(shown[:3]) + (" …" if shown[3:] else "")
        return (
            f"{files}: its files are named differently ({listed}): which are seeds of one recipe? Read one folder or "
            "pattern for each, or compare them: --by file; --pool if all are seeds of one recipe."
        )
    quoted = quoted_column(name)
    also = f" (`{'`, `'.join(others[:3])}` differ{'' if others[1:] else 's'} too)" if others else ""
    ways = []
    if rows[name].n_unique() < rows.height:
        example = next(cell for cell in rows[name].to_list() if cell is not None)
        ways.append(f"Pick them: {Path(files).name}:{_condition(name, example)}, or compare them: --by {quoted}")
    elif columns[name].role is Role.IDENTITY and rows[name].dtype == pl.String:
        begin = re.match(r"\w+?(?=[\W_]|\d|$)", str(rows[name][0]))
        pattern = _condition(name, f"{begin[0]}*" if begin else "NAME*")
        ways.append(f"Pick them by a pattern: {Path(files).name}:{pattern}")
    if rows[name].n_unique() == rows.height and rows[name].dtype.is_integer() and not seeds.is_shown:
        ways.append(f"--seeds-by {quoted} if it numbers the seeds")
    ways.append("--pool if all rows are seeds of one recipe")
    ways.append(f"--ignore {quoted} if it does not matter")
    return f'{files}: column "{name}" holds {_listed(rows[name])}: which rows are seeds of one recipe?{also} ' + (
        "; ".join(ways) + "."
    )


def _listed(cells: pl.Series) -> str:
    known = cells.unique(maintain_order=True).to_list()
    return ", ".join(_short(cell) for cell in known[:4]) + (" …" if len(known) > 4 else "")


def _differing(rows: pl.DataFrame, columns: Columns, seeds: Seeds) -> list[str]:
    """Return the columns that may tell recipes apart and differ, text first."""
    has_seeds = seeds.is_shown
    found = []
    for name, column in columns.items():
        if name not in rows.columns or rows[name].n_unique() < 2:
            continue
        cells = rows[name]
        is_text = cells.dtype == pl.String
        if column.role is Role.IDENTITY:
            of_names = _files_name_methods if name == FILE or column.why == "holds paths" else _names_methods
            is_known = is_text and seeds.by is None and column.why != AS_DECLARED
            tells = is_known and ((column.why != "holds ids" and of_names(cells)) or _number_points(cells))
        elif column.role in (Role.CONFIGURATION, Role.RECIPE, Role.MODEL, Role.DATA):
            if is_text and has_seeds and _is_numbered_by_seed(cells, seeds):
                continue
            is_known = is_text or "setting" in column.why or column.why.startswith(("as ", "by "))
            tells = is_known or not has_seeds or _is_factor(cells)
        else:
            tells = False
        if tells:
            found.append(name)
    is_name = {name: columns[name].role is Role.IDENTITY for name in found}
    return sorted(
        found, key=lambda name: (rows[name].n_unique() == rows.height, is_name[name], rows[name].dtype != pl.String)
    )


def _number_points(cells: pl.Series) -> bool:
    """Say whether names differ in what counts within a run alone: ``run/checkpoint-1000``, ``run/checkpoint-2000``."""
    names = [str(cell).lower() for cell in cells.drop_nulls().to_list()]
    if len({re.sub(r"\d+", "0", name) for name in names}) > 1:
        return False
    numbered = zip(*[re.findall(r"([a-z]*)[-_= ]?(\d+)", name) for name in names], strict=True)
    differing = [each[0][0] for each in numbered if len({number for _, number in each}) > 1]
    return bool(differing) and all(word in SAVED or is_clock_name(word) for word in differing)


def _names_methods(cells: pl.Series) -> bool:
    """Say whether names of runs may be names of methods: not made by a program, and not numbered runs of one."""
    names = [str(cell).strip().lower() for cell in cells.drop_nulls().to_list()]
    if all(AUTO_NAME.fullmatch(name) for name in names):
        return False
    numbers = sorted(int(found[-1]) for name in names if (found := re.findall(r"\d{1,18}", name)))
    is_counted = bool(numbers) and numbers == list(range(numbers[0], numbers[0] + len(names)))
    if all(re.fullmatch(r"[a-z]+-\d+", name) for name in names):
        return not is_counted
    return not is_counted or numbers[0] > 1 or len({re.sub(r"\d+", "0", name) for name in names}) > 1


def _files_name_methods(cells: pl.Series) -> bool:
    """Say whether the parts in which paths differ may be names of methods, and not numbers, times or ids of runs."""
    paths = [Path(str(cell)).parts for cell in cells.unique(maintain_order=True).to_list()]
    if len({len(parts) for parts in paths}) > 1:
        return True
    for parts in zip(*paths, strict=True):
        names = [part.lower().removesuffix(Path(part).suffix.lower()) for part in parts]
        if len(set(names)) == 1 or all("tfevents" in part for part in parts):
            continue
        if all(TIME.fullmatch(name) or CODE.fullmatch(name) or NUMBERED_FOLDER.fullmatch(name) for name in names):
            continue
        if _names_methods(pl.Series(sorted(set(names)))):
            return True
    return False


def _is_numbered_by_seed(cells: pl.Series, seeds: Seeds) -> bool:
    """Say whether names differ by numbers alone, one of which is the seed: ``0_seed=7``."""
    names = [str(cell) for cell in cells.to_list()]
    if len({re.sub(r"\d+", "0", name) for name in names}) > 1:
        return False
    return all(
        seed is not None and seed in map(_bare, re.findall(r"\d{1,18}", name))
        for seed, name in zip(seeds.texts, names, strict=True)
    )


def _bare(digits: str) -> str:
    return str(int(digits))


def _is_factor(cells: pl.Series) -> bool:
    """Say whether every value is in several rows, and there are few values: the levels of an experiment."""
    counts = cells.value_counts()["count"]
    return bool(counts.min() >= 2) and 2 * counts.len() <= cells.len()  # type: ignore[operator]


def of_means(frame: pl.DataFrame, measure: str, columns: Columns, request: Request, files: str) -> None:
    """Refuse rows that are means over seeds: a standard deviation, bound or number of runs is beside the measure."""
    core = [word for word in words_of(measure) if word not in MEANS]
    for name in names_of(columns, Role.SPREAD):
        if name not in frame.columns or name == measure:
            continue
        rest = [word for word in words_of(name) if word not in SPREADS]
        if N_OF_RUNS.fullmatch(plain(name)) or rest in (core, []):
            raise StudyError(
                f'{files}: column "{name}" is beside "{measure}": the rows are means, not seeds. Compare published '
                f'means as "A: 79.5±0.1 n=5", or use --ignore {quoted_column(name)} if each row is one run.'
            )


def _condition(name: str, value: object) -> str:
    """Return ``COLUMN=VALUE`` as a shell takes it."""
    text = str(value)
    value_part = f"'{text}'" if "," in text or "=" in text else text
    bare = f"{name}={value_part}"
    return bare if re.fullmatch(r"[\w./@:+=-]+", bare) else f'"{bare}"'


def _short(cell: object) -> str:
    if cell is None:
        return "nothing"
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    return text if len(text) <= 30 else f"{text[:29]}…"
