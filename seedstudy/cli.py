"""The command line: parse, one call, print. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seedstudy import __version__
from seedstudy.errors import SeedstudyError, StudyError, suggest

if TYPE_CHECKING:
    from seedstudy.analysis import Source
    from seedstudy.study import Study

EXIT_FAILED, EXIT_USAGE, EXIT_GATE, EXIT_INTERRUPTED = 1, 2, 3, 130
VERDICTS = ("better", "worse", "equivalent", "inconclusive")

app = typer.Typer(
    help="Is recipe B really better than recipe A, or did it get a lucky seed?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes_app = typer.Typer(help="The recipes as data: list, show, diff.", no_args_is_help=True)
data_app = typer.Typer(help="Data sets: what is on disk, what is missing and how to get it.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")
app.add_typer(data_app, name="data")

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; a user's mistake is one line on stderr and exit code 2."""
    try:
        sys.exit(app(args=arguments, standalone_mode=False))
    except SeedstudyError as error:
        print(f"seedstudy: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "format_message"):
            raise
        print(f"seedstudy: {error.format_message()}", file=sys.stderr)  # Typer's own: unknown option and the like
        sys.exit(EXIT_USAGE)


def _version(is_wanted: bool) -> None:
    if is_wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None: ...


# --- run ----------------------------------------------------------------------------------------------


@app.command()
def run(
    study_file: Annotated[Path | None, typer.Argument(metavar="[STUDY.toml]", help="A study file.")] = None,
    recipe: Annotated[str | None, typer.Option("-r", "--recipe", help="Recipes, e.g. a2,a3 (names or files).")] = None,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Any timm model, resnet8, resnet20, …")] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", help="Data set (default: the embedded shapes).")] = None,
    seeds: Annotated[str | None, typer.Option(help="100 (seeds 0 to 99), 0-9 or 3,5,8.")] = None,
    data_dir: DataDir = None,
    epochs: Annotated[int | None, typer.Option(help="Train for so many epochs instead of the recipe's.")] = None,
    train_limit: Annotated[int | None, typer.Option(help="Only the first N training images, class-balanced.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: change a recipe value (repeatable).")
    ] = None,
    vary: Annotated[str | None, typer.Option(help="Streams that follow the seed: init,order,augment,mix,drop.")] = None,
    workers: Annotated[str, typer.Option(help="Processes that train: a number, or auto.")] = "auto",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Train failed trials again.")] = False,
    results: Results = Path("results"),
    study: Annotated[str | None, typer.Option("--study", help="Name of the study (default: main).")] = None,
    eval_sets: EvalSets = None,
    as_json: AsJson = False,
) -> None:
    """Train recipes across seeds; the same command goes on with what is missing."""
    from seedstudy.analysis import Source
    from seedstudy.engines.launch import resolve, train
    from seedstudy.store import Store

    plan = _study_of(study_file, recipe, model, data, seeds, epochs, train_limit, assignments, vary, study)
    n_workers = _n_workers(workers)
    names = _eval_names(eval_sets)
    grid = resolve(plan, data_dir=data_dir, cache_dir=_cache_dir(), tell=_tell)
    store = Store(results, plan.name)
    train(store, plan, grid, n_workers=n_workers, is_retry=retry_failed, tell=_tell)
    states = {trial.trial_id: store.read_trial(trial.trial_id)[0] for trial in grid.trials}
    source = Source(results=results, study=plan.name, eval_sets=names)
    _show_run(source, plan, states, as_json=as_json)
    if "failed" in states.values():
        raise typer.Exit(EXIT_FAILED)


