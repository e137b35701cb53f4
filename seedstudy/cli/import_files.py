"""`import`: trials trained elsewhere become a study."""

from __future__ import annotations

from collections.abc import Mapping
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
    words,
)
from seedstudy.errors import StudyError


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
    counts = _counts(n_examples)
    import polars as pl

    from seedstudy.read.counts import trials_of
    from seedstudy.read.groups import Request, read_groups
    from seedstudy.read.logs import parse_selector
    from seedstudy.store import outside
    from seedstudy.store.store import Store

    store = Store(results, study)
    request = Request(metric=metric, eval_sets=eval_names(eval_sets), unit=unit)
    source = source_of(results, study, eval_sets, "top1", unit)
    frames, doubts = [], list[str]()
    for name in files:
        if parse_selector(name) is None:
            missing = (
                "not a file of results; a folder is written with a slash" if Path(name).exists() else "no such file"
            )
            raise StudyError(f"{name}: cannot be read ({missing}).")
        frame, notes = trials_of(
            read_groups(name, request),
            study=study,
            recipe=recipe,
            model=model,
            data=data,
            n_examples=counts,
            where=name,
        )
        frames.append(frame)
        doubts += notes
    together = pl.concat(frames)
    is_new = outside.write(store.root, together)
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


def _counts(text: str | None) -> Mapping[str, int]:
    """Return images per eval set; "" stands for every set."""
    found = {}
    for word in words(text or ""):
        eval_set, _, number = word.rpartition("=")
        if not number.isdecimal() or not 0 < int(number) < 10**12:
            raise StudyError(f'--n-examples "{word}": expected a number of images, such as 10000 or val=10000.')
        found[eval_set.strip()] = int(number)
    return found
