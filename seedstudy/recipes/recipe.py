"""Every key of a recipe, declared once: type, meaning, range, since when; and the checks that need several keys."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from seedstudy.errors import RecipeError

Value = int | float | bool | str | tuple[float, float] | None
Range = tuple[float, float]

_AT_LEAST_ONE: Range = (1, math.inf)
_SHARE: Range = (0.0, 1.0)
_POSITIVE: Range = (math.ulp(0.0), math.inf)
_NOT_NEGATIVE: Range = (0.0, math.inf)
_BELOW_ONE: Range = (0.0, math.nextafter(1.0, 0.0))
_NUMBER = r"\d+(\.\d+)?"


@dataclass(frozen=True, slots=True)
class Key:
    """What a recipe file, a check and a table need to know of one key."""

    meaning: str
    range: Range = (-math.inf, math.inf)
    """Lowest and highest number allowed, both included."""
    form: str = ""
    """Regular expression of a text; ``example`` shows what it allows."""
    example: str = ""
    since: int = 1
    """Format of trial specs that first had the key."""
    before: Value = None
    """The value by which trials were trained before there was the key."""
    table_2: tuple[int, str] | None = None
    """Row and name in Table 2 of RSB ("ResNet strikes back", arXiv 2110.00476)."""
    type: Any = None
    """Taken from the annotation."""

    @property
    def is_optional(self) -> bool:
        """Whether the key can be none."""
        return type(None) in typing.get_args(self.type)


def key(meaning: str, range: Range = (-math.inf, math.inf), **more: Any) -> Any:
    """Declare a field of :class:`Recipe`."""
    return dataclasses.field(metadata={"key": Key(meaning, range, **more)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one network is trained and evaluated; equal values give an equal ``recipe_id``.

    The fields are the declaration of the keys: :data:`KEYS` and with it the reader, the checks, the tables and the list
    in docs/recipes.md are made from them. A new key needs ``since`` and ``before``, so that older trials stay readable.
    """

    name: str
    """Short name, used in file names and selectors."""
    title: str
    """One line for people."""

    # schedule
    epochs: int = key(
        "Passes over the training set's length (with repeated augmentation each image is seen more often).",
        _AT_LEAST_ONE,
        table_2=(3, "epochs"),
    )
    cooldown_epochs: int = key("Epochs at `min_lr` added after `epochs`.", _NOT_NEGATIVE)
    schedule: str = key(
        "Shape of the learning rate after the warm-up: `cosine`, `step-30-x0.1` (times 0.1 every 30 epochs) or "
        "`steps-30,60,80-x0.1` (times 0.1 at these epochs).",
        form=rf"cosine|step-{_NUMBER}-x{_NUMBER}|steps-{_NUMBER}(,{_NUMBER})*-x{_NUMBER}",
        example='"cosine", "step-30-x0.1" or "steps-30,60,80-x0.1"',
        table_2=(8, "LR decay"),
    )
    schedule_per: Literal["epoch", "update"] = key("Whether the learning rate moves once an epoch or at every update.")
    lr_lag: int = key(
        "Epochs by which the learning rate is late: 1 in DeiT's script, which runs each epoch at the rate of the one "
        "before, and the first two at the first rate.",
        _NOT_NEGATIVE,
        since=3,
        before=0,
    )
    warmup_epochs: float = key("Linear warm-up, inside `epochs`.", _NOT_NEGATIVE, table_2=(10, "warmup epochs"))
    warmup_prefix: bool = key(
        "Whether the schedule starts when the warm-up ends; otherwise it runs underneath, counted from epoch 0 "
        "(timm's default). timm's script adds the warm-up to `epochs` where this is on; here `epochs` stays the "
        "total.",
        since=2,
        before=False,
    )
    warmup_lr: float = key("Learning rate the warm-up starts from.", _NOT_NEGATIVE)
    min_lr: float = key("Learning rate a cosine ends at.", _NOT_NEGATIVE)

    # optimiser
    optimizer: Literal["lamb", "adamw", "sgd", "momentum", "rmsproptf"] = key(
        "timm's optimiser of that name: `sgd` is Nesterov momentum and `momentum` the plain one, as in timm; "
        "`rmsproptf` is RMSProp as TensorFlow computes it.",
        table_2=(6, "optimizer"),
    )
    lr: float = key("Peak learning rate at `batch_size`.", _POSITIVE, table_2=(7, "LR"))
    weight_decay: float = key(
        "Decay of the weights, as the optimiser applies it: decoupled in LAMB and AdamW, L2 in the others.",
        _NOT_NEGATIVE,
        table_2=(9, "weight decay"),
    )
    decay_norm: bool = key("Whether the weights and biases of normalisation layers decay too.", since=2, before=False)
    decay_bias: bool = key("Whether all other biases and 1-D parameters decay too.", since=2, before=False)
    betas: tuple[float, float] | None = key("Running-average coefficients of LAMB and AdamW.", _BELOW_ONE)
    optimizer_eps: float | None = key("Term in the denominator of LAMB, AdamW and RMSProp.", _POSITIVE)
    momentum: float | None = key("Momentum of SGD and RMSProp.", _BELOW_ONE)
    rms_decay: float | None = key(
        "Running-average coefficient of RMSProp's squared gradients.", _BELOW_ONE, since=2, before=None
    )
    max_grad_norm: float | None = key("Global norm LAMB clips gradients to inside its own step.", _POSITIVE)
    clip_grad_norm: float | None = key(
        "Global norm gradients are clipped to before the optimiser's step.", _POSITIVE, table_2=(15, "gradient clip.")
    )
    batch_size: int = key(
        "Images per update, over all processes and micro-batches.", _AT_LEAST_ONE, table_2=(5, "batch size")
    )
    micro_batch: int = key("Images batch norm sees at once; `batch_size` is a multiple of it.", _AT_LEAST_ONE)
    batch_norm_sync: Literal["none", "reduce"] = key(
        "Between processes: `reduce` averages running statistics at epoch ends (timm's `dist_bn`)."
    )
    batch_norm_momentum: float | None = key(
        "Share of a new batch in the running statistics (torch's convention: 0.01 is TensorFlow's 0.99).",
        _SHARE,
        since=2,
        before=None,
    )
    batch_norm_eps: float | None = key("Term in batch norm's denominator.", _POSITIVE, since=2, before=None)
    precision: Literal["float32", "mixed", "bfloat16"] = key(
        "`mixed` is bfloat16 autocast on accelerators and float32 on CPUs; `bfloat16` is autocast on CPUs too.",
        table_2=(27, "mixed precision"),
    )
    ema_decay: float | None = key(
        "Exponential moving average of weights and batch-norm statistics, evaluated in their place.",
        _BELOW_ONE,
        table_2=(24, "EMA"),
    )
    ema_every: int = key("Updates of an epoch between two updates of the average.", _AT_LEAST_ONE, since=2, before=1)
    ema_start_epochs: float = key("Until then the average copies the weights.", _NOT_NEGATIVE, since=2, before=0.0)
    ema_warmup: bool = key(
        "Whether the decay after update n is at most (1 + n) / (10 + n), TensorFlow's `num_updates`.",
        since=2,
        before=False,
    )

    # loss
    loss: Literal["bce", "ce"] = key("Binary or softmax cross-entropy.", table_2=(26, "loss"))
    label_smoothing: float = key(
        "Share of the target spread evenly over all classes.", _BELOW_ONE, table_2=(11, "label smoothing")
    )
    bce_target_threshold: float | None = key(
        "Mixed targets above it become 1, others 0; without it BCE sees soft targets.", _SHARE
    )
    bce_sum: bool = key("Sum BCE over classes instead of averaging.")

    # images
    train_size: int = key("Side of a training image in pixels.", (8, 4096), table_2=(1, "train res"))
    test_size: int = key("Side of a test image in pixels.", (8, 4096), table_2=(2, "test res"))
    test_crop: float = key(
        "Share of the resized image the centre crop keeps at test.", (0.05, 1.0), table_2=(25, "test crop ratio")
    )
    train_interpolation: Literal["random", "bilinear", "bicubic"] = key(
        "Resampling of training images; `random` draws bilinear or bicubic for each."
    )
    test_interpolation: Literal["bilinear", "bicubic"] = key("Resampling of test images.")
    crop_scale: tuple[float, float] = key(
        "Area range of RandomResizedCrop, as a share of the image.", (0.001, 1.0), table_2=(17, "RRC")
    )
    crop_ratio: tuple[float, float] = key("Aspect-ratio range of RandomResizedCrop.", (0.01, 100.0))
    hflip: float = key("Probability of a horizontal flip.", _SHARE, table_2=(16, "H. flip"))
    randaugment: str | None = key(
        "timm's RandAugment string, such as `rand-m7-mstd0.5-inc1`.",
        form=rf"rand(-(m{_NUMBER}|n\d+|p[01](\.\d+)?|mstd{_NUMBER}|mmax\d+|inc[01]|w0))+",
        example='"rand-m7-mstd0.5-inc1"',
        table_2=(18, "Rand Augment"),
    )
    auto_augment: Literal["v0", "original", "trivial_wide"] | None = key(
        "A policy in RandAugment's place: timm's AutoAugment (`v0` as in TensorFlow, `original` as in the paper) "
        "or torchvision's TrivialAugmentWide.",
        since=2,
        before=None,
        table_2=(19, "Auto Augment"),
    )
    color_jitter: float | None = key(
        "Brightness, contrast and saturation jitter; timm leaves it out where RandAugment is on.",
        _NOT_NEGATIVE,
        table_2=(23, "ColorJitter"),
    )
    random_erasing: float = key("Probability of erasing a rectangle.", _SHARE, table_2=(22, "erasing prob."))
    random_erasing_fill: Literal["pixel", "const"] = key(
        "Noise drawn per pixel, or the data set's mean colour.", since=2, before="pixel"
    )
    repeated_augmentation: int = key(
        "Augmented copies of each drawn image; 1 is off. The epoch keeps its length.",
        _AT_LEAST_ONE,
        table_2=(14, "repeated aug"),
    )

    # clips
    clip_frames: int | None = key(
        "Frames of a clip that the network is shown; none: images.", (1, 4096), since=4, before=None
    )
    clip_stride: int = key("Frames of the video from each frame of a clip to the next.", (1, 4096), since=4, before=1)
    test_clips: int = key(
        "Clips of a test video, spread evenly over it (one: in its middle), whose probabilities are averaged.",
        (1, 4096),
        since=4,
        before=1,
    )
    test_crops: int = key(
        "Crops of each test clip, spread evenly along its longer side (one: in its middle), averaged too.",
        (1, 64),
        since=4,
        before=1,
    )

    # mixing
    mixup_alpha: float = key(
        "Parameter of the Beta distribution mixup draws from; 0 is off.", _NOT_NEGATIVE, table_2=(20, "mixup alpha")
    )
    cutmix_alpha: float = key("The same of CutMix; 0 is off.", _NOT_NEGATIVE, table_2=(21, "cutmix alpha"))
    mix_prob: float = key("Probability that a batch (or pair, or element) is mixed at all.", _SHARE)
    mix_switch_prob: float = key("Probability of CutMix where both are on.", _SHARE)
    mix_mode: Literal["batch", "pair", "elem"] = key("Whether mixing is drawn per batch, per pair or per image.")

    # network
    drop_path: float = key("Stochastic-depth rate of the last block.", _BELOW_ONE, table_2=(13, "stoch. depth"))
    drop_path_rule: Literal["block", "stage"] = key(
        "`block`: linear from 0 at the first block (timm); `stage`: linear over a ResNet's four stages, the k-th "
        "of which drops at (k + 1) / 5 of the rate (TensorFlow's ResNet-RS, which counts the stem as a group).",
        since=2,
        before="block",
    )
    dropout: float = key("Dropout on the pooled features.", _BELOW_ONE, table_2=(12, "dropout"))
    zero_init_last: bool | None = key(
        "Zero the last batch-norm weight of every residual branch at initialisation; none leaves it to the network."
    )
    se_ratio: float | None = key(
        "Squeeze-and-Excitation in every block of a plain ResNet: its hidden width as a share of the block's.",
        (0.01, 1.0),
        since=2,
        before=None,
    )
    resnet_d: bool = key(
        "Give a plain ResNet the stem and shortcuts of ResNet-D, with a strided 3x3 convolution for its max-pool.",
        since=2,
        before=False,
    )

    # start
    init: str | None = key(
        "Weights that training starts from: `timm:NAME` (timm's own), `trial:STUDY:RECIPE` (the kept weights of the "
        "trial of the same seed; with `#0` behind it of seed 0 for all) or a file (safetensors, or .pth without "
        "pickled objects); none trains from scratch.",
        form=r"timm:\S+|trial:[^:#]+:[^:#]+(#\d+)?|(?!timm:|trial:)\S.*",
        example='"timm:resnet50.a1_in1k", "trial:main:a2" or "weights.safetensors"',
        since=3,
        before=None,
    )
    init_head: Literal["new", "kept"] = key(
        "Whether the head is drawn anew, by the stream `init`, or starts from the weights too, whose classes must be "
        "those of the data then.",
        since=3,
        before="new",
    )
    frozen_stages: int = key(
        "Stages, counted from the input, that are not trained and whose batch norm keeps its statistics: 1 is the "
        "stem (timm's coarse groups).",
        _NOT_NEGATIVE,
        since=3,
        before=0,
    )
    head_only: bool = key("Train the head alone; everything before it is frozen.", since=3, before=False)
    layer_decay: float = key(
        "Learning rate of each layer as a share of that of the next one, from the head down (timm's groups).",
        (0.01, 1.0),
        since=3,
        before=1.0,
    )
    pseudo_labels: str | None = key(
        "File of `seedstudy pseudolabel`, whose images are trained on beside the labelled ones.",
        form=r"\S.*",
        example='"labels.json"',
        since=3,
        before=None,
    )
    pseudo_ratio: float = key(
        "Pseudo-labelled images for each labelled one, in every update; an epoch is one pass over the labelled images.",
        _POSITIVE,
        since=3,
        before=1.0,
    )
    head_lr_ratio: float = key("Learning rate of the head as a multiple of `lr`.", _POSITIVE, since=3, before=1.0)

    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, hash=False)
    """Key -> where its value comes from; says nothing about training, so it is not part of the id."""

    def values(self) -> dict[str, Value]:
        """Return every value that decides how a network is trained, in the order of :data:`KEYS`."""
        return {key: getattr(self, key) for key in KEYS}

    def spelled_out(self) -> dict[str, Value]:
        """Return the values that a record holds: a key of :data:`OPTIONAL` only where it is not at its default."""
        return {key: value for key, value in self.values().items() if key not in OPTIONAL or value != OPTIONAL[key]}

    @property
    def optional_keys(self) -> frozenset[str]:
        """The keys of :data:`OPTIONAL` that are not at their default."""
        return frozenset(self.spelled_out().keys() & OPTIONAL.keys())

    @property
    def is_fine_tuning(self) -> bool:
        """Whether training starts from weights, treats layers differently or has pseudo-labels."""
        return any(KEYS[key].since == _FINE_TUNING for key in self.optional_keys - {"lr_lag"})

    @property
    def spec_format(self) -> int:
        """The first format of trial specs that has every key which this recipe uses."""
        return max(2, *(KEYS[key].since for key in self.spelled_out()))

    @property
    def n_labelled(self) -> int:
        """Images of an update that have labels of their own; the others are pseudo-labelled."""
        if self.pseudo_labels is None:
            return self.batch_size
        return round(self.batch_size / (1.0 + self.pseudo_ratio))

    @property
    def n_frames(self) -> int:
        """Frames of an example that the network is shown: 1 of an image."""
        return self.clip_frames or 1

    @property
    def recipe_id(self) -> str:
        """Name and a hash of the values: ``a2-1f3c9d2e``."""
        canonical = json.dumps(self.spelled_out(), sort_keys=True, separators=(",", ":"))
        return f"{self.name}-{hashlib.sha256(canonical.encode()).hexdigest()[:8]}"

    @property
    def total_epochs(self) -> int:
        return self.epochs + self.cooldown_epochs

    def to_dict(self) -> dict[str, Any]:
        """Return name, title and values, ready for JSON."""
        return {"name": self.name, "title": self.title, "values": self.spelled_out()}


