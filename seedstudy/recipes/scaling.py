"""The written rule that scales a recipe to a data set smaller than ImageNet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from seedstudy.document import HIDDEN
from seedstudy.recipes.recipe import Recipe, Value, with_changes

IMAGENET_N_TRAIN = 1_281_167
KINETICS_N_TRAIN = 215_570
"""Videos of Kinetics-400, as recipes for clips count them (tensorflow/models, configs/video_classification.py)."""
KINETICS_FRAMES = 250
"""Of each video there: ten seconds (same source)."""
SMALLEST_BATCH = 128
MAX_LR_FACTOR = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """What scaling needs to know of a data set."""

    name: str
    n_train: int
    """Training images."""
    image_size: int | None
    """Height and width, pixels; None: each image has its own, and a recipe's sizes are used as written."""
    epoch_ratio: float = field(metadata=HIDDEN)
    """The epochs of a recipe are multiplied by this (0.04: 300 -> 12)."""
    clip_frames: int | None = field(default=None, metadata=HIDDEN)
    """Frames of its videos that a network is shown; None: images, or videos of lengths of their own."""
    video_frames: int | None = field(default=None, metadata=HIDDEN)
    """Frames of every video, where ``clip_frames`` are given."""
    smallest_batch: int = field(default=SMALLEST_BATCH, metadata=HIDDEN)
    """Of an update; less than 128 where that would leave hardly any update in an epoch."""

    @property
    def is_like_imagenet(self) -> bool:
        """Whether recipes are used as written: they are made for images of many sizes, and for so many of them."""
        return self.image_size is None and self.epoch_ratio == 1.0


_BY_UPDATE: Mapping[str, Value] = {"schedule_per": "update", "lr_lag": 0}


