"""Recipes as data: a frozen set of values, read strictly from TOML, each beside its source.

A recipe file names itself and gives every value once, either bare or with the place it comes from::

    format = 1
    name = "a2"
    title = "RSB A2: 300 epochs at 224 px"

    [values]
    epochs = { value = 300, source = "RSB Table 2" }
    drop_path = 0.05

``base = "a2"`` takes what is not given from another recipe (one level: the base may not have a base).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from seedstudy.errors import RecipeError, suggest

FORMAT = 1
IMAGENET_N_TRAIN = 1_281_167
SMALLEST_BATCH = 128
MAX_LR_FACTOR = 10.0

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
    schedule: Literal["cosine"]
    """Shape of the learning rate after the warm-up."""
    schedule_per: Literal["epoch", "update"]
    """Whether the learning rate changes once an epoch or at every update."""
    warmup_epochs: float
    """Linear warm-up; it lies inside ``epochs`` (timm's ``warmup_prefix=False``)."""
    warmup_lr: float
    """Learning rate the warm-up starts from."""
    min_lr: float
    """Learning rate the cosine ends at."""

    # optimiser
    optimizer: Literal["lamb", "adamw", "sgd"]
    """timm's implementation of that name (``sgd`` is Nesterov momentum, as in timm)."""
    lr: float
    """Peak learning rate at ``batch_size``."""
    weight_decay: float
    decay_bias_and_norm: bool
    """Whether biases and normalisation weights (all 1-D parameters) decay too."""
    betas: tuple[float, float] | None
    """Running-average coefficients of LAMB and AdamW."""
    optimizer_eps: float | None
    """Term in the denominator of LAMB and AdamW."""
    momentum: float | None
    """Momentum of SGD."""
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
    precision: Literal["float32", "mixed"]
    """``mixed`` is bfloat16 autocast on accelerators and float32 on CPUs."""
    ema_decay: float | None
    """Exponential moving average of the weights, evaluated in their place."""

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
    color_jitter: float | None
    """Brightness, contrast and saturation jitter; timm leaves it out where RandAugment is on."""
    random_erasing: float
    """Probability of erasing a rectangle (filled with per-pixel noise)."""
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
    """Stochastic-depth rate of the last block; linear from 0 at the first."""
    dropout: float
    """Dropout on the pooled features."""
    zero_init_last: bool
    """Zero the last batch-norm weight of every residual branch at initialisation."""

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
    "max_grad_norm": _POSITIVE,
    "clip_grad_norm": _POSITIVE,
    "batch_size": _AT_LEAST_ONE,
    "micro_batch": _AT_LEAST_ONE,
    "ema_decay": _BELOW_ONE,
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
}
_RANDAUGMENT = re.compile(r"rand(-(m\d+(\.\d+)?|n\d+|p[01](\.\d+)?|mstd\d+(\.\d+)?|mmax\d+|inc[01]|w0))+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")


# --- reading ------------------------------------------------------------------------------------------