_HINTS = typing.get_type_hints(Recipe)

KEYS: Mapping[str, Key] = {
    field.name: replace(field.metadata["key"], type=_HINTS[field.name])
    for field in dataclasses.fields(Recipe)
    if "key" in field.metadata
}
"""Name -> key, in the order of the class."""

OPTIONAL: Mapping[str, Value] = {name: key.before for name, key in KEYS.items() if key.since > 2}
"""Keys that no file and no record needs to have -> the default, by which recipes were trained before there was the key.

A recipe that does not use such a key has the id that it had before."""

_FINE_TUNING = 3
"""Format that first had the keys of fine-tuning."""

_ROWS = [(*key.table_2, name) for name, key in KEYS.items() if key.table_2] + [(4, "# of forward pass", "updates")]
TABLE_2: Mapping[str, str] = {name: row for _, row, name in sorted(_ROWS)}
"""Key -> its row in RSB's Table 2, in the order of that table; ``updates`` follows from epochs and batch size."""


# --- checking -----------------------------------------------------------------------------------------


def checked(key: str, raw: object, where: str) -> Value:
    """Return ``raw`` as the type of ``key``, or raise RecipeError; TOML has no null, so "none" takes its place."""
    declared = KEYS[key]
    if raw == "none" and declared.is_optional:
        return None
    try:
        value: Value = typed(declared.type, raw)
    except ValueError as error:
        none = ' or "none"' if declared.is_optional else ""
        raise RecipeError(f"{where}: {key} = {raw!r} is wrong: {error}{none}.") from None
    low, high = declared.range
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and not (math.isfinite(number) and low <= number <= high):
            raise RecipeError(f"{where}: {key} = {raw!r} is impossible: expected {range_in_words(declared.range)}.")
    if declared.form and not re.fullmatch(declared.form, str(value)):
        raise RecipeError(f'{where}: {key} = "{value}" is not of the form {declared.example}.')
    return value