def _study_of(
    file: Path | None,
    recipe: str | None,
    model: str | None,
    data: str | None,
    seeds: str | None,
    epochs: int | None,
    train_limit: int | None,
    assignments: list[str] | None,
    vary: str | None,
    name: str | None,
) -> Study:
    """Return what a study file and the flags ask for; flags win."""
    from dataclasses import replace

    from seedstudy.seeds import parse_seeds, parse_vary
    from seedstudy.study import Study, check_name, load_study

    if file is None and recipe is None:
        raise StudyError("nothing to train: name a recipe (--recipe a2) or a study file.")
    study = load_study(file) if file is not None else Study(recipes=())
    changes: dict[str, Any] = {}
    if recipe is not None:
        changes |= {"recipes": _words(recipe), "folder": Path()}
    if model is not None:
        changes["models"] = _words(model)
    if seeds is not None:
        changes["seeds"] = parse_seeds(seeds)
    if vary is not None:
        changes["vary"] = parse_vary(vary.split(","))
    if name is not None:
        changes["name"] = check_name(name)
    for key, value in (("data", data), ("epochs", epochs), ("train_limit", train_limit)):
        if value is not None:
            changes[key] = value
    if assignments:
        changes["assignments"] = (*study.assignments, *assignments)
    study = replace(study, **changes)
    if not study.recipes:
        raise StudyError(f'{file}: names no recipe: write recipes = ["a2"] under [grid], or give --recipe.')
    for key, value in (("--epochs", study.epochs), ("--train-limit", study.train_limit)):
        if value is not None and value < 1:
            raise StudyError(f"{key} {value}: must be at least 1.")
    return study


def _show_run(source: Source, plan: Study, states: Mapping[str, str], *, as_json: bool) -> None:
    counts = {state: list(states.values()).count(state) for state in ("ok", "diverged", "failed")}
    if as_json:
        groups = _summaries((), source, level=0.95) if counts["ok"] else []
        document = {"study": plan.name, "planned": len(states), **counts}
        _print_json({**document, "groups": [summary.to_dict() for summary in groups]})
        return
    if counts["ok"]:
        from seedstudy import tables

        tables.show(tables.summary_table(_summaries((), source, level=0.95)))
    ended = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    _tell(f"study {plan.name}: {len(states)} trials: {ended}; results in {source.results / plan.name}")


def _n_workers(text: str) -> int:
    from seedstudy.engines.local import default_workers

    if text == "auto":
        return default_workers()
    if not text.isdecimal() or int(text) < 1:
        raise StudyError(f"--workers {text}: expected a whole number of at least 1, or auto.")
    return int(text)


# --- looking ------------------------------------------------------------------------------------------


