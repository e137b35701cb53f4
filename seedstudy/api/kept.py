"""What the kept weights of finished trials can still tell: further eval sets, and test sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.api.shared import arms_of_call, flat, path_of, source_of, store_of, summaries_of
from seedstudy.arguments import public
from seedstudy.errors import StudyError, require_extra
from seedstudy.study.trial import Trial

if TYPE_CHECKING:
    from seedstudy.data.base import Dataset
    from seedstudy.decide.sizes import Evaluated
    from seedstudy.engines.watch import Say
    from seedstudy.store.store import Store
    from seedstudy.study.trial import Evaluation

MOST_DIFFERENT = 0.005
"""Share of images whose prediction may differ from that of the day of training, on another device, by rounding."""


@public
def evaluate_trials(
    what: str,
    *,
    data: str | None = None,
    data_dir: str | Path | None = None,
    eval_sets: str | Sequence[str] | None = None,
    sizes: int | Sequence[int] | None = None,
    crop: float | None = None,
    model: str | None = None,
    results: str | Path = "results",
    study: str = "main",
    say: Say = terminal.say,
) -> Evaluated:
    """Evaluate trials of a study from their kept weights, and add what is new to the same trials.

    An eval set that was not there on the day of training is added to the trials' own rows. What they have already is
    evaluated again and compared: on the CPU every prediction is the same. Another test size is a result of its own,
    named ``val@192``, which answers only when it is asked for (``--eval val@192``).

    Parameters
    ----------
    what
        ``STUDY:RECIPE``, ``RECIPE@MODEL`` …, as everywhere.
    data
        Where images of one's own lie: ``folder:PATH`` …; None: the trials' data set by its name.
    sizes
        Test sizes in pixels; None: the recipe's own.
    crop
        Share that the centre crop keeps; None: the recipe's own.

    """
    from seedstudy.decide.select import select
    from seedstudy.decide.sizes import Evaluated, key_of, points_of

    require_extra("train")
    wanted = (sizes,) if isinstance(sizes, int) else tuple(sizes or ())
    if any(not 8 <= size <= 4096 for size in wanted):
        raise StudyError("--size: test sizes lie between 8 and 4096 pixels.")
    if crop is not None and not 0.05 <= crop <= 1.0:
        raise StudyError(f"--crop {crop:g}: must lie between 0.05 and 1.")
    source = source_of({"results": results, "study": study, "model": model})
    groups = flat(select(arms_of_call((what,), {}, evaluate_trials, source), source))
    origins = {group.origin for group in groups}
    if len(origins) != 1 or (folder := source.studies.get(groups[0].origin)) is None:
        raise StudyError(f'"{what}": name the trials of one study, for example main:a2.')
    store = store_of(folder.parent, folder.name)
    trial_ids = [each for each in dict.fromkeys(flat(group.trial_ids for group in groups)) if store.is_planned(each)]
    kept = [each for each in trial_ids if store.has_weights(each)]
    if not kept:
        raise StudyError(
            f'"{what}": no weights were kept of its {len(trial_ids)} trials, or they were removed: train with '
            "--keep-weights, in a study of its own."
        )
    loaded: dict[tuple[str, int | None], Dataset] = {}
    n_added, repeated, keys = 0, Counter[str](), dict[str, None]()
    own: dict[str, tuple[int, float]] = {}
    for n_done, trial_id in enumerate(kept, start=1):
        trial = store.read_spec(trial_id)
        assert isinstance(trial, Trial), "only a training made here keeps weights"
        recipe, which = trial.recipe, (trial.data, trial.train_limit)
        if which not in loaded:
            loaded[which] = _load(trial, data, path_of(data_dir), eval_sets, say)
        images = loaded[which]
        names = _names(images, eval_sets)
        own[recipe.recipe_id] = recipe.test_size, recipe.test_crop
        _check_data(store, trial, images)
        for size in wanted or (recipe.test_size,):
            say(f"{trial_id}: {', '.join(names)} at {size} px ({n_done} of {len(kept)})")
            share = recipe.test_crop if crop is None else crop
            named = {key_of(name, size=size, crop=share, own=own[recipe.recipe_id]): name for name in names}
            keys |= dict.fromkeys(named)
            found, device = _evaluated(store, trial, images, names, size=size, crop=share)
            for key, name in named.items():
                n_other = _n_different(store, trial_id, key, found[name], images)
                if n_other is not None:
                    repeated[key] += n_other
                    continue
                n_added += store.add_evaluation(
                    trial_id,
                    key,
                    found[name],
                    images.eval_sets[name],
                    test_size=size,
                    test_crop=share,
                    device=device,
                    data_fingerprint=images.fingerprint,
                )
        images.check_unchanged()
    again = source_of({"results": results, "study": study, "model": model, "eval_sets": tuple(keys)})
    summaries = summaries_of(arms_of_call((what,), {}, evaluate_trials, again), again, level=0.95)
    return Evaluated(
        study=folder.name,
        trials=len(kept),
        added=n_added,
        repeated=dict(repeated),
        without_weights=len(trial_ids) - len(kept),
        points=points_of(summaries, own),
        summaries=summaries,
    )


def _load(
    trial: Trial, name: str | None, data_dir: Path | None, eval_sets: str | Sequence[str] | None, say: Say
) -> Dataset:
    if name is not None and datasets.name_of(name) != trial.data:
        raise StudyError(f'"{name}" is not the data set of {trial.trial_id}, which was trained on {trial.data}.')
    prepared = datasets.prepare(name or trial.data, data_dir=data_dir, cache_dir=machine.cache_dir(), progress=say)
    data = datasets.load(prepared, train_limit=trial.train_limit)
    for sentence in data.doubts:
        say(f"{trial.data}: {sentence}")
    for name, sentence in data.missing.items():
        if name != "train" and (eval_sets is None or name in eval_sets):
            say(f"{trial.data}: no {name}: {sentence}")
    return data


def _names(data: Dataset, eval_sets: str | Sequence[str] | None) -> tuple[str, ...]:
    asked = (eval_sets,) if isinstance(eval_sets, str) else eval_sets
    names = tuple(name for name in data.eval_sets if asked is None or name in asked)
    if not names:
        raise StudyError(f"{data.name}: none of the eval sets asked for is there: it has {', '.join(data.eval_sets)}.")
    return names


def _evaluated(
    store: Store, trial: Trial, data: Dataset, names: tuple[str, ...], **tested: Any
) -> tuple[dict[str, Evaluation], str]:
    from seedstudy.train.kept import evaluate_kept

    content = store.weights(trial.trial_id)
    if content is None:
        raise StudyError(f"{trial.trial_id}: its weights were removed at this moment.")
    n_threads = store.provenance(trial.trial_id).get("threads")
    return evaluate_kept(
        trial, content, data, names, n_threads=n_threads if isinstance(n_threads, int) else None, **tested
    )


def _check_data(store: Store, trial: Trial, data: Dataset) -> None:
    """Raise StudyError where the images of today are not those of the day of training.

    The fingerprint covers every eval set, so it differs where one was added since. Then the trial's own predictions
    decide: the same weights on the same images give them again.
    """
    if data.fingerprint == trial.data_fingerprint:
        return
    found, _ = _evaluated(store, trial, data, (data.watched,))
    n_other = _n_different(store, trial.trial_id, data.watched, found[data.watched], data)
    n_images = len(data.eval_sets[data.watched])
    if n_other is None or n_other > MOST_DIFFERENT * n_images:
        how = "it has none" if n_other is None else f"{n_other:,} of {n_images:,} differ"
        raise StudyError(
            f"{data.name}: not the images that {trial.trial_id} was trained and tested on: its weights do not give its "
            f"predictions on {data.watched} ({how}): name the folder of the same images with --data-dir."
        )


def _n_different(store: Store, trial_id: str, key: str, evaluation: Evaluation, data: Dataset) -> int | None:
    """Return in how many images the predictions differ from those that a trial has of this name; None: it has none."""
    import polars as pl

    from seedstudy.train.kept import n_different

    had = store.predictions(trial_id).filter(pl.col("eval_set") == key)
    if had.is_empty():
        return None
    ids = data.eval_sets[key.partition("@")[0]].example_ids.tolist()
    return n_different(dict(had.select("example_id", "predicted").iter_rows()), evaluation, ids)
