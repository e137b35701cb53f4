"""A study: a question, a grid of trials and the rule that decides it, fixed before the numbers."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from seedstudy.errors import StudyError, suggest
from seedstudy.files import parse_toml, read_short_text
from seedstudy.recipes import reader as recipes
from seedstudy.recipes.reader import Recipe
from seedstudy.recipes.recipe import upgraded
from seedstudy.study.seeds import PURPOSES, parse_seeds, parse_vary

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FORMAT = 1
"""Of study files."""
SPEC_FORMATS = (1, 2)
"""Of the specs of trials: those that are read; the last is written. 2: recipes have more keys."""

TRAINING_VERSION = 3
"""Raised whenever a change of the training code changes its numbers; trials of two versions do not pool.

1: timm's augmentation, image by image. 2: the same in tensors, each micro-batch from a generator of its own. 3: shifts
and rotations add in another order, which moves one pixel in a million by a grey level or two."""

Augmentation = Literal["batched", "pil"]
"""Who augments: tensors on the device, or timm's own pipeline, image by image."""
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def check_name(name: str, what: str = "study") -> str:
    """Return a name that is safe as a folder's name, or raise."""
    if not _NAME.fullmatch(name):
        raise StudyError(f'{what} "{name}": use letters, digits, "_", "-" and ".", starting with a letter or digit.')
    return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One recipe, one model, one data set, one seed: one network to train."""

    recipe: Recipe
    """The recipe as trained: already scaled to the data set."""
    model: str
    data: str
    data_fingerprint: str
    """Content and training limit of the data set."""
    train_limit: int | None
    vary: tuple[str, ...]
    seed: int
    augment: Augmentation = "batched"
    training_version: int = TRAINING_VERSION
    """Of the code it was planned for; another version would give other numbers."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": SPEC_FORMATS[-1],
            "training_version": self.training_version,
            "recipe": self.recipe.to_dict(),
            "recipe_id": self.recipe.recipe_id,
            "model": self.model,
            "data": self.data,
            "data_fingerprint": self.data_fingerprint,
            "train_limit": self.train_limit,
            "vary": list(self.vary),
            "seed": self.seed,
            "augment": self.augment,
        }

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any], *, where: str) -> Trial:
        """Read what :meth:`to_dict` wrote."""
        if spec.get("format") not in SPEC_FORMATS:
            readable = " and ".join(map(str, SPEC_FORMATS))
            raise StudyError(f"{where}: format {spec.get('format')}, this version of seedstudy reads {readable}.")
        head = spec["recipe"]
        given = upgraded(head["values"])
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        return cls(
            recipe=recipes.build(head["name"], head["title"], values, sources={}, where=where),
            model=spec["model"],
            data=spec["data"],
            data_fingerprint=spec["data_fingerprint"],
            train_limit=spec["train_limit"],
            vary=tuple(spec["vary"]),
            seed=spec["seed"],
            augment=spec.get("augment", "pil"),  # there was no other before training version 2
            training_version=spec["training_version"],
        )

    @property
    def trial_id(self) -> str:
        """Readable and unique: equal trials, and only they, share it."""
        return trial_id_of(self.to_dict())