def typed(hint: Any, raw: object) -> Any:
    """Return what a TOML file or a flag holds as a value of a type, or raise ValueError with what was expected.

    hint: bool, int, float, str, a Literal of texts, ``tuple[float, float]``, or one of these ``| None``
    """
    value = _converted(kind_of(hint), raw)
    if value is None:
        raise ValueError(f"expected {type_in_words(hint)}")
    return value


def kind_of(hint: Any) -> Any:
    """Return a type without its ``| None``."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return next(option for option in options if option is not type(None))


def _converted(kind: Any, raw: object) -> Value:
    if typing.get_origin(kind) is Literal:
        return raw if isinstance(raw, str) and raw in typing.get_args(kind) else None
    if typing.get_origin(kind) is tuple:
        if not isinstance(raw, list | tuple) or len(raw) != 2:
            return None
        pair = [_converted(float, item) for item in raw]
        return None if None in pair else (float(pair[0]), float(pair[1]))  # type: ignore[arg-type]  # checked
    if isinstance(raw, bool) and kind is not bool:
        return None  # to Python, true is a whole number
    if kind is float and isinstance(raw, int):
        return float(raw) if abs(raw) < 10**300 else math.inf  # more than a float holds: out of every range
    return raw if isinstance(raw, kind) else None


def type_in_words(hint: Any) -> str:
    """Return what a value of a type looks like: ``a whole number``."""
    kind = kind_of(hint)
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "two numbers [a, b]"
    return {bool: "true or false", float: "a number", int: "a whole number", str: "text"}[kind]


def range_in_words(bounds: Range) -> str:
    """Return a range of numbers as errors and tables name it; empty where every number is allowed."""
    low, high = bounds
    if low == _POSITIVE[0]:
        return "a number above 0"
    if math.isinf(high):
        return f"at least {low:g}" if math.isfinite(low) else ""
    return f"{low:g} to below 1" if high == _BELOW_ONE[1] else f"{low:g} to {high:g}"


def allowed_in_words(key: Key) -> str:
    """Return which values a key takes."""
    value = key.example or type_in_words(key.type)
    return ", ".join(filter(None, [value, range_in_words(key.range)])) + (', or "none"' if key.is_optional else "")


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's values, as an older version wrote them, under today's keys."""
    values = dict(values)
    if "decay_bias_and_norm" in values:  # one key in format 1
        values["decay_norm"] = values["decay_bias"] = values.pop("decay_bias_and_norm")
    return {**{name: key.before for name, key in KEYS.items() if key.since > 1}, **values}


