"""Every key of a recipe: its meaning, its type, what it may be, and the checks that need several keys at once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from seedstudy.errors import RecipeError

Value = int | float | bool | str | tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one network is trained and evaluated; equal values give an equal ``recipe_id``."""

    name: str
    """Short name, used in file names and selectors."""
    title: str
    """One line for people."""

    # schedule
    epochs: int
    """Passes over the training set's length (with repeated augmentation each image is seen more often)."""
    cooldown_epochs: int
    """Epochs at ``min_lr`` added after ``epochs``."""
    schedule: str
    """Shape of the learning rate after the warm-up: ``cosine``, ``step-30-x0.1`` (times 0.1 every 30 epochs) or
    ``steps-30,60,80-x0.1`` (times 0.1 at these epochs)."""
    schedule_per: Literal["epoch", "update"]
    """Whether the learning rate changes once an epoch or at every update."""
    warmup_epochs: float
    """Linear warm-up; it lies inside ``epochs``."""
    warmup_prefix: bool
    """Whether the schedule starts when the warm-up ends; otherwise it runs underneath, counted from epoch 0 (timm's
    default). timm's script adds the warm-up to ``epochs`` where this is on; here ``epochs`` stays the total."""
    warmup_lr: float
    """Learning rate the warm-up starts from."""
    min_lr: float
    """Learning rate a cosine ends at."""

    # optimiser
    optimizer: Literal["lamb", "adamw", "sgd", "momentum", "rmsproptf"]
    """timm's optimiser of that name: ``sgd`` is Nesterov momentum and ``momentum`` the plain one, as in timm;
    ``rmsproptf`` is RMSProp as TensorFlow computes it."""
    lr: float
    """Peak learning rate at ``batch_size``."""
    weight_decay: float
    decay_norm: bool
    """Whether the weights and biases of normalisation layers decay too."""
    decay_bias: bool
    """Whether all other biases and 1-D parameters decay too."""
    betas: tuple[float, float] | None
    """Running-average coefficients of LAMB and AdamW."""
    optimizer_eps: float | None
    """Term in the denominator of LAMB, AdamW and RMSProp."""
    momentum: float | None
    """Momentum of SGD and RMSProp."""
    rms_decay: float | None
    """Running-average coefficient of RMSProp's squared gradients."""
    max_grad_norm: float | None
    """Global norm LAMB clips gradients to inside its own step."""
    clip_grad_norm: float | None
    """Global norm gradients are clipped to before the optimiser's step."""
    batch_size: int
    """Images per update, over all processes and micro-batches."""
    micro_batch: int
    """Images batch norm sees at once; ``batch_size`` is a multiple of it."""
    batch_norm_sync: Literal["none", "reduce"]
    """Between processes: ``reduce`` averages running statistics at epoch ends (timm's ``dist_bn``)."""
    batch_norm_momentum: float | None
    """Share of a new batch in the running statistics (torch's convention: 0.01 is TensorFlow's 0.99)."""
    batch_norm_eps: float | None
    """Term in batch norm's denominator."""
    precision: Literal["float32", "mixed", "bfloat16"]
    """``mixed`` is bfloat16 autocast on accelerators and float32 on CPUs; ``bfloat16`` is autocast on CPUs too."""
    ema_decay: float | None
    """Exponential moving average of weights and batch-norm statistics, evaluated in their place."""
    ema_every: int
    """Updates of an epoch between two updates of the average."""
    ema_start_epochs: float
    """Until then the average is a copy of the weights."""
    ema_warmup: bool
    """Whether the decay after update n is at most (1 + n) / (10 + n), TensorFlow's ``num_updates``."""

    # loss
    loss: Literal["bce", "ce"]
    label_smoothing: float
    bce_target_threshold: float | None
    """Mixed targets above it become 1, others 0; without it BCE sees soft targets."""
    bce_sum: bool
    """Sum BCE over classes instead of averaging."""

    # images
    train_size: int
    """Side of a training image in pixels."""
    test_size: int
    """Side of a test image in pixels."""
    test_crop: float
    """Share of the resized image the centre crop keeps at test."""
    train_interpolation: Literal["random", "bilinear", "bicubic"]
    test_interpolation: Literal["bilinear", "bicubic"]
    crop_scale: tuple[float, float]
    """Area range of RandomResizedCrop, as a share of the image."""
    crop_ratio: tuple[float, float]
    """Aspect-ratio range of RandomResizedCrop."""
    hflip: float
    """Probability of a horizontal flip."""
    randaugment: str | None
    """timm's RandAugment string, such as ``rand-m7-mstd0.5-inc1``."""
    auto_augment: Literal["v0", "original", "trivial_wide"] | None
    """A policy in RandAugment's place: timm's AutoAugment (``v0`` as in TensorFlow, ``original`` as in the paper) or
    torchvision's TrivialAugmentWide."""
    color_jitter: float | None
    """Brightness, contrast and saturation jitter; timm leaves it out where RandAugment is on."""
    random_erasing: float
    """Probability of erasing a rectangle."""
    random_erasing_fill: Literal["pixel", "const"]
    """Noise drawn per pixel, or the data set's mean colour."""
    repeated_augmentation: int
    """Augmented copies of each drawn image; 1 is off. The epoch keeps its length."""

    # mixing
    mixup_alpha: float
    cutmix_alpha: float
    mix_prob: float
    """Probability that a batch (or pair, or element) is mixed at all."""
    mix_switch_prob: float
    """Probability of CutMix where both are on."""
    mix_mode: Literal["batch", "pair", "elem"]

    # network
    drop_path: float
    """Stochastic-depth rate of the last block."""
    drop_path_rule: Literal["block", "stage"]
    """``block``: linear from 0 at the first block (timm); ``stage``: linear over a ResNet's four stages, the k-th of
    which drops at (k + 1) / 5 of the rate (TensorFlow's ResNet-RS, which counts the stem as a first group)."""
    dropout: float
    """Dropout on the pooled features."""
    zero_init_last: bool | None
    """Zero the last batch-norm weight of every residual branch at initialisation; none leaves it to the network."""
    se_ratio: float | None
    """Squeeze-and-Excitation in every block of a plain ResNet: its hidden width as a share of the block's."""
    resnet_d: bool
    """Give a plain ResNet the stem and shortcuts of ResNet-D, with a strided 3x3 convolution for its max-pool."""

    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, hash=False)
    """Key -> where its value comes from; says nothing about training, so it is not part of the id."""

    def values(self) -> dict[str, Value]:
        """Return every value that decides how a network is trained, in the order of the class."""
        return {key: getattr(self, key) for key in VALUE_TYPES}

    @property
    def recipe_id(self) -> str:
        """Name and a hash of the values: ``a2-1f3c9d2e``."""
        canonical = json.dumps(self.values(), sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"

    @property
    def total_epochs(self) -> int:
        return self.epochs + self.cooldown_epochs

    def to_dict(self) -> dict[str, Any]:
        """Return name, title and values, ready for JSON."""
        return {"name": self.name, "title": self.title, "values": self.values()}


_TEXT_FIELDS = ("name", "title", "sources")
VALUE_TYPES: dict[str, Any] = {
    name: hint for name, hint in typing.get_type_hints(Recipe).items() if name not in _TEXT_FIELDS
}

_AT_LEAST_ONE = (1, math.inf)
_SHARE = (0.0, 1.0)
_POSITIVE = (math.ulp(0.0), math.inf)
_NOT_NEGATIVE = (0.0, math.inf)
_BELOW_ONE = (0.0, math.nextafter(1.0, 0.0))
_RANGES: dict[str, tuple[float, float]] = {
    "epochs": _AT_LEAST_ONE,
    "cooldown_epochs": _NOT_NEGATIVE,
    "warmup_epochs": _NOT_NEGATIVE,
    "warmup_lr": _NOT_NEGATIVE,
    "min_lr": _NOT_NEGATIVE,
    "lr": _POSITIVE,
    "weight_decay": _NOT_NEGATIVE,
    "betas": _BELOW_ONE,
    "optimizer_eps": _POSITIVE,
    "momentum": _BELOW_ONE,
    "rms_decay": _BELOW_ONE,
    "batch_norm_momentum": _SHARE,
    "batch_norm_eps": _POSITIVE,
    "max_grad_norm": _POSITIVE,
    "clip_grad_norm": _POSITIVE,
    "batch_size": _AT_LEAST_ONE,
    "micro_batch": _AT_LEAST_ONE,
    "ema_decay": _BELOW_ONE,
    "ema_every": _AT_LEAST_ONE,
    "ema_start_epochs": _NOT_NEGATIVE,
    "label_smoothing": _BELOW_ONE,
    "bce_target_threshold": _SHARE,
    "train_size": (8, 4096),
    "test_size": (8, 4096),
    "test_crop": (0.05, 1.0),
    "crop_scale": (0.001, 1.0),
    "crop_ratio": (0.01, 100.0),
    "hflip": _SHARE,
    "color_jitter": _NOT_NEGATIVE,
    "random_erasing": _SHARE,
    "repeated_augmentation": _AT_LEAST_ONE,
    "mixup_alpha": _NOT_NEGATIVE,
    "cutmix_alpha": _NOT_NEGATIVE,
    "mix_prob": _SHARE,
    "mix_switch_prob": _SHARE,
    "drop_path": _BELOW_ONE,
    "dropout": _BELOW_ONE,
    "se_ratio": (0.01, 1.0),
}
_NUMBER = r"\d+(\.\d+)?"
_PATTERNS = {
    "randaugment": (
        re.compile(rf"rand(-(m{_NUMBER}|n\d+|p[01](\.\d+)?|mstd{_NUMBER}|mmax\d+|inc[01]|w0))+"),
        '"rand-m7-mstd0.5-inc1"',
    ),
    "schedule": (
        re.compile(rf"cosine|step-{_NUMBER}-x{_NUMBER}|steps-{_NUMBER}(,{_NUMBER})*-x{_NUMBER}"),
        '"cosine", "step-30-x0.1" or "steps-30,60,80-x0.1"',
    ),
}


# --- checking -----------------------------------------------------------------------------------------


def checked(key: str, raw: object, where: str) -> Value:
    """Return ``raw`` as the type of ``key``; TOML has no null, so the word "none" stands for it."""
    options = typing.get_args(VALUE_TYPES[key]) if _is_union(VALUE_TYPES[key]) else (VALUE_TYPES[key],)
    if raw == "none" and type(None) in options:
        return None
    kind = next(option for option in options if option is not type(None))
    value = _converted(kind, raw)
    if value is None:
        raise RecipeError(f"{where}: {key} = {raw!r} is wrong: expected {_in_words(kind, options)}.")
    low, high = _RANGES.get(key, (-math.inf, math.inf))
    numbers = value if isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, int | float) and not (math.isfinite(number) and low <= number <= high):
            raise RecipeError(f"{where}: {key} = {raw!r} is impossible: expected {_range_in_words(low, high)}.")
    if key in _PATTERNS and not _PATTERNS[key][0].fullmatch(str(value)):
        raise RecipeError(f'{where}: {key} = "{value}" is not of the form {_PATTERNS[key][1]}.')
    return value


