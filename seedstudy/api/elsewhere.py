"""Trials and networks from elsewhere: import, inspect, evaluate, count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.api.shared import arms_of_call, path_of, recipe_for, source_of, summaries_of
from seedstudy.arguments import public
from seedstudy.decide.answers import Answers
from seedstudy.document import FLAT, HIDDEN, fields_of, shown_as
from seedstudy.errors import StudyError, require_extra
from seedstudy.study.network import Cost, EvaluatedSet, OnFront
from seedstudy.study.study import check_name

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset
    from seedstudy.decide.given import Given
    from seedstudy.decide.images import ImageReading
    from seedstudy.decide.select import Source
    from seedstudy.decide.summary import Summaries
    from seedstudy.engines.watch import Say
    from seedstudy.read.cells import Row
    from seedstudy.read.inspect import Inspection
    from seedstudy.study.group import Readings
    from seedstudy.train.preprocessing import Preprocessing
    from seedstudy.train.pretrained import Judged


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportAnswer:
    """What an import added to a study."""

    study: str
    folder: Path = field(metadata=HIDDEN)
    imported: int
    """Trials that were added; 0 where the same files were imported before."""
    notes: tuple[str, ...] = field(metadata=HIDDEN)
    """What the files left unclear."""
    summaries: Summaries = field(metadata=FLAT)
    """Of every recipe in the study."""

    @property
    def read(self) -> Readings:
        """What was read from the files."""
        return self.summaries.read

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``import --json``."""
        return fields_of(self)


@public
def import_files(
    *files: str | Path,
    results: str | Path = "results",
    study: str = "main",
    recipe: str | None = None,
    model: str | None = None,
    data: str | None = None,
    n_examples: int | str | Mapping[str, int] | None = None,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
) -> ImportAnswer:
    """Put trials that were trained elsewhere into a study, so that every other question can be asked of them.

    Parameters
    ----------
    files
        Tables, logs, folders (with a slash at the end) or patterns.
    recipe, model, data
        Where the files do not say.
    n_examples
        Images of every eval set, or by eval set.

    """
    from seedstudy.decide.select import what_was_read
    from seedstudy.read.counts import trials_of_files
    from seedstudy.store import outside
    from seedstudy.store.store import Store

    if not files:
        raise StudyError("import needs files, for example `seedstudy import runs.csv`.")
    source = source_of({**locals(), "model": None, "data": None})
    store = Store(Path(results), study)
    trials, notes, groups = trials_of_files(
        [str(file) for file in files],
        source,
        study=study,
        recipe=recipe,
        model=model,
        data=data,
        n_examples=n_examples,
    )
    is_new = outside.add(store.root, trials)
    return ImportAnswer(
        study=study,
        folder=store.root,
        imported=trials["trial_id"].n_unique() if is_new else 0,
        notes=notes,
        summaries=replace(summaries_of((), replace(source, metric="top1"), level=0.95), read=what_was_read(groups)),
    )


