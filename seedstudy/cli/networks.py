"""`cost` and `evaluate`: what networks cost, and what published or own weights reach on val, ReaL and V2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.errors import StudyError


@options.grouped
def cost(
    models: Annotated[list[str] | None, typer.Argument(metavar="MODEL", help="timm names, e.g. resnet50.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the images in pixels (default: the model's own).")] = None,
    batch: Annotated[int, typer.Option(help="Images at a time, where more than one is timed.")] = 32,
    repeats: Annotated[int, typer.Option(help="Passes that are timed; the median is shown.")] = 10,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Count, but time nothing.")] = False,
    pareto: Annotated[
        str | None, typer.Option(help="Join accuracies: a table with timm's names, or recipes of a study.")
    ] = None,
    sd: Annotated[float | None, typer.Option(help="Std over seeds of these accuracies.")] = None,
    results: options.Results = Path("results"),
    study: options.StudyName = "main",
    metric: options.Metric = "top1",
    unit: options.Unit = None,
    *,
    output: options.Output,
) -> None:
    """Show what networks cost, without training them.

    Parameters, multiply-adds, activations, latency, throughput, memory.

    For example:
    seedstudy cost resnet50 resnet18 --counts-only
    seedstudy cost resnet50 --size 160
    """
    from seedstudy.show.networks import cost_table

    answer = ss.cost(
        *models or (),
        size=size,
        batch=batch,
        repeats=repeats,
        counts_only=counts_only,
        pareto=pareto,
        sd=sd,
        results=results,
        study=study,
        metric=metric,
        unit=unit,
        say=options.tell,
    )
    options.print_answer(answer, lambda: cost_table(answer, answer.pareto, repeats=repeats), output=output)


@options.grouped
def evaluate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="Trials with kept weights (STUDY:RECIPE), or a timm model: resnet50.a1_in1k, hf-hub:…"
        ),
    ],
    weights: Annotated[Path | None, typer.Option(help="A weights file (.safetensors, .pth) instead of timm's.")] = None,
    data: Annotated[
        str | None, typer.Option("-d", "--data", help="Data set (default: the trials' own; of a timm model imagenet).")
    ] = None,
    data_dir: options.DataDir = None,
    eval_sets: options.EvalSets = None,
    recipe: Annotated[
        str | None, typer.Option("-r", "--recipe", help="Preprocess as this recipe tests; default: as the weights say.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Test at this side in pixels instead; of trials several: 128,160,192.")
    ] = None,
    crop: Annotated[float | None, typer.Option(help="Share that the centre crop keeps, instead.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed these weights were trained with, where it is known.")] = None,
    published: Annotated[
        Path | None, typer.Option(help="timm's folder results: compare with the figures published there.")
    ] = None,
    results: options.Results = Path("results"),
    study: Annotated[
        str | None, typer.Option("--study", help="Study that a timm model's result is added to (default: evaluated).")
    ] = None,
    save: options.Save = None,
    *,
    output: options.Output,
) -> None:
    """Evaluate kept weights of trials, published or own weights.

    Of trials: eval sets and test sizes that were not there on the day of training are added to the same trials.

    For example:
    seedstudy evaluate resnet50.a1_in1k --data-dir ~/imagenet
    seedstudy evaluate main:a2 --size 128,160,192
    """
    from seedstudy.show.networks import evaluation_table

    sizes = _sizes(size)
    if ":" in what and not what.startswith(("hf-hub:", "hf_hub:")):
        given = {"--weights": weights, "-r": recipe, "--seed": seed, "--published": published}
        if wrong := [name for name, value in {**given, "--study": study}.items() if value is not None]:
            raise StudyError(f"{', '.join(wrong)}: for a timm model alone; trials know it themselves.")
        _evaluate_trials(what, data, data_dir, eval_sets, sizes, crop, results, save, output)
        return
    if len(sizes) > 1 or save is not None:
        raise StudyError("several test sizes, and --save, are for trials with kept weights: STUDY:RECIPE.")
    answer = ss.evaluate(
        what,
        weights=weights,
        data=data or "imagenet",
        data_dir=data_dir,
        eval_sets=options.eval_names(eval_sets, is_known=":" not in (data or "")),
        recipe=recipe,
        size=sizes[0] if sizes else None,
        crop=crop,
        seed=seed,
        published=published,
        results=results,
        study=study or "evaluated",
        say=options.tell,
    )
    preprocessing = str(answer.preprocessing)
    options.print_answer(
        answer,
        lambda: evaluation_table(answer.evaluations, answer.beside, preprocessing=preprocessing),
        output=output,
    )
    options.tell(f"{answer.recipe}@{answer.model}: {'added to' if answer.is_new else 'already in'} {answer.folder}")


def _sizes(text: str | None) -> tuple[int, ...]:
    words = options.words(text or "")
    if not all(word.isdecimal() and len(word) < 6 for word in words):
        raise StudyError(f"--size {text}: expected pixels, such as 192, or several with commas.")
    return tuple(map(int, words))


def _evaluate_trials(
    what: str,
    data: str | None,
    data_dir: Path | None,
    eval_sets: str | None,
    sizes: tuple[int, ...],
    crop: float | None,
    results: Path,
    save: Path | None,
    output: options.Output,
) -> None:
    from seedstudy.show.networks import sizes_table

    answer = ss.evaluate_trials(
        what,
        data=data,
        data_dir=data_dir,
        eval_sets=options.eval_names(eval_sets),
        sizes=sizes,
        crop=crop,
        results=results,
        say=options.tell,
    )
    options.print_answer(answer, lambda: sizes_table(answer), output=output)
    options.save_plot(save, lambda: ss.plot_test_sizes(answer))
    options.tell(f"study {answer.study}: {answer.added} results added to {answer.trials} trials")
    options.name_left_out(answer.left_out)