def _is_union(hint: object) -> bool:
    return typing.get_origin(hint) in (types.UnionType, typing.Union)


def _converted(kind: Any, raw: object) -> Value:
    if typing.get_origin(kind) is Literal:
        return raw if isinstance(raw, str) and raw in typing.get_args(kind) else None
    if typing.get_origin(kind) is tuple:
        if not isinstance(raw, list | tuple) or len(raw) != 2:
            return None
        pair = [_converted(float, item) for item in raw]
        return None if None in pair else (float(pair[0]), float(pair[1]))  # type: ignore[arg-type]  # checked
    if kind is bool:
        return raw if isinstance(raw, bool) else None
    if kind is float:
        if isinstance(raw, int) and abs(raw) > 10**300:
            return math.inf  # more than a float holds: out of every range
        return float(raw) if isinstance(raw, int | float) and not isinstance(raw, bool) else None
    if kind is int:
        return raw if isinstance(raw, int) and not isinstance(raw, bool) else None
    return raw if isinstance(raw, str) else None


def _in_words(kind: Any, options: Iterable[object]) -> str:
    if typing.get_origin(kind) is Literal:
        text = "one of " + ", ".join(f'"{choice}"' for choice in typing.get_args(kind))
    elif typing.get_origin(kind) is tuple:
        text = "two numbers [a, b]"
    else:
        text = {bool: "true or false", float: "a number", int: "a whole number", str: "text"}[kind]
    return text + (' or "none"' if type(None) in options else "")