@app.command()
def status(
    study: Annotated[str, typer.Argument(metavar="[STUDY]", help="Name of the study.")] = "main",
    results: Results = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Say where every trial of a study stands: planned, running, ok, diverged, failed, interrupted."""
    from seedstudy import tables
    from seedstudy.store import open_study

    store = open_study(results, study)
    scan = store.scan()
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for trial_id in store.trial_ids():
        state = scan.states.get(trial_id, "damaged")
        key = store.label(trial_id)
        row = rows.setdefault(key, dict(zip(("recipe", "model", "data"), key, strict=True)))
        row[state] = row.get(state, 0) + 1
    full = [
        {**dict.fromkeys(("planned", "running", "ok", "diverged", "failed", "interrupted", "damaged"), 0), **row}
        for _, row in sorted(rows.items())
    ]
    failures = {
        row["trial_id"]: row["reason"]
        for row in scan.trials.iter_rows(named=True)
        if row["status"] in ("failed", "diverged")
    }
    if as_json:
        _print_json({"study": study, "groups": full, "reasons": failures, "damaged": dict(scan.damaged)})
        return
    tables.show(tables.status_table(full))
    for trial_id, reason in failures.items():
        print(f"{trial_id}: {reason}")
    _tell_damaged(scan.damaged)


@app.command()
def summary(
    what: Annotated[list[str] | None, typer.Argument(metavar="[WHAT]...", help="RECIPE, RECIPE@MODEL, a file…")] = None,
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_sets: EvalSets = None,
    metric: Metric = "top1",
    unit: Unit = None,
    level: Level = 0.95,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Show n, mean, std, min, max and seed 0 per eval set, each with its interval (the RSB table)."""
    source = _source(results, study, eval_sets, metric, unit)
    damaged = _damaged(what or (), source)
    summaries = _summaries(what or (), source, level=level)
    if as_json:
        _print_json({"groups": [row.to_dict() for row in summaries]})
    else:
        from seedstudy import tables

        tables.show(tables.summary_table(summaries))
    if save is not None:
        from seedstudy import plots

        plots.save(plots.distributions(summaries), save)
    if damaged:
        _tell_damaged(damaged)
        raise typer.Exit(EXIT_USAGE)


@app.command()
def compare(
    what: Annotated[list[str], typer.Argument(metavar="A B [C]...", help="A is the baseline; B, C… are judged by it.")],
    results: Results = Path("results"),
    study: StudyName = "main",
    eval_sets: EvalSets = None,
    metric: Metric = "top1",
    unit: Unit = None,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="For losses and error rates.")] = False,
    margin: Margin = None,
    level: Level = 0.95,
    rng_seed: Annotated[int, typer.Option("--rng-seed", help="Seed of permutations and bootstrap.")] = 0,
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", help="Exit 3 at this verdict: worse, inconclusive…")
    ] = None,
    save: Save = None,
    as_json: AsJson = False,
) -> None:
    """Give the verdict on B (C…) against A: better, worse, equivalent or inconclusive."""
    from seedstudy import api
    from seedstudy.verdict import Rule

    if len(what) < 2:
        raise StudyError("compare needs two: A (the baseline) and B, for example `seedstudy compare a3 a2`.")
    gates = _words(fail_on or "")
    for gate in gates:
        if gate not in VERDICTS:
            raise StudyError(f'--fail-on "{gate}" is no verdict.{suggest(gate, VERDICTS)}')
    _check_level(level)
    source = _source(results, study, eval_sets, metric, unit)
    damaged = _damaged(what, source)
    rule = Rule(
        margin=margin if margin is not None else _declared_margin(source),
        alpha=1.0 - level,
        lower_is_better=lower_is_better,
    )
    comparisons = api.compare_selected(what, source, rule, level=level, rng_seed=rng_seed)
    if as_json:
        _print_json(comparisons.to_dict())
    else:
        from seedstudy import tables

        tables.show(tables.comparison_table(comparisons.answers))
    if save is not None:
        from seedstudy import plots

        plots.save(plots.estimation(comparisons.answers), save)
    if damaged:
        _tell_damaged(damaged)
        raise typer.Exit(EXIT_USAGE)
    if any(answer.verdict.word in gates for answer in comparisons.answers):
        raise typer.Exit(EXIT_GATE)


# --- recipes and data ---------------------------------------------------------------------------------

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name, or the path of a recipe file.")]
ForData = Annotated[str | None, typer.Option("-d", "--data", help="Show it scaled to this data set.")]


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """List the recipes that come with seedstudy."""
    from seedstudy import recipe, tables

    loaded = [recipe.load_recipe(name) for name in recipe.packaged_names()]
    if as_json:
        _print_json({"recipes": [{"name": r.name, "recipe_id": r.recipe_id, "title": r.title} for r in loaded]})
        return
    tables.show(tables.recipe_list(loaded))