def build(name: str, title: str, values: Mapping[str, Value], *, sources: Mapping[str, str], where: str) -> Recipe:
    """Return the recipe after the checks that need several values at once."""
    if odd := sorted(set(KEYS) ^ set(values)):
        raise RecipeError(f"{where}: written by another version of seedstudy, whose recipes differ in {odd[0]}.")
    recipe = Recipe(name=name, title=title, sources=sources, **values)  # type: ignore[arg-type]  # checked before
    if problem := next(_contradictions(recipe), None):
        raise RecipeError(f"{where}: {problem}")
    return recipe


def with_changes(recipe: Recipe, changes: Mapping[str, Value], *, how: str) -> Recipe:
    """Return the recipe with other values, checked; ``how`` they came about is their new source."""
    old = recipe.values()
    sources = {key: f"{how} from {format_value(old[key])}" for key, value in changes.items() if value != old[key]}
    where = f"{recipe.name}, {how}"
    return build(recipe.name, recipe.title, {**old, **changes}, sources={**recipe.sources, **sources}, where=where)


_NEEDED = {
    "lamb": ("betas", "optimizer_eps"),
    "adamw": ("betas", "optimizer_eps"),
    "sgd": ("momentum",),
    "momentum": ("momentum",),
    "rmsproptf": ("momentum", "rms_decay", "optimizer_eps"),
}