@public
def inspect_files(
    *files: str | Path,
    eval_sets: str | Sequence[str] | None = None,
    metric: str = "top1",
    unit: str | None = None,
    by: str | Sequence[str] | None = None,
    ignore: str | Sequence[str] | None = None,
    pool: bool = False,
    clock: str | None = None,
    seeds_by: str | None = None,
) -> Answers[Inspection]:
    """Say what files are taken for, and write nothing: the role of every column, and the runs that are found.

    See :func:`import_files` for the parameters.
    """
    from seedstudy.read.inspect import inspect

    if not files:
        raise StudyError("import needs files, for example `seedstudy import --dry-run runs.csv`.")
    source = source_of({**locals(), "results": "results"})
    return Answers(answers=tuple(inspect(str(file), source) for file in files))


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateAnswer:
    """Weights trained elsewhere, evaluated here."""

    model: str
    recipe: str
    preprocessing: Preprocessing
    evaluations: tuple[EvaluatedSet, ...]
    beside: tuple[ImageReading, ...]
    """What differs from each other network that the study holds, image by image; says nothing about seeds."""
    is_new: bool = field(metadata=HIDDEN)
    """Whether the study did not hold these evaluations yet."""
    folder: Path = field(metadata=HIDDEN)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``evaluate --json``."""
        return fields_of(self)


@public
def evaluate(
    model: str,
    *,
    weights: str | Path | None = None,
    data: str = "imagenet",
    data_dir: str | Path | None = None,
    eval_sets: str | Sequence[str] | None = None,
    recipe: str | None = None,
    size: int | None = None,
    crop: float | None = None,
    seed: int | None = None,
    published: str | Path | None = None,
    results: str | Path = "results",
    study: str = "evaluated",
    say: Say = terminal.say,
) -> EvaluateAnswer:
    """Evaluate published or own weights, and add the result to a study.

    Parameters
    ----------
    model
        timm model with weights (``resnet50.a1_in1k``), or ``hf-hub:user/name``.
    weights
        A weights file instead of timm's.
    recipe
        Preprocess as this recipe tests on this data set; None: as the weights say, at their test size.
    size, crop
        Side in pixels and share of the centre crop, instead.
    seed
        Seed these weights were trained with, where it is known.
    published
        timm's folder ``results``: its figures stand beside ours.

    """
    from seedstudy.read.published import timm_top1
    from seedstudy.store import outside

    check_name(study)
    require_extra("train")
    from seedstudy.train.pretrained import judge

    prepared = datasets.prepare(data, data_dir=path_of(data_dir), cache_dir=machine.cache_dir(), progress=say)
    loaded = datasets.load(prepared)
    for sentence in loaded.doubts:
        say(f"{data}: {sentence}")
    tested_as = None if recipe is None else recipe_for(recipe, model, data, loaded)
    names = _available(loaded, eval_sets, say)
    judged = judge(model, loaded, names, weights=path_of(weights), recipe=tested_as, size=size, crop=crop)
    loaded.check_unchanged()
    shown = judged.preprocessing
    tag, base = outside.recipe_and_model(model, path_of(weights))
    is_new = outside.add_evaluated(
        Path(results) / study,
        judged.evaluations,
        loaded,
        preprocessing=str(shown),
        recipe=tag,
        model=base,
        seed=seed,
        n_params=judged.n_params,
        device=judged.device,
    )
    _warn_of_wrong_folders(judged, loaded, say)
    return EvaluateAnswer(
        model=base,
        recipe=tag,
        preprocessing=shown,
        evaluations=tuple(
            EvaluatedSet(
                eval_set=name,
                n_examples=each.n_examples,
                top1=100 * each.n_correct / each.n_examples,
                top5=100 * each.n_correct_top5 / each.n_examples,
                published_top1=None
                if published is None
                else timm_top1(Path(published), name, model, size=shown.size, crop=shown.crop),
            )
            for name, each in judged.evaluations.items()
        ),
        beside=_beside(Path(results), study, f"{tag} ({shown})", base, data),
        is_new=is_new,
        folder=Path(results) / study,
    )


def _beside(results: Path, study: str, recipe_id: str, model: str, data: str) -> tuple[ImageReading, ...]:
    """Read the difference of one network from every other single one of a study."""
    from seedstudy.decide.images import OnImages
    from seedstudy.decide.select import Source, select

    source = Source(results=results, study=study, data=data)
    groups = [group for group in select([], source)[0] if group.n == 1]
    own = {group.eval_set: group for group in groups if (group.recipe_id, group.model) == (recipe_id, model)}
    on_images = OnImages(source)
    readings = [
        on_images.reading(group, own[group.eval_set], level=0.95)
        for group in groups
        if group.eval_set in own and group is not own[group.eval_set]
    ]
    return tuple(reading for reading in readings if reading is not None)


def _available(data: Dataset, eval_sets: str | Sequence[str] | None, say: Say) -> tuple[str, ...]:
    """Return the eval sets asked for that are there; say which are not."""
    for name, sentence in data.missing.items():
        if name != "train" and (eval_sets is None or name in eval_sets):
            say(f"{data.name}: no {name}: {sentence}")
    chosen = tuple(name for name in data.eval_sets if eval_sets is None or name in eval_sets)
    if not chosen:
        raise StudyError(f"{data.name}: none of the eval sets asked for is there.")
    return chosen


def _warn_of_wrong_folders(judged: Judged, data: Dataset, say: Say) -> None:
    """Say so where V2 is at chance and val is not: labels sorted as text look like that."""
    share = {name: each.n_correct / each.n_examples for name, each in judged.evaluations.items()}
    for name in share:
        if name.startswith("v2") and share.get("val", 0.0) > 0.2 and share[name] < 0.05 * share["val"]:
            say(f"{data.name}: {name} is at chance while val is not: its folders do not hold the classes they say.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Costs(Answers[Cost]):
    """Size and, where it was timed, speed of networks; with accuracies also which of them are worth their cost."""

    answers: tuple[Cost, ...] = field(metadata=shown_as("costs"))
    pareto: tuple[OnFront, ...] = ()
    """One row per network whose accuracy was given, in the order of ``answers``."""
    noise_sd: float | None = None
    """Std over seeds by which networks were told apart; None: every difference counted."""


@public
def cost(
    *models: str,
    size: int | None = None,
    batch: int = 32,
    repeats: int = 10,
    counts_only: bool = False,
    pareto: Given | None = None,
    sd: float | None = None,
    results: str | Path = "results",
    study: str = "main",
    metric: str = "top1",
    unit: str | None = None,
    say: Say = terminal.say,
) -> Costs:
    """Count and time networks without training them: parameters, multiply-adds, activations, latency, memory.

    Parameters
    ----------
    models
        timm names; with `pareto` only these of its networks, none for all.
    size
        Side of the images in pixels; None: the model's own, with `pareto` the one that it was tested at.
    batch
        Images at a time, where more than one is timed.
    repeats
        Passes that are timed; the median is given.
    counts_only
        Time nothing.
    pareto
        Accuracies to join: a table with timm's names, sizes and results (timm's own results tables are such), or
        recipes of a study.
    sd
        Standard deviation over seeds of these accuracies; None: pooled over networks with several seeds.
    results, study, metric, unit
        Of `pareto`, as in :func:`~seedstudy.api.judging.scaling`.

    """
    if not models and pareto is None:
        raise StudyError("cost needs a model, for example `seedstudy cost resnet50`.")
    require_extra("train")
    from seedstudy.train import cost as costs

    if batch < 2 or repeats < 1:
        raise StudyError("--batch must be at least 2 (batch norm needs two images) and --repeats at least 1.")
    rows = [] if pareto is None else _accuracies(pareto, models, source_of(locals()), metric, unit, say)
    wanted = [(name, size) for name in models] if pareto is None else [(row.model or "", _side_of(row)) for row in rows]
    measured = []
    for name, own_size in wanted:
        say(f"{name}: counting" if counts_only else f"{name}: counting and timing")
        side = size or own_size
        measured.append(costs.measure(name, image_size=side, batch_size=batch, n_timed=0 if counts_only else repeats))
    if pareto is None:
        return Costs(answers=tuple(measured))
    return _with_fronts(measured, rows, sd)


def _accuracies(
    pareto: Given, models: Sequence[str], source: Source, metric: str, unit: str | None, say: Say
) -> list[Row]:
    """Return the networks whose accuracy is given: those asked for, by their names with or without weights."""
    from seedstudy.api import cells

    found = cells.cells_of(
        arms_of_call([pareto], {}, cost, source),
        source,
        cost=None,
        by=None,
        metric=metric,
        unit=unit,
        say=lambda _: None,
    )
    named = [row for row in found.rows if row.model is not None]
    if models:
        named = [row for row in named if row.model in models or str(row.model).split(".")[0] in models]
    if not named:
        known = ", ".join(sorted({str(row.model) for row in found.rows if row.model})[:5])
        raise StudyError(
            f"--pareto {pareto}: no result of a network asked for; it has {known or 'no names of networks'}."
        )
    return named


def _side_of(row: Row) -> int | None:
    """Return the side of the images that a network was tested at; None where it is not known."""
    return int(row.coordinates["size"]) if "size" in row.coordinates else None


def _with_fronts(measured: Sequence[Cost], rows: Sequence[Row], sd: float | None) -> Costs:
    import numpy as np

    from seedstudy.stats.sample import mean_of
    from seedstudy.stats.scaling import Noise, fronts, pooled_noise

    noise = pooled_noise([row.errors for row in rows]) if sd is None else Noise(sd=sd, df=math.inf)
    means = np.array([mean_of(row.errors) for row in rows])
    n_seeds = np.array([row.errors.size for row in rows])

    def of(spent: Sequence[float]) -> list[str]:
        return fronts(np.array(spent, dtype=np.float64), means, n_seeds, noise, alpha=0.05)

    by_macs = of([each.size.n_macs for each in measured])
    by_params = of([each.size.n_params for each in measured])
    timed = [each.speed.latency_s for each in measured if each.speed is not None]
    by_latency: Sequence[str | None] = of(timed) if len(timed) == len(measured) else [None] * len(measured)
    return Costs(
        answers=tuple(measured),
        pareto=tuple(
            OnFront(
                model=each.model,
                image_size=each.image_size,
                error=float(mean),
                n=int(n),
                front_macs=macs,
                front_params=params,
                front_latency=latency,
            )
            for each, mean, n, macs, params, latency in zip(
                measured, means, n_seeds, by_macs, by_params, by_latency, strict=True
            )
        ),
        noise_sd=None if noise is None else noise.sd,
    )
