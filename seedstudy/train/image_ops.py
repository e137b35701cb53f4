"""PIL's image operations on whole batches: uint8 in, uint8 out, rounded and truncated as PIL does.

Every function takes images (n, 3, h, w) and parameters per image. Most operations agree with PIL's exactly, the others
within the bounds in tests/train/test_image_ops.py. The formulas are those of Pillow 13 (ImageOps.py, ImageEnhance.py,
Blend.c, Filter.c, Geometry.c, Resample.c).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_NUDGE = 1e-3
"""Grey levels added before truncation: a sum of float32 products may be just below the whole number it should be."""


# --- lookup tables --------------------------------------------------------------------------------------


def apply_tables(images: Tensor, argument: Tensor, counts: list[int]) -> Tensor:
    """Apply the operations of :data:`TABLES` to images sorted by operation, ``counts`` of each; arguments are (n,)."""
    levels = torch.arange(256.0, device=images.device).view(1, 1, 256)
    parts = zip(TABLES.values(), images.split(counts), argument[:, None, None].split(counts), strict=True)
    tables = [
        table_of(own, levels, arguments).to(torch.uint8).expand(len(own), 3, 256)
        for table_of, own, arguments in parts
        if len(own)
    ]
    return torch.cat(tables).gather(2, images.flatten(2).long()).view(images.shape)


def _autocontrast(images: Tensor, levels: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel from its darkest and lightest pixel to 0 and 255."""
    pixels = images.flatten(2)
    low, high = pixels.amin(2, keepdim=True).double(), pixels.amax(2, keepdim=True).double()
    scale = torch.full_like(high, 255.0) / (high - low).clamp(min=1)  # a number over a tensor would round twice
    stretched = (levels.double() * scale + -low * scale).trunc().clamp(0, 255)
    return torch.where(high > low, stretched, levels)


def _equalize(images: Tensor, levels: Tensor, _: Tensor) -> Tensor:
    """Flatten each channel's histogram; a channel with too few pixels for a whole step is unchanged."""
    pixels = images.flatten(2).long()
    counts = torch.zeros(*pixels.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, pixels, torch.ones_like(pixels))
    brightest = counts.gather(2, pixels.amax(2, keepdim=True))
    step = (pixels.shape[2] - brightest) // 255
    below = counts.cumsum(2) - counts
    equalized = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, equalized, levels)


def _posterize(_: Tensor, levels: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest bits."""
    step = torch.exp2(8 - bits.clamp(0, 8))
    return levels // step * step


def _contrast(images: Tensor, levels: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean of the grey image."""
    grey = greyscale(images).flatten(1)
    n_pixels = grey.shape[1]
    mean = (2 * grey.sum(1, dtype=torch.long) + n_pixels) // (2 * n_pixels)
    return blend(mean.float()[:, None, None], levels, factor)


TABLES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "AutoContrast": _autocontrast,
    "Equalize": _equalize,
    "Invert": lambda _, levels, __: 255 - levels,
    "Posterize": _posterize,
    "Solarize": lambda _, levels, threshold: torch.where(levels < threshold, levels, 255 - levels),
    "SolarizeAdd": lambda _, levels, added: torch.where(levels < 128, levels + added, levels).clamp(max=255),
    "Brightness": lambda _, levels, factor: (levels * factor).clamp(0, 255),
    "Contrast": _contrast,
}
"""Operations that map each level of a channel to another: images (n, 3, h, w), the levels 0 to 255 (1, 1, 256) and
arguments (n, 1, 1) in, tables (n or 1, 3 or 1, 256) out, to be truncated. A factor of 1 changes nothing."""


# --- blends ---------------------------------------------------------------------------------------------


def blend(start: Tensor, end: Tensor, factor: Tensor) -> Tensor:
    """Return start + factor * (end - start), truncated and clipped; floats of whole grey levels in, uint8 out."""
    return (end - start).mul(factor).add(start).clamp(0, 255).to(torch.uint8)


