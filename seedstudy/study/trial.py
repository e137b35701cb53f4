"""One trial: what is trained, what its id is made of, and what training leaves behind."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from seedstudy.document import fields_of
from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe, build, upgraded
from seedstudy.study.seeds import MAX_SEED, PURPOSES, Streams

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SPEC_FORMAT = 4
"""Of spec.json. 2: recipes have more keys. 3: of trials that are part of a design, `stream_seeds` or `replicate`, and
of those that start from weights or use another of the keys that recipes have since. 4: of trials on clips. A trial is
written in the oldest format that can say it, so that ids stay. All are read."""

_DESIGN_FORMAT = 3

TRAINING_VERSION = 3
"""Raised whenever a change of the training code changes its numbers; trials of two versions do not pool.

1: timm's augmentation, image by image. 2: the same in tensors, each micro-batch from a generator of its own. 3: shifts
and rotations add in another order, which moves one pixel in a million by a grey level or two."""

_LONGEST_SLUG = 160
"""Characters; with seed and digest, a folder's name stays well below the 255 that file systems allow."""

Augmentation = Literal["batched", "pil"]
"""Where images are augmented: as tensors on the device, or image by image in timm's own pipeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The weights that a trial starts from, known by their content."""

    digest: str
    """SHA-256 of the tensors, whatever file they came in."""
    pool: str
    """Equal for trials that pool: the digest where all seeds start alike, else what the sources have in common."""
    mean: tuple[float, float, float] | None
    """By which the images were normalised when the weights were trained; None: as the data set has it."""
    std: tuple[float, float, float] | None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Start:
        """Read what a spec holds; KeyError, TypeError or ValueError where no trial would say so."""
        if not isinstance(values["pool"], str):
            raise ValueError("start")
        return cls(
            digest=_digest(values["digest"]),
            pool=values["pool"],
            mean=_channels(values["mean"]),
            std=_channels(values["std"]),
        )


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{text!r} is not a digest")
    return text


def _channels(values: Any) -> tuple[float, float, float] | None:
    if values is None:
        return None
    red, green, blue = map(float, values)
    return red, green, blue


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One recipe, one model, one data set, one seed: one network to train."""

    recipe: Recipe
    """The recipe as trained: already scaled to the data set."""
    model: str
    data: str
    data_fingerprint: str
    """Of the data set's content and the training limit."""
    train_limit: int | None
    vary: tuple[str, ...]
    """Random streams that follow the seed."""
    seed: int
    """Of the streams that vary, but for those in `stream_seeds`."""
    stream_seeds: tuple[tuple[str, int], ...] = ()
    """Streams whose seed is another one, in the order of :data:`~seedstudy.study.seeds.PURPOSES`; see :meth:`at`."""
    start: Start | None = None
    """The weights that it starts from; None: those that its stream `init` draws."""
    pseudo_labels: str | None = None
    """Digest of the file of pseudo-labels; None where the recipe names none."""
    replicate: int = 0
    """Number of the repetition. Repetitions share every stream: what differs between them is the hardware's doing."""
    augment: Augmentation = "batched"
    training_version: int = TRAINING_VERSION
    """Version of the training code it was planned for."""

    def to_dict(self) -> dict[str, Any]:
        """Return the content of spec.json."""
        spec = {"format": self.recipe.spec_format, "recipe_id": self.recipe.recipe_id, **fields_of(self)}
        spec["stream_seeds"] = dict(self.stream_seeds)
        added = ("stream_seeds", "replicate", "start", "pseudo_labels")
        for key in added:
            if not spec[key]:
                del spec[key]
        if not spec.keys().isdisjoint(added):
            spec["format"] = max(spec["format"], _DESIGN_FORMAT)
        return spec

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any], *, where: str) -> Trial:
        """Read what :meth:`to_dict` wrote, in this format or an older one; `where` names the file in errors."""
        if spec.get("format") not in range(1, SPEC_FORMAT + 1):
            raise StudyError(
                f"{where}: format {spec.get('format')}, this version of seedstudy reads 1 to {SPEC_FORMAT}: "
                "use the version that wrote it."
            )
        recipe = spec["recipe"]
        values = {
            key: tuple(value) if isinstance(value, list) else value for key, value in upgraded(recipe["values"]).items()
        }
        unchanged = ("model", "data", "data_fingerprint", "train_limit", "seed", "training_version")
        return cls(
            recipe=build(recipe["name"], recipe["title"], values, sources={}, where=where),
            vary=tuple(spec["vary"]),
            augment=spec.get("augment", "pil"),  # the only way before training version 2
            stream_seeds=_stream_seeds(spec),
            replicate=_whole(spec.get("replicate", 0)),
            pseudo_labels=_digest(spec["pseudo_labels"]) if "pseudo_labels" in spec else None,
            start=None if "start" not in spec else Start.from_dict(spec["start"]),
            **{key: spec[key] for key in unchanged},
        )

    @property
    def streams(self) -> Streams:
        """The random streams of the trial's first process."""
        return Streams(seed=self.seed, vary=self.vary, own=self.stream_seeds)

    def at(self, seeds: Mapping[str, int], *, replicate: int = 0) -> Trial:
        """Return the trial whose streams have these seeds; the others stay fixed.

        Where all have one seed, that is the plain trial of that seed: a design finds what was trained before.
        """
        vary = tuple(purpose for purpose in PURPOSES if purpose in seeds)
        seed = seeds[vary[0]]
        own = tuple((purpose, seeds[purpose]) for purpose in vary if seeds[purpose] != seed)
        return replace(self, vary=vary, seed=seed, stream_seeds=own, replicate=replicate)

    @property
    def trial_id(self) -> str:
        """A readable folder name that equal trials, and only they, share."""
        return trial_id_of(self.to_dict())

    @property
    def label(self) -> tuple[str, str, str]:
        """What a table calls it: recipe, model and data."""
        return self.recipe.name, self.model, self.data


