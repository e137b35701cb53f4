"""Train a study, see where it is, clean up after it, and load its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy import machine, terminal
from seedstudy.api.shared import is_given, path_of, source_of, store_of, summaries_of
from seedstudy.arguments import check, public
from seedstudy.errors import StudyError
from seedstudy.study.study import Study, adjusted, is_name, load_study

if TYPE_CHECKING:
    import polars as pl

    from seedstudy.decide.summary import Summaries
    from seedstudy.engines.status import Cancellation, Forecast, StudyStatus
    from seedstudy.engines.watch import Say
    from seedstudy.store.store import State
    from seedstudy.store.upkeep import Restored


@dataclass(frozen=True, kw_only=True, slots=True)
class RunAnswer:
    """What `run` trained: how many trials ended how, and their accuracies."""

    study: str
    folder: Path
    states: Mapping[str, State]
    """Of the trials that were asked for, by trial id."""
    summaries: Summaries | None
    """Of every recipe in the study; None where no trial has finished."""

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials in each state in which a trial ends."""
        return {state: list(self.states.values()).count(state) for state in ("ok", "diverged", "failed")}

    @property
    def is_complete(self) -> bool:
        """Whether every trial has a result; a diverged training is one."""
        return {"ok", "diverged"}.issuperset(self.states.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``run --json``."""
        trials = {"study": self.study, "planned": len(self.states), **self.counts}
        return {**trials, **(self.summaries.to_dict() if self.summaries else {"groups": []})}


@public
def dry_run(
    study: str | Path | Study | None = None,
    *,
    recipes: str | Sequence[str] | None = None,
    results: str | Path = "results",
    data_dir: str | Path | None = None,
    is_retry: bool = False,
    say: Say = terminal.say,
    **given: Any,
) -> Forecast:
    """Return what :func:`run` would train, and how long that takes where trials of the kind were timed before.

    The parameters are those of :func:`run`. Nothing is written into the results folder; data may be prepared.
    """
    from seedstudy.engines import launch

    plan = _plan(study, recipes, given)
    return launch.forecast(
        plan,
        results=Path(results),
        cache_dir=machine.cache_dir(),
        data_dir=path_of(data_dir),
        is_retry=is_retry,
        say=say,
    )


def _plan(study: str | Path | Study | None, recipes: str | Sequence[str] | None, given: Mapping[str, Any]) -> Study:
    check(adjusted, (), {"recipes": recipes, **given}, name="run")
    if study is None and recipes is None and not is_given(given.get("command")):
        raise StudyError("nothing to train: name a recipe (--recipe a2), a command (--command) or a study file.")
    start = study if isinstance(study, Study | None) else load_study(Path(study))
    return adjusted(start, recipes=recipes, **given)


@public
def run(
    study: str | Path | Study | None = None,
    *,
    recipes: str | Sequence[str] | None = None,
    results: str | Path = "results",
    data_dir: str | Path | None = None,
    is_retry: bool = False,
    is_repair: bool = False,
    is_detached: bool = False,
    eval_sets: str | Sequence[str] | None = None,
    say: Say = terminal.say,
    **given: Any,
) -> RunAnswer:
    """Train what is missing of a study, and wait for it; the same call resumes after an interruption.

    Parameters
    ----------
    study
        A study file or a :class:`~seedstudy.study.study.Study`; None: only what is given here.
    recipes, given
        Values in place of the study's own: ``seeds=10``, ``models="resnet20"``, ``placement={"workers": 2}`` …; see
        :func:`~seedstudy.study.study.adjusted`. ``command="python train.py --seed {seed} --output {out}"`` runs that
        in place of recipes.
    is_retry
        Train failed trials again.
    is_repair
        Set aside any number of damaged results, and incomplete ones, and train those trials again.
    is_detached
        Submit to a queue and return.
    eval_sets
        Those whose accuracies are shown.

    """
    from seedstudy.engines import launch

    plan = _plan(study, recipes, given)
    states, scan = launch.run(
        plan,
        results=Path(results),
        cache_dir=machine.cache_dir(),
        data_dir=path_of(data_dir),
        is_retry=is_retry,
        is_repair=is_repair,
        is_detached=is_detached,
        say=say,
    )
    summaries = None
    if "ok" in states.values():
        of_command = {} if plan.command is None else {"metric": plan.command.metric}
        source = source_of({"results": results, "study": plan.name, "eval_sets": eval_sets, **of_command})
        source.scans[Path(results) / plan.name] = scan
        summaries = summaries_of((), source, level=0.95)
    return RunAnswer(study=plan.name, folder=Path(results) / plan.name, states=states, summaries=summaries)


@public
def init(
    file: str | Path = "study.toml",
    *,
    recipes: str | Sequence[str] | None = None,
    models: str | Sequence[str] | None = None,
    data: str | None = None,
    seeds: str | int | Sequence[int] | None = None,
    margin: float | None = None,
) -> Path:
    """Write a study file with a comment on every key, and return its path; values as in :func:`run`.

    The study has the file's name, or its folder's where the file is ``study.toml``.

    StudyError for a value that is wrong, and where the file exists: it is left alone.
    """
    import json

    from seedstudy.files import write_atomically
    from seedstudy.study.keys import study_template

    path = Path(file)
    # Checks the values.
    adjusted(Study(recipes=("a2",)), recipes=recipes, models=models, data=data, seeds=seeds, margin=margin)
    number = int(seeds) if isinstance(seeds, str) and seeds.isdecimal() else seeds
    words: dict[str, Any] = {"data": data, "seeds": number, "margin": margin}
    words |= {"models": None if models is None else _words(models)}
    name = path.stem if path.stem != "study" else path.resolve().parent.name
    words |= {"name": name if is_name(name) else None}
    if recipes is not None:
        names = _words(recipes)
        question = f"How does {names[0]} spread?" if len(names) == 1 else f"Is {names[-1]} better than {names[0]}?"
        words |= {"recipes": names, "baseline": names[0], "question": question}
    given = {key: json.dumps(value, ensure_ascii=False) for key, value in words.items() if value is not None}
    if path.suffix != ".toml":
        raise StudyError(f"{path}: a study file's name ends in .toml.")
    try:
        is_new = write_atomically(path, study_template(given).encode(), is_first_only=True, is_durable=False)
    except OSError as error:
        raise StudyError(f"{path}: cannot be written ({error.strerror}); choose another place.") from error
    if not is_new:
        raise StudyError(f"{path}: exists already and is left alone; choose another name.")
    return path


def _words(value: str | Iterable[str]) -> list[str]:
    return [word.strip() for word in (value.split(",") if isinstance(value, str) else value)]


@public
def status(study: str = "main", *, results: str | Path = "results") -> StudyStatus:
    """Return the state of every trial of a study."""
    from seedstudy.engines.status import study_status

    return study_status(store_of(results, study))


@public
def cancel(study: str = "main", *, results: str | Path = "results") -> Cancellation:
    """Stop a study's trials, wherever they run; each keeps its state, and `run` resumes it."""
    from seedstudy.engines import status

    return status.cancel(store_of(results, study))


@public
def leftovers(study: str = "main", *, results: str | Path = "results", weights: bool = False) -> dict[Path, int]:
    """Return the files, with their sizes in bytes, that `clean` removes; none of them holds a result.

    `weights`: the kept weights too.
    """
    from seedstudy.store import upkeep

    return upkeep.leftovers(store_of(results, study), with_weights=weights)


@public
def clean(
    study: str = "main", *, results: str | Path = "results", paths: Iterable[Path] | None = None
) -> tuple[Path, ...]:
    """Remove files that :func:`leftovers` returned, by default all; those of trials that run by now stay.

    Returns those that were removed.
    """
    from seedstudy.store import upkeep

    store = store_of(results, study)
    return tuple(upkeep.clean(store, upkeep.leftovers(store) if paths is None else paths))


@public
def restore(study: str = "main", *, results: str | Path = "results") -> Restored:
    """Put results back that `run` has set aside as damaged, where they are good and the trial has no other."""
    from seedstudy.store import upkeep

    return upkeep.restore(store_of(results, study))


@public
def load_trials(path: str | Path = "results/main") -> pl.DataFrame:
    """Return a study's TRIALS frame, one row per trial and eval set, and the margin that the study declared.

    Damaged trials are left out, with a warning that names the file, as every command leaves them out with a note. A
    margin that was declared after results existed is a warning too.
    """
    import warnings

    path = Path(path)
    source = source_of({"results": path.parent, "study": path.name})
    trials = source.trials()
    for sentence in source.left_out:
        warnings.warn(f"left out: {sentence}", stacklevel=2)
    for sentence in source.late_rules:
        warnings.warn(sentence, stacklevel=2)
    return trials


@public
def load_predictions(path: str | Path, trial_id: str) -> pl.DataFrame:
    """Return one trial's PREDICTIONS frame, one row per eval set and image."""
    path = Path(path)
    return store_of(path.parent, path.name).predictions(trial_id)
