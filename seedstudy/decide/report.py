"""What a report holds: the answers, every trial behind them, how they were trained, and what was declared when."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from seedstudy.decide.compare import Comparisons
from seedstudy.decide.select import Source
from seedstudy.decide.summary import Summaries
from seedstudy.document import HIDDEN, document
from seedstudy.recipes.recipe import Value
from seedstudy.store.store import open_study
from seedstudy.study.command import CommandTrial
from seedstudy.study.declaration import Declaration
from seedstudy.study.group import Group, Values

_MOST_CURVES = 300
"""Trials whose learning curves are drawn, the first seeds of every recipe."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyFacts:
    """A study of the report: what it asked, and how its trials were trained."""

    name: str
    declared: tuple[Declaration, ...]
    """Its question and rule, the first declared one first."""
    lateness: str
    """What to say where the rule in force was declared after results existed."""
    devices: tuple[str, ...]
    versions: Mapping[str, str]
    """Package -> version, or versions joined by commas."""
    hours: float
    """Of training, over all trials shown."""
    recipes: Mapping[str, Mapping[str, Value]]
    """Recipe -> its values as trained, those that differ between recipes; all values of a single one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialLine:
    """One trial of the report."""

    label: str
    """Of its group."""
    seed: int | None
    status: str
    reason: str
    values: Mapping[str, float]
    """Eval set -> result, in the unit of its group."""
    train_s: float | None
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One page: a question and all that belongs to its answer."""

    title: str
    summaries: Summaries
    comparisons: Comparisons | None
    """None where there is one recipe alone."""
    studies: tuple[StudyFacts, ...]
    trials: tuple[TrialLine, ...]
    curves: pl.DataFrame = field(metadata=HIDDEN)
    """Columns label, seed, epoch, accuracy (on val, in points; null where it was not evaluated) and train_loss."""
    command: str
    """What makes the same report again; empty where an arm is numbers in memory."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``report --json``."""
        return {
            "title": self.title,
            **self.summaries.to_dict(),
            **(self.comparisons.to_dict() if self.comparisons else {}),
            "studies": document(self.studies),
            "trials": document(self.trials),
            "command": self.command,
        }


def report_of(
    summaries: Summaries, comparisons: Comparisons | None, source: Source, *, title: str, command: str
) -> Report:
    """Return the report on these answers, with what their studies know of every trial."""
    groups = [summary.group for summary in summaries]
    return Report(
        title=title,
        summaries=summaries,
        comparisons=comparisons,
        studies=tuple(_studies(groups, source)),
        trials=tuple(_trials(groups, source)),
        curves=_curves(groups, source),
        command=command,
    )


def _frame(source: Source, groups: Sequence[Group]) -> pl.DataFrame:
    """Return the rows of the trials behind groups of studies, and of trials of theirs that ended without a result."""
    ids = {trial_id for group in groups for trial_id in group.trial_ids}
    names = {group.recipe_id for group in groups if group.trial_ids}
    rows = [source.trials(folder) for folder in source.scans]
    if not rows:
        return pl.DataFrame(schema={"trial_id": pl.String()})
    frame = pl.concat(rows, how="diagonal")
    failed = (pl.col("status") != "ok") & pl.col("recipe_id").is_in(sorted(names))
    return frame.filter(pl.col("trial_id").is_in(sorted(ids)) | failed)


def _studies(groups: Sequence[Group], source: Source) -> Iterator[StudyFacts]:
    for name, folder in source.studies.items():
        of_study = [group for group in groups if group.origin == name and group.trial_ids]
        if not of_study:
            continue
        store = open_study(folder.parent, folder.name)
        rule = store.rule()
        ids = [trial_id for group in of_study for trial_id in group.trial_ids]
        trials = source.trials(folder).filter(pl.col("trial_id").is_in(ids)).unique("trial_id", maintain_order=True)
        versions: dict[str, dict[str, None]] = {}
        for text in trials["versions"].drop_nulls().unique(maintain_order=True):
            for package, version in json.loads(text).items():
                versions.setdefault(package, {})[str(version)] = None
        yield StudyFacts(
            name=name,
            declared=rule.declared,
            lateness=rule.lateness,
            devices=tuple(trials["device"].drop_nulls().unique(maintain_order=True)),
            versions={package: ", ".join(found) for package, found in sorted(versions.items())},
            hours=float(trials["train_s"].fill_null(0.0).sum()) / 3600,
            recipes=_recipes(of_study, folder, source),
        )