def packaged_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with seedstudy."""
    folder = resources.files("seedstudy") / "recipes"
    return tuple(sorted(p.name[: -len(".toml")] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Return a packaged recipe by name, or the recipe in a TOML file by path.

    Raises
    ------
    RecipeError
        Unknown name, unreadable file, unknown key, wrong type or impossible value.

    """
    if name_or_path.endswith(".toml") or "/" in name_or_path:
        path = Path(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise RecipeError(f"{path}: cannot read the recipe file ({reason}).") from error
        return parse_recipe(text, where=str(path), folder=path.parent)
    if name_or_path not in packaged_names():
        raise RecipeError(
            f'unknown recipe "{name_or_path}".{suggest(name_or_path, packaged_names())} '
            "A recipe of your own is given by the path of its .toml file."
        )
    return _packaged(name_or_path)


@cache
def _packaged(name: str) -> Recipe:
    file = resources.files("seedstudy") / "recipes" / f"{name}.toml"
    return parse_recipe(file.read_text(encoding="utf-8"), where=f"{name}.toml")


def parse_recipe(text: str, *, where: str, folder: Path | None = None) -> Recipe:
    """Read one recipe from TOML text; ``where`` names it in errors, ``folder`` is where a base may lie."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where}: not valid TOML: {error}.") from error
    _check_head(document, where)
    given = document.get("values", {})
    if not isinstance(given, dict):
        raise RecipeError(f"{where}: values must be a table: write [values] above the recipe's values.")
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    if "base" in document:
        base = _load_base(document["base"], where, folder)
        values, sources = base.values(), dict(base.sources)
    for key, raw in given.items():
        value, source = _split_source(key, raw, where)
        values[key] = _checked(key, value, where)
        sources.pop(key, None)
        if source is not None:
            sources[key] = source
    missing = [key for key in VALUE_TYPES if key not in values]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise RecipeError(
            f"{where}: no value for {', '.join(missing[:3])}{more}: a recipe without a base gives every value; "
            'add them, or start from another recipe with base = "a2".'
        )
    title = document.get("title", "")
    return build(document["name"], title, values, sources=sources, where=where)


def _check_head(document: dict[str, Any], where: str) -> None:
    known = {"format", "name", "title", "base", "values"}
    for key in document:
        if key not in known:
            hint = " Put it under [values]." if key in VALUE_TYPES else suggest(key, known | set(VALUE_TYPES))
            raise RecipeError(f'{where}: unknown key "{key}".{hint}')
    if document.get("format") != FORMAT:
        found = document.get("format", "none")
        raise RecipeError(f"{where}: format is {found}, this version reads format = {FORMAT}.")
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RecipeError(f'{where}: name must be letters, digits, "_" and ".", for example name = "a2_long".')
    if not isinstance(document.get("title", ""), str):
        raise RecipeError(f"{where}: title must be text.")


def _load_base(base: object, where: str, folder: Path | None) -> Recipe:
    """Return the recipe a file builds on: a packaged one, or a file in the same folder."""
    if not isinstance(base, str):
        raise RecipeError(f'{where}: base must be a recipe name, for example base = "a2".')
    if base in packaged_names():
        return _packaged(base)
    path = folder / f"{base.removesuffix('.toml')}.toml" if folder is not None else None
    if path is None or not _NAME.fullmatch(base) or not path.is_file():
        raise RecipeError(f'{where}: unknown base "{base}".{suggest(base, packaged_names())}')
    text = path.read_text(encoding="utf-8")
    if "base" in tomllib.loads(text):
        raise RecipeError(f'{where}: base "{base}" has a base itself; one level is the limit: write its values out.')
    return parse_recipe(text, where=str(path))


def _split_source(key: str, raw: object, where: str) -> tuple[object, str | None]:
    if key not in VALUE_TYPES:
        raise RecipeError(f'{where}: unknown key "{key}" in [values].{suggest(key, VALUE_TYPES)}')
    if not isinstance(raw, dict):
        return raw, None
    if set(raw) != {"value", "source"} or not isinstance(raw["source"], str):
        raise RecipeError(f'{where}: {key} must be a value or {{ value = …, source = "…" }}.')
    return raw["value"], raw["source"]


# --- checking -----------------------------------------------------------------------------------------


def _checked(key: str, raw: object, where: str) -> Value:
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
    if key == "randaugment" and not _RANDAUGMENT.fullmatch(str(value)):
        raise RecipeError(f'{where}: randaugment = "{value}" is not of the form "rand-m7-mstd0.5-inc1".')
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


def build(name: str, title: str, values: Mapping[str, Value], *, sources: Mapping[str, str], where: str) -> Recipe:
    """Return the recipe after the checks that need several values at once."""
    recipe = Recipe(name=name, title=title, sources=sources, **values)  # type: ignore[arg-type]  # checked before
    for problem in _contradictions(recipe):
        raise RecipeError(f"{where}: {problem}")
    return recipe


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
    if recipe.optimizer == "sgd" and recipe.momentum is None:
        yield 'optimizer = "sgd" needs a momentum.'
    if recipe.optimizer != "sgd" and (recipe.betas is None or recipe.optimizer_eps is None):
        yield f'optimizer = "{recipe.optimizer}" needs betas and optimizer_eps.'
    if recipe.max_grad_norm is not None and recipe.optimizer != "lamb":
        yield 'max_grad_norm is LAMB\'s internal clip: use clip_grad_norm, or max_grad_norm = "none".'
    if (recipe.mixup_alpha or recipe.cutmix_alpha) and recipe.micro_batch % 2:
        yield f"micro_batch = {recipe.micro_batch} is odd: mixing pairs images, so it must be even."
    if recipe.loss == "ce" and (recipe.bce_target_threshold is not None or recipe.bce_sum):
        yield 'loss = "ce" takes neither bce_target_threshold nor bce_sum.'


# --- changing -----------------------------------------------------------------------------------------


def parse_assignments(assignments: Iterable[str]) -> dict[str, Value]:
    """Read ``key=value`` words (``--set``), each checked by itself."""
    values: dict[str, Value] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise RecipeError(f"--set {assignment}: expected key=value, for example --set drop_path=0.1.")
        if key not in VALUE_TYPES:
            raise RecipeError(f'--set {assignment}: unknown key "{key}".{suggest(key, VALUE_TYPES)}')
        values[key] = _checked(key, _parse_word(text.strip()), f"--set {assignment}")
    return values


def with_values(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Return the recipe after ``key=value`` assignments; its ``recipe_id`` changes with them."""
    changed = parse_assignments(assignments)
    sources = {**recipe.sources, **dict.fromkeys(changed, "set on the command line")}
    where = f"{recipe.name} with --set " + " --set ".join(assignments)
    return build(recipe.name, recipe.title, {**recipe.values(), **changed}, sources=sources, where=where)


def _parse_word(text: str) -> object:
    """Read a command-line value as TOML would, with bare words and ``a,b`` pairs allowed."""
    if re.fullmatch(r"[^\[\],]+,[^\[\],]+", text):
        text = f"[{text}]"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def scale(
    recipe: Recipe, *, data: str, n_train: int, image_size: int, epoch_ratio: float, epochs: int | None
) -> Recipe:
    """Return the recipe scaled to a data set smaller than ImageNet by the written rule.

    1. **Epochs** are multiplied by the data set's ``epoch_ratio`` (``epochs`` overrides it).
    2. **Batch**: the recipe's updates per epoch are kept where a batch of at least 128 allows it: the power
       of two nearest to ``batch_size * n_train / 1,281,167``, at least 128, at most ``batch_size``, and never
       more than the training set holds. It is one micro-batch where it is not larger than the recipe's.
    3. **Learning rates** (peak, warm-up, minimum) follow the batch by the optimiser's rule: linear for SGD, the
       square root for LAMB and AdamW. The steps of these two have a length of their own, whatever the gradient's,
       so a schedule of few updates hardly moves: their rates also grow with the square root of the factor by which
       the updates shrink (the distance a random walk covers stays), up to ten times the recipe's.
    4. **Resolution**: tests run at the image's own size, uncropped; training keeps the recipe's ratio of train
       to test size, rounded to a multiple of 4.
    5. **Warm-up** keeps its share of all epochs, and the schedule moves at every update: a staircase of a few
       epochs would be too coarse.

    Everything else stays. ``sources`` says of each changed value what it was.
    """
    new_epochs = epochs if epochs is not None else max(1, round(recipe.epochs * epoch_ratio))
    batch = _scaled_batch(recipe.batch_size, n_train)
    share = batch / recipe.batch_size
    if recipe.optimizer == "sgd":
        factor = share
    else:
        old_updates = recipe.epochs * (IMAGENET_N_TRAIN // recipe.batch_size)
        new_updates = new_epochs * max(1, n_train // batch)
        factor = min(MAX_LR_FACTOR, math.sqrt(share * old_updates / new_updates))
    ratio = recipe.train_size / recipe.test_size
    changed: dict[str, Value] = {
        "epochs": new_epochs,
        "cooldown_epochs": round(recipe.cooldown_epochs * new_epochs / recipe.epochs),
        "warmup_epochs": recipe.warmup_epochs * new_epochs / recipe.epochs,
        "schedule_per": "update",
        "batch_size": batch,
        "micro_batch": min(recipe.micro_batch, batch),
        "lr": recipe.lr * factor,
        "warmup_lr": recipe.warmup_lr * factor,
        "min_lr": recipe.min_lr * factor,
        "test_size": image_size,
        "test_crop": 1.0,
        "train_size": max(8, 4 * round(image_size * ratio / 4)),
    }
    old = recipe.values()
    sources = dict(recipe.sources)
    for key, value in changed.items():
        if value != old[key]:
            sources[key] = f"scaled to {data} from {format_value(old[key])}"
    values = {**old, **changed}
    return build(recipe.name, recipe.title, values, sources=sources, where=f"{recipe.name} scaled to {data}")


def _scaled_batch(batch_size: int, n_train: int) -> int:
    wanted: int = 2 ** round(math.log2(batch_size * n_train / IMAGENET_N_TRAIN))
    batch = min(max(wanted, SMALLEST_BATCH), batch_size)
    while batch > n_train:
        batch //= 2
    return max(batch, 1)


# --- showing ------------------------------------------------------------------------------------------


def diff(a: Recipe, b: Recipe) -> list[tuple[str, Value, Value]]:
    """Return (key, value in ``a``, value in ``b``) where they differ, in the order of the class."""
    old, new = a.values(), b.values()
    return [(key, old[key], new[key]) for key in VALUE_TYPES if old[key] != new[key]]


def format_value(value: Value) -> str:
    """Return a value as a recipe file would have it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