@recipes_app.command("show")
def recipes_show(
    name: RecipeName,
    data: ForData = None,
    sources: Annotated[bool, typer.Option("--sources", help="Say where each value comes from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every value of a recipe."""
    from seedstudy import tables

    recipe = _scaled(name, data)
    if as_json:
        _print_json({**recipe.to_dict(), "recipe_id": recipe.recipe_id, "sources": dict(recipe.sources)})
        return
    tables.show(tables.recipe_table(recipe, with_sources=sources or data is not None))


@recipes_app.command("diff")
def recipes_diff(first: RecipeName, second: RecipeName, data: ForData = None, as_json: AsJson = False) -> None:
    """Show in which values two recipes differ."""
    from seedstudy import recipe, tables

    a, b = _scaled(first, data), _scaled(second, data)
    rows = recipe.diff(a, b)
    if as_json:
        _print_json({"a": a.name, "b": b.name, "differences": [{"key": k, "a": x, "b": y} for k, x, y in rows]})
        return
    tables.show(tables.recipe_diff(a, b, rows) if rows else f"{a.name} and {b.name} have equal values.")


def _scaled(name: str, data: str | None) -> Any:
    from seedstudy import datasets, recipe

    loaded = recipe.load_recipe(name)
    if data is None:
        return loaded
    info = datasets.info(data)
    return recipe.scale(
        loaded,
        data=data,
        n_train=info.n_train,
        image_size=info.image_size,
        epoch_ratio=info.epoch_ratio,
        epochs=None,
    )


@data_app.command("list")
def data_list(as_json: AsJson = False) -> None:
    """List the data sets."""
    from seedstudy import datasets, tables

    infos = [datasets.info(name) for name in datasets.names()]
    if as_json:
        fields = ("name", "title", "n_train", "image_size", "n_classes", "default_model", "note")
        _print_json({"data": [{field: getattr(info, field) for field in fields} for info in infos]})
        return
    rows = [(i.name, f"{i.n_train:,}", str(i.image_size), str(i.n_classes), i.default_model, i.note) for i in infos]
    tables.show(tables.plain_table(("data", "train images", "px", "classes", "default model", "note"), rows))


@data_app.command("check")
def data_check(
    name: Annotated[str, typer.Argument(metavar="D", help="Name of a data set.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say which parts of a data set are on disk, what is missing and how to get it."""
    from seedstudy import datasets, tables

    findings = datasets.check(name, data_dir)
    if as_json:
        fields = ("part", "status", "where", "note")
        _print_json({"data": name, "parts": [{field: getattr(f, field) for field in fields} for f in findings]})
    else:
        rows = [(f.part, f.status, f.where, f.note) for f in findings]
        tables.show(tables.plain_table(("part", "status", "where", "note"), rows))
    if any(finding.status == "damaged" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


# --- shared -------------------------------------------------------------------------------------------


def _source(results: Path, study: str, eval_sets: str | None, metric: str, unit: str | None) -> Source:
    from seedstudy.analysis import Source

    if unit not in (None, "percent", "fraction"):
        raise StudyError(f'--unit "{unit}": expected percent or fraction.')
    return Source(results=results, study=study, eval_sets=_eval_names(eval_sets), metric=metric, unit=unit)


def _eval_names(text: str | None) -> tuple[str, ...] | None:
    from seedstudy.datasets import EVAL_SET_ORDER

    if text is None:
        return None
    names = _words(text)
    for name in names:
        if name not in EVAL_SET_ORDER:
            raise StudyError(f'unknown eval set "{name}".{suggest(name, EVAL_SET_ORDER)}')
    return names


def _summaries(what: Sequence[str], source: Source, *, level: float) -> list[Any]:
    from seedstudy import analysis

    _check_level(level)
    return [analysis.summarise(group, level=level) for group in analysis.select_groups(what, source)]


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise StudyError(f"--level {level:g}: must lie between 0 and 1, for example 0.95.")


def _damaged(what: Sequence[str], source: Source) -> dict[str, str]:
    """Return the damaged trials of every study that is asked for; the others are still read."""
    from seedstudy.store import Store

    studies = {selector.rpartition(":")[0] or source.study for selector in what} if what else {source.study}
    return {key: text for name in studies for key, text in Store(source.results, name).scan().damaged.items()}


def _tell_damaged(damaged: Mapping[str, str]) -> None:
    for sentence in damaged.values():
        _tell(f"left out: {sentence}")


def _declared_margin(source: Source) -> float | None:
    """Return the margin the study declared before its numbers, if it has one."""
    from seedstudy.store import Store

    return Store(source.results, source.study).rule().get("margin")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _cache_dir() -> Path:
    """Return where decoded data sets are kept: SEEDSTUDY_CACHE, or the user's cache folder."""
    given = os.environ.get("SEEDSTUDY_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seedstudy"


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
