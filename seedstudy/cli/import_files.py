"""`import`: trials trained elsewhere become a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seedstudy.cli.options import (
    AsJson,
    EvalSets,
    Metric,
    Results,
    StudyName,
    Unit,
    eval_names,
    print_json,
    source_of,
    summaries_of,
    tell,
)


def import_files(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Tables, logs, folders, patterns in quotes.")],
    results: Results = Path("results"),
    study: StudyName = "main",
    recipe: Annotated[str | None, typer.Option("-r", "--recipe", help="Recipe, where the file does not say.")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Model, where the file does not say.")] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", help="Data set, where the file does not say.")] = None,
    n_examples: Annotated[
        str | None, typer.Option("--n-examples", help="Images: 10000, or val=10000,v2=2000 (known for imagenet).")
    ] = None,
    eval_sets: EvalSets = None,
    metric: Metric = "top1",
    unit: Unit = None,
    as_json: AsJson = False,
) -> None:
    """Put trials trained elsewhere into a study, so that every other command works on them.

    Reads CSV, Parquet, JSON, plain numbers, timm's summary.csv, Lightning's metrics.csv, Hugging Face's
    all_results.json and trainer_state.json, exports of Weights & Biases, and TensorBoard event files.
    """
    from seedstudy.read.counts import trials_of_files
    from seedstudy.read.groups import Request
    from seedstudy.store import outside as imported
    from seedstudy.store.store import Store

    store = Store(results, study)
    request = Request(metric=metric, eval_sets=eval_names(eval_sets), unit=unit)
    source = source_of(results, study, eval_sets, "top1", unit)
    together, doubts = trials_of_files(
        files, request, study=study, recipe=recipe, model=model, data=data, n_examples=n_examples
    )
    is_new = imported.add(store.root, together)
    n_trials = together["trial_id"].n_unique() if is_new else 0
    where = f"study {study}, {store.root}"
    tell(f"{n_trials} trials imported into {where}" if is_new else f"imported before into {where}: nothing to do")
    for note in doubts:
        tell(f"note: {note}")
    summaries = summaries_of((), source, level=0.95)
    if as_json:
        print_json({"study": study, "imported": n_trials, "groups": [summary.to_dict() for summary in summaries]})
        return
    from seedstudy.show.format import show
    from seedstudy.show.summary import summary_table

    show(summary_table(summaries))
