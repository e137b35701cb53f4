"""Labels for images without labels, from the kept weights of trials, or from weights in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.api.shared import arms_of_call, flat, path_of, recipe_for, source_of, store_of
from seedstudy.arguments import public
from seedstudy.errors import StudyError, require_extra
from seedstudy.files import is_there
from seedstudy.study.network import PseudoLabelled
from seedstudy.study.trial import Trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seedstudy.data.base import Dataset
    from seedstudy.engines.watch import Say
    from seedstudy.store.store import Store
    from seedstudy.train.teacher import Teacher


@public
def pseudolabel(
    teacher: str,
    file: str | Path,
    *,
    images: str | Path | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
    train_limit: int | None = None,
    weights: str | Path | None = None,
    recipe: str | None = None,
    most: int | None = None,
    soft: bool = False,
    threshold: float = 0.0,
    per_class: int | None = None,
    model: str | None = None,
    results: str | Path = "results",
    study: str = "main",
    say: Say = terminal.say,
) -> PseudoLabelled:
    """Write a teacher's labels for images without labels into a file, which a recipe names as ``pseudo_labels``.

    Parameters
    ----------
    teacher
        Trials with kept weights, ``STUDY:RECIPE``; with ``#0`` behind it that of seed 0. The probabilities of several
        are averaged. Or a timm model, ``resnet50.a1_in1k``, whose classes are those of `data`.
    images
        Folder of images; None: the training images that a training limit left out.
    data
        Data set of a timm model; where images of one's own lie, for trials trained on them: ``folder:PATH``.
    train_limit
        Which training images have labels, for a timm model; None: as the trials were trained.
    weights
        A file of the timm model's weights, in place of timm's.
    recipe
        Show images to the timm model as this recipe tests on `data`; None: as timm tests these weights.
    most
        Only the first so many images.
    soft
        Keep the probabilities, and not only the most likely class.
    threshold
        Least probability of the most likely class.
    per_class
        So many images of each class, the most confident ones; where there are fewer, they are repeated.

    """
    import numpy as np

    from seedstudy.data import pseudo

    require_extra("train")
    from seedstudy.train.teacher import mean_probabilities

    if not 0.0 <= threshold < 1.0:
        raise StudyError(f"--threshold {threshold:g}: must lie between 0 and 1.")
    if (most is not None and most < 1) or (per_class is not None and per_class < 1):
        raise StudyError("--most and --per-class must be at least 1.")
    path = Path(file)
    if not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")
    if is_there(path):
        raise StudyError(f"{path}: there is a file of this name; remove it, or choose another name.")
    if _is_network(teacher, weights, recipe):
        if data is None:
            raise StudyError(
                f"teacher {teacher}: name the data set whose classes it knows: -d imagenet, -d folder:PATH."
            )
        if model is not None:
            raise StudyError("--model is for trials; a timm model is the teacher's own name.")
        source: _Source = _Network(name=teacher, data=data, file=path_of(weights), recipe=recipe)
    else:
        for name, value in (("--train-limit", train_limit), ("--weights", weights), ("--recipe", recipe)):
            if value is not None:
                raise StudyError(f"{name} is for a timm model; trials know theirs.")
        source = _trials_of(teacher, data, model, results, study)
        train_limit = source.train_limit
    prepared = datasets.prepare(source.data, data_dir=path_of(data_dir), cache_dir=machine.cache_dir(), progress=say)
    full = datasets.load(prepared)
    if full.holds_videos:
        raise StudyError(f"{full.name} holds videos; pseudo-labels are those of images.")
    names: tuple[str, ...] = ()
    digest, truth = "", None
    shown: pseudo.Pictures
    if images is not None:
        names = pseudo.names_in(Path(images))[:most]
        shown, digest = pseudo.unlabelled(Path(images), names, full)
        rows = np.arange(len(names))
    else:
        if train_limit is None:
            raise StudyError(
                f"teacher {teacher}: all training images of {full.name} have labels: name --images FOLDER"
                + ("." if isinstance(source, _Trials) else ", or --train-limit N for those that N leaves out.")
            )
        rows = np.setdiff1d(np.arange(len(full.train_labels)), pseudo.rows_with_labels(full, train_limit))[:most]
        if not len(rows):
            raise StudyError(f"--train-limit {train_limit}: leaves out none of the training images of {full.name}.")
        shown, truth = pseudo.training_images(full, rows), full.train_labels
    pseudo.check_size(len(rows) if per_class is None else per_class * len(full.classes), full.classes, is_soft=soft)
    networks = source.networks(full)
    for line in source.in_words:
        say(f"{line}: {len(rows):,} images")
    labels, confidence, shares = list[Any](), list[Any](), list[Any]()
    for block in mean_probabilities(networks, shown):
        labels.append(block.argmax(axis=1))
        confidence.append(block.max(axis=1))
        if soft:
            shares.append(block)
        if len(rows) > _FEW:
            say(f"{sum(map(len, labels)):,} of {len(rows):,} images")
    label, certain = np.concatenate(labels), np.concatenate(confidence)
    chosen = _chosen(label, certain, threshold, per_class, full.classes)
    made = pseudo.PseudoLabels(
        classes=full.classes,
        teacher=", ".join(source.in_words),
        data=full.name,
        fingerprint=full.fingerprint,
        rows=rows[chosen],
        labels=label[chosen],
        confidence=certain[chosen],
        probabilities=np.concatenate(shares)[chosen] if soft else None,
        folder="" if images is None else str(Path(images).absolute()),
        names=names,
        pixels=digest,
    )
    full.check_unchanged()
    pseudo.write(path, made, {"threshold": threshold, "per_class": per_class, "n_images": len(rows)})
    counts = np.bincount(made.labels, minlength=len(full.classes))
    return PseudoLabelled(
        file=path,
        teacher=source.in_words,
        n_images=len(rows),
        n_labelled=len(chosen),
        by_class={name: int(n) for name, n in zip(full.classes, counts, strict=True)},
        is_soft=soft,
        agreement=None if truth is None else float((truth[made.rows] == made.labels).mean()),
    )


_FEW = 8000
"""Images; of more the progress is said."""


# --- teachers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trials:
    """Kept trials of one recipe."""

    store: Store
    trials: Sequence[Trial]
    data: str
    """What ``-d`` names."""

    @property
    def train_limit(self) -> int | None:
        return self.trials[0].train_limit

    @property
    def in_words(self) -> tuple[str, ...]:
        return tuple(trial.trial_id for trial in self.trials)

    def networks(self, data: Dataset) -> list[Teacher]:
        from seedstudy.train.teacher import of_trial

        networks = []
        for trial in self.trials:
            content = self.store.weights(trial.trial_id)
            if content is None:
                raise StudyError(f"{trial.trial_id}: its weights were removed at this moment.")
            networks.append(of_trial(trial, content, data))
        return networks


@dataclass(frozen=True, kw_only=True, slots=True)
class _Network:
    """A timm model, with timm's weights or those of a file."""

    name: str
    data: str
    file: Path | None
    recipe: str | None

    @property
    def in_words(self) -> tuple[str, ...]:
        return (self.name if self.file is None else f"{self.name} ({self.file.name})",)

    def networks(self, data: Dataset) -> list[Teacher]:
        from seedstudy.train.teacher import of_weights

        recipe = None if self.recipe is None else recipe_for(self.recipe, self.name, self.data, data)
        return [of_weights(self.name, data, file=self.file, recipe=recipe)]