def _stream_seeds(spec: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return the streams that have a seed of their own; ValueError where no trial would say so."""
    seeds = spec.get("stream_seeds", {})
    if not set(seeds) <= set(spec["vary"]):
        raise ValueError("stream_seeds")
    return tuple((purpose, _whole(seeds[purpose])) for purpose in PURPOSES if purpose in seeds)


def _whole(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_SEED:
        raise ValueError(f"{number!r} is not a seed")
    return number


def trial_id_of(spec: Mapping[str, Any]) -> str:
    """Return the id of a spec exactly as its file has it, whichever version wrote it."""
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:10]
    name = spec["arm"] if "arm" in spec else spec["recipe"]["name"]  # a command's arm, or a recipe
    slug = re.sub(r"[^A-Za-z0-9_.]+", "_", "-".join(filter(None, (name, spec["model"], spec["data"]))))
    return f"{slug[:_LONGEST_SLUG]}-s{spec['seed']}-{digest}"


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
    """Class of each image, shape (n_examples,)."""
    confidence: npt.NDArray[np.float32]
    """Probability of that class, shape (n_examples,): softmax, or sigmoid where the network was trained with BCE."""
    label_probability: npt.NDArray[np.float32]
    """Softmax probability of the label set of each image, shape (n_examples,)."""


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
    """Training images (augmented copies) per second, evaluation not counted."""
    n_correct: int | None
    """Correct predictions on val after this epoch; None where val was not evaluated."""
    n_examples: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """Everything one trial leaves behind."""

    status: Literal["ok", "diverged"]
    reason: str
    """Empty for ``ok``."""
    epochs: int
    """Completed epochs."""
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    """Eval set -> the **last** epoch's result; empty where the trial diverged."""
    best_epoch: int | None = None
    """Epoch with the most correct predictions on val, among those evaluated; for information only."""
    best_n_correct: int | None = None
    curves: tuple[EpochReport, ...] = ()
    train_s: float
    """Wall seconds of training and evaluation."""
    images_per_s: float
    """Training images per second, over all epochs."""
    n_params: int
    provenance: dict[str, Any]
    """What else the numbers depend on: versions, device, precision, threads."""
    weights: bytes | None = None
    """The network that was evaluated, as a safetensors file; None where it is not kept."""