def _recipes(groups: Sequence[Group], folder: Any, source: Source) -> dict[str, dict[str, Value]]:
    """Return the values in which the recipes differ, as trained; all values where there is one."""
    store = open_study(folder.parent, folder.name)
    planned = set(store.trial_ids())
    values: dict[str, Mapping[str, Value]] = {}
    for group in groups:
        known = [trial_id for trial_id in group.trial_ids if trial_id in planned]
        if group.label not in values and known:
            trial = store.read_spec(known[0])
            if isinstance(trial, CommandTrial):
                values[group.label] = {"command": " ".join(trial.run)}
            else:
                values[group.label] = trial.recipe.values()
    keys = dict.fromkeys(key for each in values.values() for key in each)
    shown = [key for key in keys if len(values) == 1 or len({each.get(key) for each in values.values()}) > 1]
    return {label: {key: each[key] for key in shown if key in each} for label, each in values.items()}


def _trials(groups: Sequence[Group], source: Source) -> Iterator[TrialLine]:
    frame = _frame(source, groups)
    facts = {row["trial_id"]: row for row in frame.iter_rows(named=True)} if frame.height else {}
    shown: dict[tuple[str, object], dict[str, Any]] = {}
    for group in groups:
        for i, value in enumerate(group.values):
            trial_id = group.trial_ids[i] if group.trial_ids else None
            seed = group.seeds[i] if group.seeds else None
            key = (group.label, trial_id if trial_id is not None else (seed if seed is not None else i))
            line = shown.setdefault(key, {"label": group.label, "seed": seed, "row": facts.get(trial_id), "values": {}})
            line["values"][group.eval_set] = float(value)
    for line in shown.values():
        row = line["row"] or {}
        yield TrialLine(
            label=line["label"],
            seed=line["seed"],
            status=row.get("status") or "ok",
            reason=row.get("reason") or "",
            values=line["values"],
            train_s=row.get("train_s"),
            device=row.get("device") or "",
        )
    labels = {group.recipe_id: group.label for group in groups if group.recipe_id}
    for row in facts.values():
        if row["status"] != "ok":
            yield TrialLine(
                label=labels.get(row["recipe_id"], row["recipe"]),
                seed=row["seed"],
                status=row["status"],
                reason=row["reason"] or "",
                values={},
                train_s=row["train_s"],
                device=row["device"] or "",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Mean and std over seeds of one recipe at each epoch, arrays of shape (n_epochs,)."""

    label: str
    n_seeds: int
    epochs: Values
    mean: Values
    std: Values
    """0 where one seed alone has a value."""


def bands_of(curves: pl.DataFrame, column: Literal["accuracy", "train_loss"]) -> list[Band]:
    """Return the band of each recipe from :attr:`Report.curves`, over the epochs at which the column was measured."""
    found = []
    for label in curves["label"].unique(maintain_order=True):
        of_label = curves.filter(pl.col("label") == label).drop_nulls(column)
        each = of_label.group_by("epoch").agg(
            pl.col(column).mean().alias("mean"), pl.col(column).std().fill_null(0.0).alias("std")
        )
        epochs, mean, std = (each.sort("epoch")[key].to_numpy() for key in ("epoch", "mean", "std"))
        n = of_label["seed"].n_unique()
        found.append(Band(label=str(label), n_seeds=n, epochs=epochs.astype(float), mean=mean, std=std))
    return found


def _curves(groups: Sequence[Group], source: Source) -> pl.DataFrame:
    """Return the learning curves of every trial that has some, each trial once."""
    schema = {
        "label": pl.String(),
        "seed": pl.Int64(),
        "epoch": pl.Int64(),
        "accuracy": pl.Float64(),
        "train_loss": pl.Float64(),
    }
    frames, seen = [], set[str]()
    stores = {name: open_study(folder.parent, folder.name) for name, folder in source.studies.items()}
    planned = {name: set(store.trial_ids()) for name, store in stores.items()}
    # Equally many seeds of every recipe: a picture must not lack the last ones.
    most = max(1, _MOST_CURVES // len({group.label for group in groups}))
    drawn: Counter[str] = Counter()
    for group in groups:
        for i, trial_id in enumerate(group.trial_ids):
            if trial_id in seen or trial_id not in planned.get(group.origin, ()) or drawn[group.label] >= most:
                continue
            seen.add(trial_id)
            drawn[group.label] += 1
            curves = stores[group.origin].curves(trial_id)
            frames.append(
                curves.select(
                    pl.lit(group.label).alias("label"),
                    pl.lit(group.seeds[i] if group.seeds else None, dtype=pl.Int64()).alias("seed"),
                    "epoch",
                    (100.0 * pl.col("n_correct") / pl.col("n_examples")).alias("accuracy"),
                    "train_loss",
                )
            )
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)