def trial_id_of(spec: Mapping[str, Any]) -> str:
    """Return the id of a spec as it stands in its file, also one that an older version wrote."""
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:10]
    slug = re.sub(r"[^A-Za-z0-9_.]+", "_", f"{spec['recipe']['name']}-{spec['model']}-{spec['data']}")
    return f"{slug}-s{spec['seed']}-{digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One network on one eval set."""

    n_examples: int
    n_correct: int
    """Images whose prediction is in their label set."""
    n_correct_top5: int
    """Images with one of the five most likely classes in their label set (as timm counts ReaL)."""
    loss: float
    """Mean of -log of the softmax probability of the label set."""
    predicted: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochReport:
    """One row of the curves."""

    epoch: int
    """Counted from 1."""
    lr: float
    """Learning rate of the epoch's last update."""
    train_loss: float
    """Mean over the epoch's updates."""
    images_per_s: float
    """Training images (augmented copies), evaluation not counted."""
    n_correct: int | None
    """Right on val after this epoch; None where val was not evaluated."""
    n_examples: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """Everything one trial leaves behind."""

    status: Literal["ok", "diverged"]
    reason: str
    """Empty for ``ok``."""
    epochs: int
    """Epochs trained to the end."""
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    """Eval set -> the **last** epoch's result; empty where the trial diverged."""
    best_epoch: int | None = None
    """Epoch with the most right answers on val, among those evaluated; stored beside the result, never mixed in."""
    best_n_correct: int | None = None
    curves: tuple[EpochReport, ...] = ()
    train_s: float
    """Wall seconds of training and evaluation."""
    images_per_s: float
    """Training images per second, over all epochs."""
    n_params: int
    provenance: dict[str, Any]
    """What else the numbers depend on: versions, device, precision, threads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where trials are trained, and with what; beyond rounding no number depends on it but ``processes``."""

    engine: Literal["local", "slurm", "ray"] = "local"
    workers: int | None = None
    """Trials at a time; None: as many as there is room for."""
    processes: int = 1
    """Per trial; more than one train it together (torchrun)."""
    cores: int = 1
    """Per process."""
    gpus: float | None = None
    """Per process; a fraction shares a GPU between trials. None: one each where this machine has GPUs."""
    trials_per_job: int = 1
    """Given to one task of a queue, which trains them one after the other and pays the start once."""
    stack: int | None = 1
    """Seeds of one recipe and model that a process trains side by side, at most; None: as many as timing says pay,
    which may decide the last bits of a result."""
    template: Path | None = None
    """Script whose lines stand at the top of every Slurm job; from the command line only, for it is code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What ``seedstudy run`` is asked for: the grid, as words, and the declared rule."""

    recipes: tuple[str, ...]
    """Names or paths of recipe files."""
    models: tuple[str, ...] = ()
    """timm names; empty: the data set's default model."""
    data: str = "shapes"
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    vary: tuple[str, ...] = PURPOSES
    epochs: int | None = None
    train_limit: int | None = None
    assignments: tuple[str, ...] = ()
    """``key=value`` changes to every recipe, after scaling."""
    augment: Augmentation = "batched"
    name: str = "main"
    question: str = ""
    margin: float | None = None
    """Smallest difference of interest, in percentage points; part of the rule."""
    baseline: str | None = None
    folder: Path = field(default_factory=Path)
    """Where paths in ``recipes`` start."""
    placement: Placement = field(default_factory=Placement)


