"""What `cost` and `evaluate` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seedstudy.show.format import UNKNOWN, column, common_decimals, percent
from seedstudy.show.sheet import Column, Sheet, sheet
from seedstudy.show.view import View, short_cautions, short_names
from seedstudy.stats.result import format_p

if TYPE_CHECKING:
    from seedstudy.decide.images import ImageReading
    from seedstudy.decide.sizes import Evaluated
    from seedstudy.study.network import Cost, EvaluatedSet, OnFront, PseudoLabelled


def cost_table(costs: Sequence[Cost], pareto: Sequence[OnFront] = (), *, repeats: int) -> View:
    """Return which networks are worth their cost, where accuracies are known; then size, speed and memory of each."""
    return View(sheets=(*([_fronts(pareto)] if pareto else []), _cost_table(costs, repeats=repeats)))


def _fronts(pareto: Sequence[OnFront]) -> Sheet:
    words = {"on": "yes", "off": "·", "?": "?", None: UNKNOWN}
    rows = [
        (
            each.model,
            str(each.image_size),
            str(each.n),
            f"{each.error:.2f}",
            *(words[front] for front in (each.front_macs, each.front_params, each.front_latency)),
        )
        for each in sorted(pareto, key=lambda each: each.error)
    ]
    return sheet(
        ["model"],
        ["px", "n", "error", "by MACs", "by params", "by latency"],
        rows,
        notes=(
            "by: on the Pareto front, that is no network of at most its cost has a smaller error; ? where the spread "
            "over seeds leaves it open.",
        ),
    )


def _cost_table(costs: Sequence[Cost], *, repeats: int) -> Sheet:
    rows = tuple(map(_cost_cells, costs))
    speed = costs[0].speed
    columns = (
        Column(name="model", kind="name"),
        *map(_number, ("px", "params M", "GMACs")),
        Column(name="act. M", drop=1),
    )
    if speed is None:
        return Sheet(columns=columns, rows=rows)
    return Sheet(
        columns=(*columns, *map(_number, ("latency ms", "images/s", "trained/s", "peak MiB"))),
        rows=rows,
        notes=(
            f"Median of {repeats} passes on {speed.device}, {speed.precision}; latency of one image, images/s "
            f"and images trained/s in batches of {speed.batch_size}.",
        ),
    )


def _number(name: str) -> Column:
    return Column(name=name)


def _cost_cells(cost: Cost) -> tuple[str, ...]:
    size, speed = cost.size, cost.speed
    counts = [f"{size.n_params / 1e6:.2f}", f"{size.n_macs / 1e9:.2f}", f"{size.n_activations / 1e6:.2f}"]
    px = f"{cost.image_size}" if cost.clip_frames is None else f"{cost.image_size} x {cost.clip_frames} frames"
    cells = [cost.model, px, *counts]
    if speed is not None:
        cells += [
            f"{1000 * speed.latency_s:.2f}",
            f"{speed.infer_images_per_s:,.1f}",
            f"{speed.train_images_per_s:,.1f}",
            UNKNOWN if speed.peak_mem_bytes is None else f"{speed.peak_mem_bytes / 2**20:,.0f}",
        ]
    return tuple(cells)


_MOST_BESIDE = 12
"""Rows of differences from other networks; the rest is in the document."""


def evaluation_table(
    evaluations: Sequence[EvaluatedSet], beside: Sequence[ImageReading], *, preprocessing: str
) -> View:
    """Return top-1 and top-5 per eval set, with the published top-1 where it is known; then other networks."""
    heads = ["n", "top-1", "top-5", "published top-1", "difference"]
    rows = [_evaluation_cells(each) for each in evaluations]
    measured = sheet(["eval set"], heads, rows, notes=(f"Tested at {preprocessing}.",))
    return View(sheets=(measured, *([_beside(beside)] if beside else [])))


def _beside(readings: Sequence[ImageReading]) -> Sheet:
    """Return by how much a network is better than others, image by image."""
    shown = readings[:_MOST_BESIDE]
    sizes = column([reading.on_new_images for reading in shown], sign="+")
    rows = [
        (reading.a, reading.eval_set, by, format_p(reading.on_new_images_p))
        for reading, by in zip(shown, sizes, strict=True)
    ]
    left = len(readings) - _MOST_BESIDE
    level = percent(readings[0].on_new_images.level)
    return sheet(
        ["better than", "on"],
        ["by points", "p"],
        rows,
        notes=(
            f"Two networks on the same images: McNemar's mid-p, [{level} interval] by Tango, not adjusted; says "
            "nothing about seeds." + (f" {left} more with --json." if left > 0 else ""),
        ),
    )


def _evaluation_cells(each: EvaluatedSet) -> list[str]:
    published = each.published_top1
    beside = [UNKNOWN] * 2 if published is None else [f"{published:.3f}", f"{each.top1 - published:+z.3f}"]
    return [each.eval_set, f"{each.n_examples:,}", f"{each.top1:.3f}", f"{each.top5:.3f}", *beside]


def sizes_table(evaluated: Evaluated) -> View:
    """Return the accuracy of each recipe by eval set and test size."""
    points = evaluated.points
    groups = [point.summary.group for point in points]
    names, common = short_names(groups)
    decimals = common_decimals([point.summary.description.mean for point in points])
    means = column([point.summary.description.mean for point in points], decimals)
    stds = column([point.summary.description.std for point in points], decimals)
    rows = [
        (
            names[point.summary.group.label],
            point.name,
            f"{point.test_size}{'' if point.is_own else ' *'}",
            f"{point.crop:g}",
            str(point.summary.description.n),
            mean,
            std,
        )
        for point, mean, std in zip(points, means, stds, strict=True)
    ]
    level = percent(points[0].summary.level)
    return View(
        sheets=(
            sheet(
                ["recipe", "set"],
                ["px", "crop", "n", "mean", "std"],
                rows,
                caption=" · ".join([*common, f"top-1 in %, last epoch · [{level} intervals]"]),
                notes=("From the kept weights; *: not the test size of the recipe.",),
            ),
        ),
        sentences=tuple(_about_repeated(evaluated)),
        cautions=short_cautions((names[each.summary.group.label], each.summary.warnings) for each in points),
    )


def _about_repeated(evaluated: Evaluated) -> Iterator[str]:
    """Say whether what the trials had before came out again."""
    same = [name for name, n_different in evaluated.repeated.items() if not n_different]
    if same:
        yield f"{', '.join(same)}: every prediction is the one that the trials had"
    for name, n_different in evaluated.repeated.items():
        if n_different:
            yield f"{name}: {n_different:,} predictions differ from those that the trials had; theirs stay"
    if n := evaluated.without_weights:
        yield f"{n} more trials have no weights"


def pseudo_label_table(answer: PseudoLabelled) -> View:
    """Return how many images of each class a teacher labelled."""
    kind = "soft" if answer.is_soft else "hard"
    notes = [f"{answer.n_labelled:,} {kind} labels of {answer.n_images:,} images in {answer.file}"]
    if answer.agreement is not None:
        notes.append(f"{100 * answer.agreement:.2f} % of them are the data set's own labels (not used)")
    rows = [(name, f"{n:,}") for name, n in answer.by_class.items()]
    return View(sheets=(sheet(["class"], ["images"], rows, notes=notes),))
