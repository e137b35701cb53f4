"""timm's training pipeline on whole batches, in tensors: crop, flip, RandAugment or jitter, normalise, erase.

Each image's random choices come from its batch's generator on the CPU, so that every device augments alike. Several
batches, of one seed or of many, are augmented in one call.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.data.auto_augment import RandAugment, rand_augment_transform
from torch import Tensor

from seedstudy.errors import RecipeError
from seedstudy.recipes.recipe import Recipe
from seedstudy.train import image_ops
from seedstudy.train.clips import folded, for_frames

# --- RandAugment's vocabulary ---------------------------------------------------------------------------

_SHIFTS = ("ShearY", "TranslateY", "ShearX", "TranslateX")

OPS = (*image_ops.TABLES, *_SHIFTS, "Rotate", "Color", "Sharpness")
"""timm's 15 operations (auto_augment.py, _RAND_INCREASING_TRANSFORMS), grouped by kind."""

NO_OP = len(OPS)

_FIRST_MOVE, _LAST_MOVE = OPS.index(_SHIFTS[0]), OPS.index("Rotate")
_BICUBIC = NO_OP + 1 - _FIRST_MOVE
"""Added to the index of an operation that moves pixels where it interpolates bicubically."""

_MAX_LEVEL = 10.0

_IN_CACHE = 256
"""Images of 32 px that a CPU crops or normalises at a time, so that they stay in a core's cache."""