def _contradictions(recipe: Recipe) -> Iterator[str]:
    batch, micro_batch = recipe.batch_size, recipe.micro_batch
    if batch % micro_batch:
        yield f"batch_size = {batch} is not a multiple of micro_batch = {micro_batch}: change one of them."
    if recipe.lr_lag and recipe.schedule_per == "update":
        yield f'lr_lag = {recipe.lr_lag} counts epochs: it needs schedule_per = "epoch", or set lr_lag to 0.'
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
    if (recipe.mixup_alpha or recipe.cutmix_alpha) and micro_batch % 2:
        yield f"micro_batch = {micro_batch} is odd: mixing pairs images, so it must be even."
    if recipe.loss == "ce" and (recipe.bce_target_threshold is not None or recipe.bce_sum):
        yield 'loss = "ce" takes neither bce_target_threshold nor bce_sum.'
    if recipe.head_only and (recipe.frozen_stages or recipe.layer_decay != 1.0):
        yield "head_only freezes every stage: leave out frozen_stages and layer_decay."
    if recipe.pseudo_labels is not None:
        if not 0 < recipe.n_labelled < batch:
            yield f"pseudo_ratio = {recipe.pseudo_ratio:g} leaves one kind of images out of batches of {batch}."
        if recipe.clip_frames is not None:
            yield "pseudo_labels are those of images: leave them out where clip_frames is set."
        if recipe.repeated_augmentation > 1:
            yield "pseudo_labels and repeated_augmentation exclude each other: set repeated_augmentation to 1."
    if recipe.clip_frames is None:
        for key in ("clip_stride", "test_clips", "test_crops"):
            if getattr(recipe, key) != 1:
                yield f"{key} = {getattr(recipe, key)} is about clips: set clip_frames too."
    if recipe.init is None:
        for key in ("frozen_stages", "head_only"):
            if getattr(recipe, key):
                yield f"{key} would freeze layers at random weights: give init, the weights to start from."
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