def _range_in_words(low: float, high: float) -> str:
    if low == _POSITIVE[0]:
        return "a number above 0"
    if math.isinf(high):
        return f"at least {low:g}"
    return f"{low:g} to below 1" if high == _BELOW_ONE[1] else f"{low:g} to {high:g}"


_BEFORE: Mapping[str, Value] = {
    "warmup_prefix": False,
    "decay_norm": False,
    "decay_bias": False,
    "rms_decay": None,
    "batch_norm_momentum": None,
    "batch_norm_eps": None,
    "ema_every": 1,
    "ema_start_epochs": 0.0,
    "ema_warmup": False,
    "auto_augment": None,
    "random_erasing_fill": "pixel",
    "drop_path_rule": "block",
    "se_ratio": None,
    "resnet_d": False,
}
"""Key -> the value by which a trial planned before there was such a key was trained. Every new key needs its line."""


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's values, as an older version wrote them, under today's keys."""
    values = dict(values)
    if "decay_bias_and_norm" in values:  # one key in format 1
        values["decay_norm"] = values["decay_bias"] = values.pop("decay_bias_and_norm")
    return {**_BEFORE, **values}


def build(name: str, title: str, values: Mapping[str, Value], *, sources: Mapping[str, str], where: str) -> Recipe:
    """Return the recipe after the checks that need several values at once."""
    if odd := sorted(set(VALUE_TYPES) ^ set(values)):
        raise RecipeError(f"{where}: written by another version of seedstudy, whose recipes differ in {odd[0]}.")
    recipe = Recipe(name=name, title=title, sources=sources, **values)  # type: ignore[arg-type]  # checked before
    for problem in _contradictions(recipe):
        raise RecipeError(f"{where}: {problem}")
    return recipe


_NEEDED = {
    "lamb": ("betas", "optimizer_eps"),
    "adamw": ("betas", "optimizer_eps"),
    "sgd": ("momentum",),
    "momentum": ("momentum",),
    "rmsproptf": ("momentum", "rms_decay", "optimizer_eps"),
}


def _contradictions(recipe: Recipe) -> Iterable[str]:
    if recipe.batch_size % recipe.micro_batch:
        yield (
            f"batch_size = {recipe.batch_size} is not a multiple of micro_batch = {recipe.micro_batch}: "
            "change one of them."
        )
    if recipe.warmup_epochs >= recipe.epochs:
        yield f"warmup_epochs = {recipe.warmup_epochs:g} leaves nothing of epochs = {recipe.epochs}."
    for key in ("crop_scale", "crop_ratio"):
        low, high = getattr(recipe, key)
        if low > high:
            yield f"{key} = [{low:g}, {high:g}] has its ends the wrong way round."
    for key in _NEEDED[recipe.optimizer]:
        if getattr(recipe, key) is None:
            yield f'optimizer = "{recipe.optimizer}" needs {key}.'
    if recipe.max_grad_norm is not None and recipe.optimizer != "lamb":
        yield 'max_grad_norm is LAMB\'s internal clip: use clip_grad_norm, or max_grad_norm = "none".'
    if (recipe.mixup_alpha or recipe.cutmix_alpha) and recipe.micro_batch % 2:
        yield f"micro_batch = {recipe.micro_batch} is odd: mixing pairs images, so it must be even."
    if recipe.loss == "ce" and (recipe.bce_target_threshold is not None or recipe.bce_sum):
        yield 'loss = "ce" takes neither bce_target_threshold nor bce_sum.'
    if recipe.randaugment is not None and recipe.auto_augment is not None:
        yield 'randaugment and auto_augment exclude each other: set one of them to "none".'


def format_value(value: Value) -> str:
    """Return a value as a recipe file would have it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