def color(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; ``factor`` (n,) of 1 changes nothing."""
    return blend(greyscale(images)[:, None], images.float(), factor[:, None, None, None])


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed image; ``factor`` (n,) of 1 changes nothing."""
    pixels = images.float()
    smooth = pixels.clone()  # PIL's filters do not change the outermost pixels
    rows = pixels[:, :, :-2] + pixels[:, :, 1:-1] + pixels[:, :, 2:]
    nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    smooth[:, :, 1:-1, 1:-1] = ((nine + 4 * pixels[:, :, 1:-1, 1:-1]) / 13 + 0.5).floor()
    return blend(smooth, pixels, factor[:, None, None, None])


def greyscale(images: Tensor) -> Tensor:
    """Return the luma (ITU-R 601-2) of each pixel as whole floats, shape (n, h, w)."""
    red, green, blue = images.float().unbind(1)
    # Below 2^24 every float32 is exact, so this is PIL's integer formula.
    return ((red * 19595 + green * 38470 + blue * 7471 + 32768) / 65536).floor()


# --- geometry -------------------------------------------------------------------------------------------


def resized_crop(images: Tensor, boxes: Tensor, is_bicubic: Tensor, is_flipped: Tensor, *, size: int) -> Tensor:
    """Cut out ``boxes`` (n, 4) of top, left, height, width; resize them to ``size`` (antialiased) and flip.

    Two passes of one matrix per image, across and then down, with uint8 in between, as PIL does. (Since version 13
    Pillow goes down first where that is cheaper: clipping in between may then differ.)
    """
    n, channels, height, width = images.shape
    upright = torch.arange(size, device=images.device).expand(n, -1)
    flipped = torch.where(is_flipped[:, None], size - 1 - upright, upright)
    across = _resize_weights(boxes[:, 1], boxes[:, 3], flipped, width, is_bicubic)
    down = _resize_weights(boxes[:, 0], boxes[:, 2], upright, height, is_bicubic)
    rows = torch.empty(n, height, channels, width, device=images.device).copy_(images.transpose(1, 2))
    resized = torch.bmm(rows.view(n, height * channels, width), across.transpose(1, 2))
    resized = resized.add_(0.5).clamp_(0, 255).floor_()
    resized = torch.bmm(down, resized.view(n, height, channels * size)).add_(0.5).clamp_(0, 255)
    cropped = torch.empty(n, channels, size, size, dtype=torch.uint8, device=images.device)
    return cropped.copy_(resized.view(n, size, channels, size).transpose(1, 2))


_MAX_TABLE_BYTES = 1 << 26


def _resize_weights(start: Tensor, length: Tensor, places: Tensor, n_in: int, is_bicubic: Tensor) -> Tensor:
    """Return (n, n_out, n_in): how much of each input pixel goes into the output pixels at ``places`` (n, n_out)."""
    n, n_out = places.shape
    if 2 * n_in**2 * n_out * n_in * 4 > _MAX_TABLE_BYTES:
        return _cubic_or_linear(start, length, places, n_in, is_bicubic)
    table = _all_weights(n_in, n_out, start.device)
    boxes = (is_bicubic * n_in + start) * n_in + length - 1
    return table.index_select(0, (boxes[:, None] * n_out + places).flatten()).view(n, n_out, n_in)


@cache
def _all_weights(n_in: int, n_out: int, device: torch.device) -> Tensor:
    """Return the weights of every box there can be, shape (2 * n_in * n_in * n_out, n_in): small images have few."""
    every = torch.cartesian_prod(torch.arange(2), torch.arange(n_in), torch.arange(1, n_in + 1)).to(device)
    places = torch.arange(n_out, device=device).expand(len(every), -1)
    return _cubic_or_linear(every[:, 1], every[:, 2], places, n_in, every[:, 0] == 1).view(-1, n_in)


def _cubic_or_linear(start: Tensor, length: Tensor, places: Tensor, n_in: int, is_bicubic: Tensor) -> Tensor:
    """Return the weights of PIL's resizing (Keys 1981 with a = -0.5, or a triangle), widened where it shrinks."""
    length = length[:, None, None]
    scale = length / places.shape[1]
    offset = torch.arange(n_in, device=start.device) - start[:, None, None]
    distance = ((offset + 0.5 - (places[..., None] + 0.5) * scale) / scale.clamp(min=1)).abs()
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    bicubic = torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
    weights = torch.where(is_bicubic[:, None, None], bicubic, (1 - distance).clamp(min=0))
    weights = torch.where((offset >= 0) & (offset < length), weights, 0)
    return weights / weights.sum(2, keepdim=True)


def shift_columns(images: Tensor, shifts: Tensor, fill: Tensor, *, is_bicubic: bool) -> Tensor:
    """Move each column up by ``shifts`` (n, w) pixels; pixels from outside the image are ``fill`` (3,)."""
    n, _, height, width = images.shape
    taps = _taps(is_bicubic)
    whole = shifts.floor()
    steps = torch.arange(taps[0], height + taps[-1], dtype=torch.int32, device=images.device)[:, None]
    rows = (whole.int()[:, None] + steps).clamp_(0, height - 1)
    index = rows.mul_(width) + torch.arange(width, dtype=torch.int32, device=images.device) + _first_pixels(images)
    # One weight for each pixel: every operand then runs through memory without a jump.
    weights = [
        weight[:, None].expand(n, height, width).contiguous()
        for weight in _transform_weights(shifts - whole, is_bicubic=is_bicubic)
    ]
    moved = torch.zeros(images.shape, device=images.device)
    for channel, mixed in zip(images.unbind(1), moved.unbind(1), strict=True):
        neighbours = _picked(channel.float(), index)
        for tap, weight in enumerate(weights):
            mixed.addcmul_(neighbours[:, tap : tap + height], weight)
    centres = torch.arange(height, device=images.device)[:, None] + 0.5 + shifts[:, None]
    return _filled(moved, (centres >= 0) & (centres < height), fill)


def rotate(images: Tensor, degrees: Tensor, fill: Tensor, *, is_bicubic: bool) -> Tensor:
    """Rotate counter-clockwise by ``degrees`` (n,) about the centre; pixels from outside it are ``fill`` (3,)."""
    _, _, height, width = images.shape
    angle = -torch.deg2rad(degrees)[:, None, None]
    cos, sin = angle.cos(), angle.sin()
    x = torch.arange(width, device=images.device) + 0.5 - width / 2
    y = (torch.arange(height, device=images.device) + 0.5 - height / 2)[:, None]
    x_in, y_in = cos * x + sin * y + width / 2, cos * y - sin * x + height / 2
    is_inside = (x_in >= 0) & (x_in < width) & (y_in >= 0) & (y_in < height)
    left, top = (x_in - 0.5).floor(), (y_in - 0.5).floor()
    taps = _taps(is_bicubic)
    across = _transform_weights(x_in - 0.5 - left, is_bicubic=is_bicubic)
    down = _transform_weights(y_in - 0.5 - top, is_bicubic=is_bicubic)
    left, top = left.int(), top.int()
    columns = torch.stack([(left + tap).clamp_(0, width - 1) for tap in taps])
    channels = [channel.float() for channel in images.unbind(1)]
    first = _first_pixels(images)
    turned = torch.zeros(images.shape, device=images.device)
    for tap, weight in zip(taps, down, strict=True):  # row by row: these pixels stay in the cache
        index = columns + ((top + tap).clamp_(0, height - 1).mul_(width) + first)
        weights = [other * weight for other in across]
        for channel, mixed in zip(channels, turned.unbind(1), strict=True):
            for neighbour, product in zip(_picked(channel, index), weights, strict=True):
                mixed.addcmul_(neighbour, product)
    return _filled(turned, is_inside, fill)


def _taps(is_bicubic: bool) -> range:
    """Return the offsets of the pixels that are interpolated, from the one before the position."""
    return range(-1, 3) if is_bicubic else range(0, 2)


def _transform_weights(d: Tensor, *, is_bicubic: bool) -> list[Tensor]:
    """Return the weight of each tap, ``d`` pixels on; PIL's transforms are cubic with a = -1 (its resizing: -0.5)."""
    if not is_bicubic:
        return [1 - d, d]
    square, cube = d * d, d * d * d
    return [2 * square - d - cube, 1 - 2 * square + cube, d + square - cube, cube - square]


def _first_pixels(images: Tensor) -> Tensor:
    """Return each image's first index in one channel of all images, (n, 1, 1); indexing by int32 is the faster."""
    n, _, height, width = images.shape
    return torch.arange(n, dtype=torch.int32, device=images.device)[:, None, None] * (height * width)


def _picked(channel: Tensor, index: Tensor) -> Tensor:
    """Return the pixels of one channel of all images, (n, h, w), at ``index``, in its shape."""
    return channel.flatten().index_select(0, index.flatten()).view(index.shape)


def _filled(pixels: Tensor, is_inside: Tensor, fill: Tensor) -> Tensor:
    pixels = pixels.add_(_NUDGE).clamp_(0, 255).to(torch.uint8)
    return torch.where(is_inside[:, None], pixels, fill.view(1, 3, 1, 1))