_Source = _Trials | _Network


def _is_network(teacher: str, weights: object, recipe: object) -> bool:
    """Say whether a teacher is a timm model, and not trials of a study."""
    from seedstudy.train.models import is_known

    if teacher.startswith(("hf-hub:", "hf_hub:")):
        return True
    is_plain = not {":", "#", "@"} & set(teacher)
    return is_plain and (weights is not None or recipe is not None or is_known(teacher))


def _trials_of(teacher: str, data: str | None, model: str | None, results: str | Path, study: str) -> _Trials:
    """Return the kept trials that a teacher's selector names."""
    store, trial_ids = _teachers(teacher, model, results, study)
    trials = [trial for trial in map(store.read_spec, trial_ids) if isinstance(trial, Trial)]
    if data is not None and datasets.name_of(data) != trials[0].data:
        raise StudyError(
            f'"{data}" is not the data set of {trials[0].trial_id}, which was trained on {trials[0].data}.'
        )
    return _Trials(store=store, trials=trials, data=data or trials[0].data)


def _teachers(words: str, model: str | None, results: str | Path, study: str) -> tuple[Store, list[str]]:
    """Return the study and the trials that a teacher's selector names; all of them have their weights."""
    from seedstudy.decide.select import select

    words, _, seed = words.partition("#")
    if seed and not seed.isdecimal():
        raise StudyError(f'teacher "{words}#{seed}": a seed follows #, for example main:a2#0.')
    source = source_of({"results": results, "study": study, "model": model})
    groups = flat(select(arms_of_call((words,), {}, pseudolabel, source), source))
    folder = source.studies.get(groups[0].origin)
    if folder is None or len({(group.recipe_id, group.model, group.pool_key) for group in groups}) != 1:
        raise StudyError(f'teacher "{words}": name the trials of one recipe and model of one study, such as main:a2.')
    store = store_of(folder.parent, folder.name)
    of_seed = {
        trial_id
        for group in groups
        for trial_id, own in zip(group.trial_ids, group.seeds or (), strict=False)
        if not seed or own == int(seed)
    }
    found = sorted(trial_id for trial_id in of_seed if store.has_weights(trial_id))
    if not found:
        raise StudyError(f'teacher "{words}": no kept weights; train it with --keep-weights, in a study of its own.')
    return store, found


def _chosen(
    labels: NDArray[np.int64],
    confidence: NDArray[np.float32],
    threshold: float,
    per_class: int | None,
    classes: tuple[str, ...],
) -> NDArray[np.int64]:
    """Return which images to keep, in their order, by the likeliest class of each and its probability, both (n,)."""
    import numpy as np

    if np.isnan(confidence).any():
        raise StudyError("the teacher's outputs are nan: its weights are those of a training that diverged.")
    kept = np.flatnonzero(confidence >= threshold)
    if not len(kept):
        raise StudyError(
            f"--threshold {threshold:g}: no image is as certain; the most certain has {confidence.max():.3f}."
        )
    if per_class is None:
        return kept
    parts = []
    for label, name in enumerate(classes):
        members = kept[labels[kept] == label]
        if not len(members):
            raise StudyError(f'--per-class {per_class}: the teacher finds no image of class "{name}" among these.')
        by_confidence = members[np.argsort(-confidence[members], kind="stable")]
        parts.append(np.resize(by_confidence, per_class))  # repeated where there are fewer
    return np.sort(np.concatenate(parts))
