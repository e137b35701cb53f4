"""`import`: trials trained elsewhere become a study."""

from __future__ import annotations

from typing import Annotated

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.cli.help import OUTPUT


@options.grouped
def import_files(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Tables, logs, folders, patterns in quotes.")],
    *,
    where: options.Files,
    recipe: Annotated[str | None, typer.Option("-r", "--recipe", help="Recipe, where the file does not say.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Model, where the file does not say.")] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", help="Data set, where the file does not say.")] = None,
    n_examples: Annotated[
        str | None, typer.Option("--n-examples", help="Images: 10000, or val=10000,v2=2000 (known for imagenet).")
    ] = None,
    eval_sets: options.EvalSets = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only show the role of every column and the runs that are found.", rich_help_panel=OUTPUT
        ),
    ] = False,
    output: options.Output,
) -> None:
    """Put trials trained elsewhere into a study.

    Every other command then works on them.

    Reads CSV, Parquet, JSON, plain numbers, timm's summary.csv, Lightning's metrics.csv, Hugging Face's
    all_results.json and trainer_state.json, exports of Weights & Biases, and TensorBoard event files.

    For example:
    seedstudy import runs.csv --dry-run
    seedstudy import "runs/*/summary.csv" -r a2 -m resnet50 -d imagenet
    """
    from seedstudy.show.inspection import inspection_tables
    from seedstudy.show.summary import summary_tables

    names = options.eval_names(eval_sets)
    if dry_run:
        asked = {name: value for name, value in options.values(where).items() if name not in ("results", "study")}
        seen = ss.inspect_files(*files, **asked, eval_sets=names)
        options.print_answer(seen, lambda: inspection_tables(seen), output=output)
        for inspection in seen:
            if inspection.error is not None:
                raise inspection.error
        return
    answer = ss.import_files(
        *files,
        **options.values(where),
        recipe=recipe,
        model=model,
        data=data,
        n_examples=n_examples,
        eval_sets=names,
    )
    place = f"study {answer.study}, {answer.folder}"
    n = answer.imported
    options.tell(f"{n} trials imported into {place}" if n else f"imported before into {place}: nothing to do")
    for note in answer.notes:
        options.tell(f"note: {note}")
    options.print_answer(answer, lambda: summary_tables(answer.summaries), output=output)
    options.name_left_out(answer.summaries.left_out)