_GRID_KEYS = ("recipes", "models", "data", "seeds", "vary", "epochs", "train_limit", "set", "augment")
_RULE_KEYS = ("margin", "baseline")
_ENGINE_KEYS = ("name", "workers", "processes", "cores", "gpus", "trials_per_job", "stack")
ENGINES = ("local", "slurm", "ray")


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises
    ------
    StudyError
        Unreadable file, unknown key, wrong type; one line with the file and the key.

    """
    try:
        document = parse_toml(read_short_text(path))
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot read the study file ({getattr(error, 'strerror', error)}).") from error
    except ValueError as error:
        raise StudyError(f"{path}: not valid TOML: {error}.") from error
    _check_keys(path, "", document, ("format", "name", "question", "grid", "rule", "engine"))
    if document.get("format") != FORMAT:
        raise StudyError(f"{path}: format is {document.get('format', 'none')}, this version reads format = {FORMAT}.")
    grid, rule, engine = (document.get(key, {}) for key in ("grid", "rule", "engine"))
    if not all(isinstance(table, dict) for table in (grid, rule, engine)):
        raise StudyError(f"{path}: grid, rule and engine must be tables: [grid], [rule] and [engine].")
    _check_keys(path, "[grid] ", grid, _GRID_KEYS)
    _check_keys(path, "[rule] ", rule, _RULE_KEYS)
    _check_keys(path, "[engine] ", engine, _ENGINE_KEYS)
    margin = _get(path, rule, "margin", float, None)
    return Study(
        recipes=_inside(path, _words(path, grid, "recipes")),
        models=_words(path, grid, "models"),
        data=_get(path, grid, "data", str, "shapes"),
        seeds=parse_seeds(str(grid.get("seeds", 5))),
        vary=parse_vary(_words(path, grid, "vary") or PURPOSES),
        epochs=_get(path, grid, "epochs", int, None),
        train_limit=_get(path, grid, "train_limit", int, None),
        assignments=_words(path, grid, "set"),
        augment=check_augmentation(_get(path, grid, "augment", str, "batched"), where=f"{path}: augment = "),
        name=check_name(_get(path, document, "name", str, path.parent.name or "main")),
        question=_get(path, document, "question", str, ""),
        margin=margin,
        baseline=_get(path, rule, "baseline", str, None),
        folder=path.parent,
        placement=check_placement(
            Placement(
                engine=_get(path, engine, "name", str, "local"),
                workers=_get(path, engine, "workers", int, None),
                processes=_get(path, engine, "processes", int, 1),
                cores=_get(path, engine, "cores", int, 1),
                gpus=_get(path, engine, "gpus", float, None),
                trials_per_job=_get(path, engine, "trials_per_job", int, 1),
                stack=_get(path, engine, "stack", int, 1),
            ),
            where=f"{path}: [engine] ",
        ),
    )


def check_layout(recipe: Recipe, n_processes: int) -> None:
    """Raise a StudyError where the micro-batches of an update cannot be shared equally."""
    n_micro = recipe.batch_size // recipe.micro_batch
    if n_micro % n_processes:
        raise StudyError(
            f"recipe {recipe.name}: an update has {n_micro} micro-batches (batch_size = {recipe.batch_size}, "
            f"micro_batch = {recipe.micro_batch}), which {n_processes} processes cannot share equally: choose another "
            "--processes, or --set micro_batch=…"
        )


def check_augmentation(word: str, *, where: str) -> Augmentation:
    """Return a word that says who augments, or raise; ``where`` stands before it in the message."""
    for known in AUGMENTATIONS:
        if word == known:
            return known
    raise StudyError(f"{where}{word}: expected {' or '.join(AUGMENTATIONS)}.{suggest(word, AUGMENTATIONS)}")


def check_placement(placement: Placement, *, where: str) -> Placement:
    """Return a placement whose values are possible, or raise; ``where`` stands before the key in the message."""
    if placement.engine not in ENGINES:
        raise StudyError(f'{where}engine "{placement.engine}" is unknown.{suggest(placement.engine, ENGINES)}')
    for key in ("workers", "processes", "cores", "trials_per_job", "stack"):
        value = getattr(placement, key)
        if value is not None and value < 1:
            raise StudyError(f"{where}{key.replace('_', '-')} {value}: must be at least 1.")
    gpus = placement.gpus
    if gpus is not None and not (gpus >= 0 and (gpus <= 1 or gpus.is_integer())):
        raise StudyError(f"{where}gpus {gpus:g}: must be a whole number, or a share below 1.")
    if gpus is not None and 0 < gpus < 1 and placement.processes > 1:
        raise StudyError(f"{where}gpus {gpus:g}: the processes of one trial need a whole GPU each.")
    return placement


def _inside(path: Path, recipes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the recipes of a study file; those of its own lie in its folder or below, so that it travels whole."""
    folder = path.parent.resolve()
    for name in recipes:
        if "/" not in name and not name.endswith(".toml"):
            continue
        try:
            is_inside = (folder / name).resolve().is_relative_to(folder)
        except (ValueError, OSError, RuntimeError):  # a NUL, a name too long, links in a circle
            is_inside = False
        if not is_inside:
            raise StudyError(f'{path}: recipe "{name}" lies outside the study\'s folder: copy it there.')
    return recipes


def _check_keys(path: Path, table: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise StudyError(f'{path}: {table}unknown key "{key}".{suggest(key, known)}')


def _get(path: Path, table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if value is default:
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**53 else math.inf
    if not isinstance(value, kind) or isinstance(value, bool):
        names = {str: "text", int: "a whole number", float: "a number"}
        raise StudyError(f"{path}: {key} = {value!r} is wrong: expected {names[kind]}.")
    return value


def _words(path: Path, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise StudyError(f'{path}: {key} must be a list of texts, for example {key} = ["a2", "a3"].')
    return tuple(value)