def scale(recipe: Recipe, data: DataFacts, *, epochs: int | None = None) -> Recipe:
    """Return the recipe scaled to a data set smaller than ImageNet by the written rule.

    1. **Epochs** are multiplied by the data set's ``epoch_ratio`` (``epochs`` overrides it).
    2. **Batch**: the recipe's updates per epoch are kept where a batch of at least 128 allows it: the power
       of two nearest to ``batch_size * n_train / 1,281,167``, at least 128, at most ``batch_size``, and never
       more than the training set holds; of fewer than 1,024 images of one's own an eighth is enough. It is one
       micro-batch where it is not larger than the recipe's.
    3. **Learning rates** (peak, warm-up, minimum) follow the batch by the optimiser's rule: linear for SGD and
       RMSProp (as EfficientNet states its own), the square root for LAMB and AdamW. The steps of these two have a
       length of their own, whatever the gradient's, so a schedule of few updates hardly moves: their rates also grow
       with the square root of the factor by which the updates shrink (the distance a random walk covers stays), up
       to ten times the recipe's.
    4. **Resolution**: tests run at the image's own size, uncropped; training keeps the recipe's ratio of train
       to test size, rounded to a multiple of 4. Where each image has a size of its own, the recipe's sizes stay.
    5. **Warm-up** and the epochs of a step schedule keep their share of all epochs, and the schedule moves at every
       update: a staircase of a few epochs would be too coarse, and an epoch too long for the learning rate to lag.
    6. **The average of the weights** keeps its window, 1 / (1 - decay), and its spacing as shares of all updates: at
       the recipe's own decay a short training would evaluate its initial weights.

    7. **A recipe that starts from weights** (``init``) keeps its batch, and its updates shrink as those of
       BiT-HyperRule do (Kolesnikov et al. 2020; google-research/big_transfer 140de6e, bit_hyperrule.py: 20,000, below
       500,000 training images 10,000, below 20,000 images 500), whatever the size of the images. This takes the place
       of rules 1 to 3; its batch is halved until the training set holds it, and the learning rates follow it.

    8. **Clips**: a recipe for clips is written for Kinetics-400, which takes ImageNet's place in the other rules. Where
       all videos have one length, a clip has the frames that the data set names, one after the other, and as many test
       clips as show each frame as often as the recipe's do on Kinetics' videos of 250 frames; three crops of a square
       frame that is tested whole are one. A recipe for images is shown the same clips.

    Everything else stays. ``sources`` says of each changed value what it was.

    ImageNet is what recipes are written for: only ``epochs`` changes anything there, and with it what rules 5 and 6 tie
    to the epochs.
    """
    if recipe.init is not None:
        return _scaled_start(recipe, data, epochs)
    if data.is_like_imagenet:
        if epochs is None or epochs == recipe.epochs:
            return recipe
        changes = _stretched(recipe, epochs, epochs / recipe.epochs)
        return with_changes(recipe, changes, how=f"scaled to {epochs} epochs")
    new_epochs = epochs if epochs is not None else max(1, round(recipe.epochs * data.epoch_ratio))
    batch = _scaled_batch(recipe, data)
    share = batch / recipe.batch_size
    old_updates = recipe.epochs * (_home(recipe) // recipe.batch_size)
    new_updates = new_epochs * max(1, data.n_train // batch)
    is_adaptive = _is_adaptive(recipe)
    factor = min(MAX_LR_FACTOR, math.sqrt(share * old_updates / new_updates)) if is_adaptive else share
    changed: dict[str, Value] = {
        **_stretched(recipe, new_epochs, new_updates / old_updates),
        **_BY_UPDATE,
        "batch_size": batch,
        "micro_batch": min(recipe.micro_batch, batch),
        "lr": recipe.lr * factor,
        "warmup_lr": recipe.warmup_lr * factor,
        "min_lr": recipe.min_lr * factor,
    }
    if data.image_size is not None:
        changed |= _sizes(recipe, data.image_size)
    changed |= _clips(recipe, data)
    return with_changes(recipe, changed, how=f"scaled to {data.name}")


def _is_adaptive(recipe: Recipe) -> bool:
    return recipe.optimizer in ("lamb", "adamw")


def _sizes(recipe: Recipe, image_size: int) -> dict[str, Value]:
    """Return the sizes of rule 4."""
    ratio = recipe.train_size / recipe.test_size
    return {"test_size": image_size, "test_crop": 1.0, "train_size": max(8, 4 * round(image_size * ratio / 4))}


def _home(recipe: Recipe) -> int:
    """Return the number of training examples that a recipe is written for."""
    return IMAGENET_N_TRAIN if recipe.clip_frames is None else KINETICS_N_TRAIN


def _clips(recipe: Recipe, data: DataFacts) -> dict[str, Value]:
    """Return the frames and views of rule 8."""
    if data.clip_frames is None or data.video_frames is None:
        return {}
    shown = (recipe.clip_frames or KINETICS_FRAMES) * recipe.clip_stride * recipe.test_clips / KINETICS_FRAMES
    n_clips = max(1, round(shown * data.video_frames / data.clip_frames))
    return {"clip_frames": data.clip_frames, "clip_stride": 1, "test_clips": n_clips, "test_crops": 1}


BIT_UPDATES = ((500_000, 1.0), (20_000, 0.5), (0, 0.025))
"""Training images, at least -> the updates of BiT-HyperRule, as a share of those of a large data set."""


def _scaled_start(recipe: Recipe, data: DataFacts, epochs: int | None) -> Recipe:
    """Return a recipe that starts from weights, by rule 7."""
    batch = recipe.batch_size
    while batch > data.n_train and batch > 1:
        batch //= 2
    share = next(share for least, share in BIT_UPDATES if data.n_train >= least)
    old_updates = recipe.epochs * (_home(recipe) // recipe.batch_size)
    per_epoch = max(1, data.n_train // batch)
    if epochs is None:
        is_large = data.n_train >= BIT_UPDATES[0][0]
        epochs = recipe.epochs if is_large else max(1, math.ceil(share * old_updates / per_epoch))
    new_batch = batch / recipe.batch_size
    factor = math.sqrt(new_batch) if _is_adaptive(recipe) else new_batch
    rates = ("lr", "warmup_lr", "min_lr")
    changed: dict[str, Value] = {
        **_stretched(recipe, epochs, epochs * per_epoch / old_updates),
        "batch_size": batch,
        "micro_batch": min(recipe.micro_batch, batch),
        **{name: getattr(recipe, name) * factor for name in rates},
        **({} if data.image_size is None else _sizes(recipe, data.image_size)),
        **_clips(recipe, data),
    }
    if epochs != recipe.epochs:
        changed |= _BY_UPDATE
    return with_changes(recipe, changed, how=f"scaled to {data.name}")


def imagenet_updates(values: Mapping[str, Value]) -> Value:
    """Return how often a recipe updates the weights on ImageNet (RSB Table 2 counts them as forward passes)."""
    epochs, batch_size = values["epochs"], values["batch_size"]
    if not isinstance(epochs, int) or not isinstance(batch_size, int) or values["clip_frames"] is not None:
        return None
    return epochs * (IMAGENET_N_TRAIN // batch_size)


def _stretched(recipe: Recipe, epochs: int, updates: float) -> dict[str, Value]:
    """Return what follows from another number of epochs, with ``updates`` times as many updates in all."""
    stretch = epochs / recipe.epochs
    kind, *steps = recipe.schedule.split("-")
    if steps:  # a cosine spans all epochs anyway
        steps[0] = ",".join(f"{float(epoch) * stretch:.6g}" for epoch in steps[0].split(","))
    values: dict[str, Value] = {
        "epochs": epochs,
        "cooldown_epochs": round(recipe.cooldown_epochs * stretch),
        "schedule": "-".join([kind, *steps]),
        "warmup_epochs": recipe.warmup_epochs * stretch,
    }
    if recipe.ema_decay is not None:
        every = max(1, round(recipe.ema_every * updates))
        shrink = every / recipe.ema_every / updates  # of the number of updates of the average
        values |= {
            "ema_decay": max(0.0, 1.0 - (1.0 - recipe.ema_decay) * shrink),
            "ema_every": every,
            "ema_start_epochs": recipe.ema_start_epochs * stretch,
        }
    return values


def _scaled_batch(recipe: Recipe, data: DataFacts) -> int:
    wanted: int = 2 ** round(math.log2(recipe.batch_size * data.n_train / _home(recipe)))
    batch = min(max(wanted, data.smallest_batch), recipe.batch_size)
    while batch > data.n_train:
        batch //= 2
    return max(batch, 1)
