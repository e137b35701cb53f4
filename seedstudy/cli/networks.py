"""`evaluate` and `cost`: networks that are not trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy.cli.options import AsJson, DataDir, EvalSets, Results, cache_dir, eval_names, print_json, tell
from seedstudy.errors import StudyError

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset
    from seedstudy.train.pretrained import Judged

Models = Annotated[list[str], typer.Argument(metavar="MODEL...", help="timm names, e.g. resnet50 or resnet50.a1_in1k.")]


def cost(
    models: Models,
    size: Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the model's own).")] = None,
    batch: Annotated[int, typer.Option(help="Images at a time, where more than one is timed.")] = 32,
    repeats: Annotated[int, typer.Option(help="Passes that are timed; the median is shown.")] = 10,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Count, but time nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what networks cost without training them: parameters, multiply-adds, activations, latency, memory."""
    from dataclasses import asdict

    from seedstudy.show.format import show
    from seedstudy.show.networks import cost_table
    from seedstudy.train import cost as costs

    if batch < 2 or repeats < 1:
        raise StudyError("--batch must be at least 2 (batch norm needs two images) and --repeats at least 1.")
    rows: list[dict[str, Any]] = []
    for name in models:
        tell(f"{name}: counting" if counts_only else f"{name}: counting and timing")
        if counts_only:
            side, counted = costs.count(name, size)
            rows.append({"model": name, "image_size": side, **asdict(counted)})
        else:
            rows.append(costs.measure(name, image_size=size, batch_size=batch, n_timed=repeats).to_dict())
    if as_json:
        print_json({"costs": rows})
        return
    show(cost_table(rows, batch_size=batch))
    if not counts_only:
        print(f"median of {repeats} passes on {rows[0]['device']}, {rows[0]['precision']}; latency is of one image")


def evaluate(
    model: Annotated[str, typer.Argument(help="timm model with weights: resnet50.a1_in1k, or hf-hub:user/name.")],
    weights: Annotated[Path | None, typer.Option(help="A weights file (.safetensors, .pth) instead of timm's.")] = None,
    data: Annotated[str, typer.Option("-d", "--data", help="Data set.")] = "imagenet",
    data_dir: DataDir = None,
    eval_sets: EvalSets = None,
    recipe: Annotated[
        str | None, typer.Option("-r", "--recipe", help="Preprocess as this recipe tests; default: as the weights say.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Test at this side in pixels instead.")] = None,
    crop: Annotated[float | None, typer.Option(help="Share that the centre crop keeps, instead.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed these weights were trained with, where it is known.")] = None,
    published: Annotated[
        Path | None, typer.Option(help="timm's folder results: compare with the figures published there.")
    ] = None,
    results: Results = Path("results"),
    study: Annotated[str, typer.Option("--study", help="Study the result is added to.")] = "evaluated",
    as_json: AsJson = False,
) -> None:
    """Evaluate published or own weights on val, ReaL and V2; the result stands beside trained trials."""
    from seedstudy import data as datasets
    from seedstudy.read.published import timm_top1
    from seedstudy.recipes.reader import load_recipe
    from seedstudy.show.format import show
    from seedstudy.show.networks import evaluation_table
    from seedstudy.store.outside import add_evaluated, label_of
    from seedstudy.study.study import check_name
    from seedstudy.train.pretrained import judge

    check_name(study)
    loaded = datasets.load(datasets.prepare(data, data_dir=data_dir, cache_dir=cache_dir(), progress=tell))
    names = _asked_for(loaded, eval_names(eval_sets))
    judged = judge(
        model,
        loaded,
        names,
        weights=weights,
        recipe=load_recipe(recipe) if recipe is not None else None,
        size=size,
        crop=crop,
    )
    tag, base = label_of(model, weights)
    shown = judged.preprocessing
    rows = [
        {
            "eval_set": name,
            "n_examples": found.n_examples,
            "top1": 100 * found.n_correct / found.n_examples,
            "top5": 100 * found.n_correct_top5 / found.n_examples,
            "published_top1": None
            if published is None
            else timm_top1(published, name, model, size=shown.size, crop=shown.crop),
        }
        for name, found in judged.evaluations.items()
    ]
    is_new = add_evaluated(
        results / study,
        judged.evaluations,
        loaded,
        preprocessing=f"{shown.size} px, crop {shown.crop:g}, {shown.interpolation}",
        recipe=tag,
        model=base,
        seed=seed,
        n_params=judged.n_params,
        device=judged.device,
    )
    if as_json:
        where = {"size": shown.size, "crop": shown.crop, "interpolation": shown.interpolation}
        print_json({"model": base, "recipe": tag, "preprocessing": where, "evaluations": rows})
    else:
        show(evaluation_table(rows))
    _doubt(judged, loaded)
    tell(f"{tag}@{base}: {'added to' if is_new else 'already in'} {results / study}")


def _asked_for(data: Dataset, names: tuple[str, ...] | None) -> tuple[str, ...]:
    for name, sentence in data.missing.items():
        if name != "train" and (names is None or name in names):
            tell(f"{data.name}: no {name}: {sentence}")
    chosen = tuple(name for name in data.eval_sets if names is None or name in names)
    if not chosen:
        raise StudyError(f"{data.name}: none of the eval sets asked for is there.")
    return chosen


def _doubt(judged: Judged, data: Dataset) -> None:
    """Say so where V2 is at chance and val is not: labels sorted as text look like that."""
    share = {name: each.n_correct / each.n_examples for name, each in judged.evaluations.items()}
    for name in share:
        if name.startswith("v2") and share.get("val", 0.0) > 0.2 and share[name] < 0.05 * share["val"]:
            tell(f"{data.name}: {name} is at chance while val is not: its folders do not hold the classes they say.")