_REACH = {"Rotate": 30.0, "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 0.45, "TranslateY": 0.45}
"""Largest argument to either side, at magnitude 10: degrees, pixels per pixel, share of the side."""


def parse_randaugment(text: str) -> RandAugment:
    """Read a string such as ``rand-m7-mstd0.5-inc1`` with timm; RecipeError for what timm does not know, or ignores."""
    variant, *sections = text.split("-")
    if variant != "rand":
        raise RecipeError(f'randaugment = "{text}" is not of the form "rand-m7-mstd0.5-inc1".')
    for section in sections:
        if not re.fullmatch(r"(m|mmax|n|inc)\d+|(mstd|p)\d+\.?\d*", section):
            raise RecipeError(f'randaugment = "{text}": timm does not know "{section}".')
    return rand_augment_transform(text, {})


# --- random choices --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Crops:
    """Where ``n`` images of one size are cropped, and how; on the CPU."""

    box: Tensor
    """(n, 4) int64: top, left, height, width, in pixels of the image."""
    is_bicubic: Tensor
    """(n,) bool: how the crop is resized; otherwise bilinear."""
    is_flipped: Tensor
    """(n,) bool"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """The random choices for ``n`` cropped images, on the CPU."""

    op: Tensor
    """(n, n_layers) int64: index into :data:`OPS`, or :data:`NO_OP`."""
    argument: Tensor
    """(n, n_layers) float32, in the operation's unit: degrees, pixels per pixel, share of the side, factor, level."""
    op_is_bicubic: Tensor
    """(n, n_layers) bool: for operations that move pixels."""
    erased: Tensor
    """(n, 4) int64: top, left, height, width of the erased rectangle; height 0 erases nothing."""
    noise: Tensor
    """(number of images erased, 3 * n_frames, size, size) float32: what fills their rectangles, in order."""


@dataclass(frozen=True, slots=True)
class Chance:
    """The source of ``n`` images' random numbers: size and generator (on the CPU) of each of their batches.

    A batch's numbers do not depend on the other batches.
    """

    batches: Sequence[tuple[int, torch.Generator]]

    @property
    def n(self) -> int:
        """How many images there are."""
        return sum(size for size, _ in self.batches)

    def draw(self, function: Callable[..., Tensor], *shape: int, **options: Any) -> Tensor:
        """Return what one of torch's random functions makes for every batch, (n, *shape)."""
        return torch.cat([function((n, *shape), generator=generator, **options) for n, generator in self.batches])

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return float64 (n, *shape), uniform from ``low`` to ``high``."""
        return self.draw(torch.rand, *shape, dtype=torch.float64) * (high - low) + low

    def is_below(self, probability: float, *shape: int) -> Tensor:
        """Return bool (n, *shape), true with a probability."""
        return self.draw(torch.rand, *shape) < probability

    def noise(self, is_drawn: Tensor, *shape: int) -> Tensor:
        """Return float32 (number of true, *shape), standard normal, for the images where ``is_drawn`` (n,) is true."""
        counts = [int(part.sum()) for part in is_drawn.split([size for size, _ in self.batches])]
        drawn = zip(counts, self.batches, strict=True)
        return torch.cat([torch.randn((n, *shape), generator=generator) for n, (_, generator) in drawn])


class BatchedAugmenter:
    """The training augmentation of a recipe, in timm's order, with timm's probabilities and magnitudes.

    A clip is drawn for as one image is, and all its frames are cropped, flipped and changed alike.

    Operations agree with PIL's within rounding (:mod:`~seedstudy.train.image_ops`). The random numbers do not come in
    timm's order, so that single images cannot be compared with timm's by seed.
    """

    def __init__(self, recipe: Recipe, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        """Take the data set's ``mean`` and ``std`` per channel, on the 0-1 scale, and the device of the images."""
        self._recipe, self._device = recipe, device
        self._randaugment = None if recipe.randaugment is None else parse_randaugment(recipe.randaugment)
        # timm leaves the colour jitter out where RandAugment is on.
        self._jitter = (recipe.color_jitter or 0.0) if self._randaugment is None else 0.0
        self._fill = torch.tensor([min(255, round(255 * value)) for value in mean], dtype=torch.uint8, device=device)
        n = recipe.train_size**2
        self._scale = (1.0 / (255.0 * torch.tensor(std))).repeat(n).to(device)
        self._offset = -(torch.tensor(mean) / torch.tensor(std)).repeat(n).to(device)
        # How many neighbouring operations are applied together, and the function that does it: images, their
        # arguments, and the number of images of each operation in, images out.
        self._kinds: tuple[tuple[int, Callable[[Tensor, Tensor, list[int]], Tensor]], ...] = (
            (len(image_ops.TABLES), image_ops.apply_tables),
            (len(_SHIFTS), partial(self._shift, is_bicubic=False)),
            (1, partial(self._rotate, is_bicubic=False)),
            (1, lambda images, factor, _: image_ops.color(images, factor)),
            (1, lambda images, factor, _: image_ops.sharpness(images, factor)),
            (1, lambda images, *_: images),
            (len(_SHIFTS), partial(self._shift, is_bicubic=True)),
            (1, partial(self._rotate, is_bicubic=True)),
        )

    def draw_crops(self, chance: Chance, height: int, width: int) -> Crops:
        """Draw the crops of images of ``height`` x ``width`` pixels."""
        recipe = self._recipe
        return Crops(
            box=_draw_boxes(chance, height, width, recipe.crop_scale, recipe.crop_ratio),
            is_bicubic=self._draw_interpolation(chance),
            is_flipped=chance.is_below(recipe.hflip),
        )

    def draw(self, chance: Chance) -> Draws:
        """Draw what is done to cropped images."""
        recipe, size = self._recipe, self._recipe.train_size
        op, argument = self._draw_ops(chance)
        op_is_bicubic = self._draw_interpolation(chance, op.shape[1])
        if recipe.random_erasing:
            erased = _draw_erased(chance, size, recipe.random_erasing)
            is_erased = erased[:, 2] > 0
            is_noise = recipe.random_erasing_fill == "pixel"  # the mean colour is 0 once normalised
            shape = (3 * recipe.n_frames, size, size)
            noise = chance.noise(is_erased, *shape) if is_noise else torch.zeros(int(is_erased.sum()), *shape)
        else:
            erased, noise = torch.zeros(chance.n, 4, dtype=torch.long), torch.zeros(0, 3 * recipe.n_frames, size, size)
        return Draws(op=op, argument=argument, op_is_bicubic=op_is_bicubic, erased=erased, noise=noise)

    def _draw_interpolation(self, chance: Chance, *shape: int) -> Tensor:
        chosen = self._recipe.train_interpolation
        if chosen == "random":
            return chance.is_below(0.5, *shape)
        return torch.full((chance.n, *shape), chosen == "bicubic")

    def _draw_ops(self, chance: Chance) -> tuple[Tensor, Tensor]:
        if self._randaugment is not None:
            return _draw_randaugment(chance, self._randaugment)
        if self._jitter:
            return _draw_jitter(chance, self._jitter)
        return torch.zeros(chance.n, 0, dtype=torch.long), torch.zeros(chance.n, 0)

    def apply(self, images: Tensor, draws: Draws) -> Tensor:
        """Map the uint8 crops of n images to floats (n, 3 * n_frames, train_size, train_size).

        The crops are those of all frames, (n * n_frames, 3, train_size, train_size). Does not wait for the device.
        """
        normal = folded(self._normalised(self._apply_ops(images, draws)), self._recipe.n_frames)
        return self._erase(normal, draws) if len(draws.noise) else normal

    def crop(self, images: Tensor, crops: Crops) -> Tensor:
        """Map uint8 images (n, 3, h, w) to uint8 crops (n, 3, train_size, train_size), flipped where they are.

        Of clips, all frames are given, and the crop of each clip is that of its frames.
        """
        n_frames = self._recipe.n_frames
        drawn = [self._sent(for_frames(part, n_frames)) for part in (crops.box, crops.is_bicubic, crops.is_flipped)]
        parts = zip(*(each.split(self._at_once(images)) for each in (images, *drawn)), strict=True)
        size = self._recipe.train_size
        return torch.cat([image_ops.resized_crop(*part, size=size) for part in parts])

    def _normalised(self, images: Tensor) -> Tensor:
        normal = torch.empty(images.shape, device=images.device, memory_format=torch.channels_last)  # for convolutions
        n_at_once = self._at_once(images)
        for part, levels in zip(normal.split(n_at_once), images.split(n_at_once), strict=True):
            for plane, of_channel in zip(part.unbind(1), levels.unbind(1), strict=True):  # all at once takes longer
                plane.copy_(of_channel)
            part.permute(0, 2, 3, 1).view(len(part), -1).mul_(self._scale).add_(self._offset)
        return normal

    def _at_once(self, images: Tensor) -> int:
        """Return how many images to process at a time; on other devices a call costs more than a cache miss."""
        return _IN_CACHE if images.device.type == "cpu" else len(images)

    def _apply_ops(self, images: Tensor, draws: Draws) -> Tensor:
        # The CPU sorts the images by operation and so knows the sizes without waiting for the device. They stay in one
        # layer's order until the next one.
        n_frames = self._recipe.n_frames
        op, argument, is_bicubic = (
            for_frames(each, n_frames) for each in (draws.op, draws.argument, draws.op_is_bicubic)
        )
        is_move = (op >= _FIRST_MOVE) & (op <= _LAST_MOVE)
        variant = op + _BICUBIC * (is_bicubic & is_move)
        n_variants = [n for n, _ in self._kinds]
        rows = torch.arange(len(images))
        for layer in range(variant.shape[1]):
            order = variant[rows, layer].argsort()
            rows = rows[order]
            counts = torch.bincount(variant[:, layer], minlength=sum(n_variants))
            counts_by_kind = [part.tolist() for part in counts.split(n_variants)]
            sizes = [sum(each) for each in counts_by_kind]
            ordered = images.index_select(0, self._sent(order)).split(sizes)
            arguments = self._sent(argument[rows, layer]).split(sizes)
            parts = zip(self._kinds, ordered, arguments, counts_by_kind, strict=True)
            images = torch.cat([apply(*part) for (_, apply), *part in parts if len(part[0])])
        return images.index_select(0, self._sent(rows.argsort()))

    def _rotate(self, images: Tensor, degrees: Tensor, _: list[int], *, is_bicubic: bool) -> Tensor:
        return image_ops.rotate(images, degrees, self._fill, is_bicubic=is_bicubic)

    def _shift(self, images: Tensor, argument: Tensor, sizes: list[int], *, is_bicubic: bool) -> Tensor:
        """Apply shears and translations to images sorted as :data:`_SHIFTS`."""
        side = images.shape[2]
        n_upright = sizes[0] + sizes[1]
        # Rows are shifted as the columns of the transposed images.
        views = torch.cat([images[:n_upright], images[n_upright:].transpose(2, 3)])
        centres = torch.arange(side, device=images.device) + 0.5
        shears, shifts = (argument[:, None] * centres).split(sizes), (argument[:, None] * side).split(sizes)
        columns = torch.cat([shears[0], shifts[1].expand(-1, side), shears[2], shifts[3].expand(-1, side)])
        moved = image_ops.shift_columns(views, columns, self._fill, is_bicubic=is_bicubic)
        return torch.cat([moved[:n_upright], moved[n_upright:].transpose(2, 3)])

    def _erase(self, batch: Tensor, draws: Draws) -> Tensor:
        size = batch.shape[2]
        rows = draws.erased[:, 2].nonzero()[:, 0]
        top, left, height, width = self._sent(draws.erased[rows]).T[..., None]
        steps = torch.arange(size, device=batch.device)
        is_down = (steps >= top) & (steps < top + height)
        is_across = (steps >= left) & (steps < left + width)
        is_erased = (is_down[:, :, None] & is_across[:, None, :])[:, None]
        rows = self._sent(rows)
        return batch.index_copy_(0, rows, torch.where(is_erased, self._sent(draws.noise), batch[rows]))

    def _sent(self, drawn: Tensor) -> Tensor:
        return drawn.to(self._device, non_blocking=True)


# --- drawing, as timm and torchvision draw ---------------------------------------------------------------


def _draw_boxes(
    chance: Chance, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Draw the boxes of RandomResizedCrop, (n, 4) of top, left, height, width."""
    area = scale[0] * height * width, scale[1] * height * width
    across, down, has_box = _draw_sides(chance, area, ratio, limits=(width, height))
    # Where none of ten attempts fits: the largest central box of an allowed ratio.
    whole_height, whole_width = min(height, round(width / ratio[0])), min(width, round(height * ratio[1]))
    sides = torch.stack([torch.where(has_box, down, whole_height), torch.where(has_box, across, whole_width)], 1)
    spare = torch.tensor([height, width]) - sides.clamp_(min=1)
    start = torch.where(has_box[:, None], chance.uniform(2) * (spare + 1), spare / 2).floor()
    return torch.cat([start, sides], 1).long()


def _draw_erased(chance: Chance, size: int, probability: float) -> Tensor:
    """Draw the rectangles of timm's RandomErasing, (n, 4) of top, left, height, width; height 0: none."""
    area, ratio = (0.02 * size * size, size * size / 3), (0.3, 1 / 0.3)
    height, width, fits = _draw_sides(chance, area, ratio, limits=(size - 1, size - 1))
    sides, place = torch.stack([height, width], 1), chance.uniform(3)
    start = (place[:, :2] * (size - sides + 1)).floor()
    is_erased = fits & (place[:, 2] < probability)
    return (torch.cat([start, sides], 1) * is_erased[:, None]).long()


def _draw_sides(
    chance: Chance, area: tuple[float, float], ratio: tuple[float, float], *, limits: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw ten rectangles for each image and take the first one with sides up to ``limits``.

    Returns the sides that grow and shrink with the aspect ratio, and whether a rectangle fits, each (n,).
    """
    areas = chance.uniform(10, low=area[0], high=area[1])
    aspects = chance.uniform(10, low=math.log(ratio[0]), high=math.log(ratio[1])).exp()
    growing, shrinking = (areas * aspects).sqrt().round(), (areas / aspects).sqrt().round()
    fits = (growing <= limits[0]) & (shrinking <= limits[1])
    first = fits.int().argmax(1, keepdim=True)
    return growing.gather(1, first)[:, 0], shrinking.gather(1, first)[:, 0], fits.any(1)


def _draw_randaugment(chance: Chance, policy: RandAugment) -> tuple[Tensor, Tensor]:
    """Draw operations and their arguments, each (n, n_layers)."""
    n_layers, options = policy.num_layers, policy.ops[0]  # which all operations share
    op = chance.draw(partial(torch.randint, len(OPS)), n_layers)
    is_applied = chance.uniform(n_layers) < options.prob
    level = options.magnitude + options.magnitude_std * chance.draw(torch.randn, n_layers, dtype=torch.float64)
    if math.isinf(options.magnitude_std):
        level = chance.uniform(n_layers, high=options.magnitude)
    share = level.clamp(0, options.magnitude_max or _MAX_LEVEL) / _MAX_LEVEL
    sign = torch.where(chance.is_below(0.5, n_layers), 1, -1)
    arguments = _arguments(share, sign, is_increasing=any(each.name.endswith("Increasing") for each in policy.ops))
    argument = arguments.gather(0, op[None])[0]
    return torch.where(is_applied, op, NO_OP), argument.float()


def _arguments(share: Tensor, sign: Tensor, *, is_increasing: bool) -> Tensor:
    """Return each operation's argument at a ``share`` of the largest magnitude, shape (len(OPS), *share.shape)."""
    bits, threshold = (share * 4).trunc(), (share * 256).trunc().clamp(max=256)
    factor = (1 + sign * share * 0.9).clamp(min=0.1) if is_increasing else share * 1.8 + 0.1
    by_name = {
        "Posterize": 4 - bits if is_increasing else bits,
        "Solarize": 256 - threshold if is_increasing else threshold,
        "SolarizeAdd": (share * 110).trunc().clamp(max=128),
        **dict.fromkeys(("Brightness", "Contrast", "Color", "Sharpness"), factor),
        **{name: sign * share * reach for name, reach in _REACH.items()},
    }
    return torch.stack([by_name.get(name, torch.zeros_like(share)) for name in OPS])


def _draw_jitter(chance: Chance, strength: float) -> tuple[Tensor, Tensor]:
    """Draw torchvision's ColorJitter of brightness, contrast and saturation, in random order."""
    ops = torch.tensor([OPS.index(name) for name in ("Brightness", "Contrast", "Color")])
    op = ops[chance.draw(torch.rand, 3).argsort(1)]  # in random order
    return op, chance.uniform(3, low=max(0.0, 1 - strength), high=1 + strength).float()
