"""Labels for images without labels, from the kept weights of trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seedstudy import data as datasets
from seedstudy import machine, terminal
from seedstudy.api.shared import arms_of_call, flat, path_of, source_of, store_of
from seedstudy.arguments import public
from seedstudy.errors import StudyError, require_extra
from seedstudy.study.network import PseudoLabelled
from seedstudy.study.trial import Trial

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seedstudy.engines.watch import Say
    from seedstudy.store.store import Store


@public
def pseudolabel(
    teacher: str,
    file: str | Path,
    *,
    images: str | Path | None = None,
    data: str | None = None,
    data_dir: str | Path | None = None,
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
        are averaged.
    images
        Folder of images; None: the training images that the teacher's ``--train-limit`` left out.
    data
        Where images of one's own lie, for a teacher trained on them: ``folder:PATH``.
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
    from seedstudy.train.teacher import probabilities

    if not 0.0 <= threshold < 1.0:
        raise StudyError(f"--threshold {threshold:g}: must lie between 0 and 1.")
    if (most is not None and most < 1) or (per_class is not None and per_class < 1):
        raise StudyError("--most and --per-class must be at least 1.")
    path = Path(file)
    if not path.absolute().parent.is_dir():
        raise StudyError(f"{path}: no such folder; make it, or choose another place.")
    store, trial_ids = _teachers(teacher, model, results, study)
    trials = [trial for trial in map(store.read_spec, trial_ids) if isinstance(trial, Trial)]
    first = trials[0]
    prepared = datasets.prepare(
        data or first.data, data_dir=path_of(data_dir), cache_dir=machine.cache_dir(), progress=say
    )
    full = datasets.load(prepared)
    if full.holds_videos:
        raise StudyError(f"{full.name} holds videos; pseudo-labels are those of images.")
    if full.stored:
        raise StudyError(f"{full.name}: pseudo-labels need a data set that is held in memory, whose images are small.")
    names: tuple[str, ...] = ()
    pixels, truth = "", None
    if images is not None:
        names = pseudo.names_in(Path(images))[:most]
        shown, pixels = pseudo.folder_images(Path(images), names, int(full.image_size or 0))
        rows = np.arange(len(names))
    else:
        if first.train_limit is None:
            raise StudyError(f"{first.trial_id} was trained on all labels of {first.data}: name --images FOLDER.")
        kept = pseudo.rows_with_labels(full, first.train_limit)
        rows = np.setdiff1d(np.arange(len(full.train_labels)), kept)[:most]
        shown, truth = full.train_images[rows], full.train_labels
    total = np.zeros((len(rows), len(full.classes)), dtype=np.float64)
    for trial in trials:
        say(f"{trial.trial_id}: {len(rows):,} images")
        content = store.weights(trial.trial_id)
        assert content is not None, "it was there"
        total += probabilities(trial, content, full, shown)
    mean = (total / total.sum(axis=1, keepdims=True)).astype(np.float32)
    chosen = _chosen(mean, threshold, per_class, full.classes)
    labels = pseudo.PseudoLabels(
        classes=full.classes,
        teacher=", ".join(trial_ids),
        data=full.name,
        fingerprint=full.fingerprint,
        rows=rows[chosen],
        labels=mean[chosen].argmax(axis=1),
        confidence=mean[chosen].max(axis=1),
        probabilities=mean[chosen] if soft else None,
        folder="" if images is None else str(Path(images).absolute()),
        names=names,
        pixels=pixels,
    )
    full.check_unchanged()
    how = {"threshold": threshold, "per_class": per_class, "n_images": len(rows)}
    pseudo.write(path, labels, how)
    counts = np.bincount(labels.labels, minlength=len(full.classes))
    return PseudoLabelled(
        file=path,
        teacher=tuple(trial_ids),
        n_images=len(rows),
        n_labelled=len(chosen),
        by_class={name: int(n) for name, n in zip(full.classes, counts, strict=True)},
        is_soft=soft,
        agreement=None if truth is None else float((truth[labels.rows] == labels.labels).mean()),
    )


def _teachers(words: str, model: str | None, results: str | Path, study: str) -> tuple[Store, list[str]]:
    """Return the study and the trials that a teacher's selector names; all of them have their weights."""
    from seedstudy.decide.select import select

    words, _, seed = words.partition("#")
    if seed and not seed.isdecimal():
        raise StudyError(f'teacher "{words}#{seed}": behind # stands a seed, for example main:a2#0.')
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
    mean: NDArray[np.float32], threshold: float, per_class: int | None, classes: tuple[str, ...]
) -> NDArray[np.int64]:
    """Return which images to keep, of probabilities (n, n_classes): in their order, or class by class."""
    import numpy as np

    confidence, labels = mean.max(axis=1), mean.argmax(axis=1)
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
