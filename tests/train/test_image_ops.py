"""Every operation against PIL's own, on patches of photographs, over the range of its argument."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images
from timm.data import auto_augment
from torch import Tensor
from torchvision.transforms import InterpolationMode

from seedstudy.train import image_ops

N = 208
SIDE = 32
FILL = (99, 120, 131)

PilOp = Callable[[Image.Image, float], Image.Image]


@pytest.fixture(scope="module")
def photographs() -> np.ndarray:
    """Return patches of two photographs at several scales, shape (N, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    patches = []
    for picture in load_sample_images().images:
        for _ in range(N // 2):
            side = int(rng.integers(SIDE, 200))
            top, left = rng.integers(0, picture.shape[0] - side), rng.integers(0, picture.shape[1] - side)
            patch = Image.fromarray(picture[top : top + side, left : left + side])
            patches.append(np.asarray(patch.resize((SIDE, SIDE), Image.Resampling.BOX)))
    return np.stack(patches)


def batch_of(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def differences(ours: Tensor, images: np.ndarray, reference: PilOp, arguments: Tensor) -> np.ndarray:
    """Return |ours - PIL's| in grey levels, shape (N, h, w, 3)."""
    theirs = [
        np.asarray(reference(Image.fromarray(image), argument.item()))
        for image, argument in zip(images, arguments, strict=True)
    ]
    return np.abs(ours.permute(0, 2, 3, 1).numpy().astype(int) - np.stack(theirs).astype(int))


def spread(low: float, high: float) -> Tensor:
    """Return N arguments from end to end of a range."""
    return torch.linspace(low, high, N, dtype=torch.float64).float()


EXACT: dict[str, tuple[PilOp, Tensor]] = {
    "AutoContrast": (lambda i, _: ImageOps.autocontrast(i), spread(0, 0)),
    "Equalize": (lambda i, _: ImageOps.equalize(i), spread(0, 0)),
    "Invert": (lambda i, _: ImageOps.invert(i), spread(0, 0)),
    "Posterize": (lambda i, bits: auto_augment.posterize(i, int(bits)), spread(1, 8).round()),  # PIL refuses 0 bits
    "Solarize": (lambda i, level: auto_augment.solarize(i, int(level)), spread(0, 256).round()),
    "SolarizeAdd": (lambda i, added: auto_augment.solarize_add(i, int(added)), spread(0, 128).round()),
    "Brightness": (auto_augment.brightness, spread(0.1, 1.9)),
    "Contrast": (auto_augment.contrast, spread(0.1, 1.9)),
}


def by_table(name: str, batch: Tensor, arguments: Tensor) -> Tensor:
    return image_ops.apply_tables(batch, arguments, [len(batch) * (each == name) for each in image_ops.TABLES])


@pytest.mark.parametrize("name", EXACT)
def test_operations_by_table_equal_pils(name: str, photographs: np.ndarray) -> None:
    reference, arguments = EXACT[name]
    ours = by_table(name, batch_of(photographs), arguments)
    assert differences(ours, photographs, reference, arguments).max() == 0


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize", "Contrast"])
def test_operations_that_look_at_the_image_equal_pils_on_hard_ones(name: str) -> None:
    # Constant images, two-coloured ones and ones with few levels take other branches.
    rng = np.random.default_rng(1)
    low, high = rng.integers(0, 255, (2, N))
    levels = np.minimum(low, high) + rng.integers(0, np.abs(high - low) + 1, (SIDE, SIDE, 3, N)) // 7 * 7
    images = np.ascontiguousarray(np.minimum(levels, 255).transpose(3, 0, 1, 2)).astype(np.uint8)
    images[:20] = 77
    images[20:40, :16] = 3
    arguments = spread(0.1, 1.9)
    ours = by_table(name, batch_of(images), arguments)
    assert differences(ours, images, EXACT[name][0], arguments).max() == 0


@pytest.mark.parametrize(
    ("ours", "reference"), [(image_ops.color, auto_augment.color), (image_ops.sharpness, auto_augment.sharpness)]
)
def test_blends_equal_pils(ours: Callable[[Tensor, Tensor], Tensor], reference: PilOp, photographs: np.ndarray) -> None:
    factors = spread(0.1, 1.9)
    assert differences(ours(batch_of(photographs), factors), photographs, reference, factors).max() == 0


def _shifted(batch: Tensor, columns: Tensor, is_bicubic: bool) -> Tensor:
    return image_ops.shift_columns(batch, columns, torch.tensor(FILL, dtype=torch.uint8), is_bicubic=is_bicubic)


def _turned(batch: Tensor) -> Tensor:
    return batch.transpose(2, 3)


CENTRES = torch.arange(SIDE) + 0.5
MOVES: dict[str, tuple[Callable[[Tensor, Tensor, bool], Tensor], Callable[..., Image.Image], float]] = {
    "ShearX": (lambda x, a, b: _turned(_shifted(_turned(x), a[:, None] * CENTRES, b)), auto_augment.shear_x, 0.3),
    "ShearY": (lambda x, a, b: _shifted(x, a[:, None] * CENTRES, b), auto_augment.shear_y, 0.3),
    "TranslateX": (
        lambda x, a, b: _turned(_shifted(_turned(x), (a[:, None] * SIDE).expand(-1, SIDE), b)),
        auto_augment.translate_x_rel,
        0.45,
    ),
    "TranslateY": (
        lambda x, a, b: _shifted(x, (a[:, None] * SIDE).expand(-1, SIDE), b),
        auto_augment.translate_y_rel,
        0.45,
    ),
    "Rotate": (
        lambda x, a, b: image_ops.rotate(x, a, torch.tensor(FILL, dtype=torch.uint8), is_bicubic=b),
        auto_augment.rotate,
        30.0,
    ),
}


@pytest.mark.parametrize("is_bicubic", [False, True])
@pytest.mark.parametrize("name", MOVES)
def test_moves_equal_pils_within_one_grey_level(name: str, is_bicubic: bool, photographs: np.ndarray) -> None:
    ours, reference, reach = MOVES[name]
    arguments = spread(-reach, reach)
    resample = Image.Resampling.BICUBIC if is_bicubic else Image.Resampling.BILINEAR
    off = differences(
        ours(batch_of(photographs), arguments, is_bicubic),
        photographs,
        lambda image, argument: reference(image, argument, resample=resample, fillcolor=FILL),
        arguments,
    )
    assert off.max() <= 1  # a sum on the brink of a whole number, truncated
    assert (off > 0).mean() < 0.003


@pytest.mark.parametrize("is_bicubic", [False, True])
@pytest.mark.parametrize("size", [24, 32, 48])
def test_resized_crops_equal_pils(size: int, is_bicubic: bool, photographs: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    sides = rng.integers(1, SIDE + 1, (N, 2))
    starts = rng.integers(0, SIDE - sides + 1)
    is_flipped = torch.from_numpy(rng.random(N) < 0.5)
    boxes = torch.from_numpy(np.concatenate([starts, sides], axis=1))
    mode = InterpolationMode.BICUBIC if is_bicubic else InterpolationMode.BILINEAR

    def reference(image: Image.Image, row: float) -> Image.Image:
        top, left, height, width = boxes[int(row)].tolist()
        cropped = tvf.resized_crop(image, top, left, height, width, [size, size], mode)
        return tvf.hflip(cropped) if is_flipped[int(row)] else cropped

    ours = image_ops.resized_crop(batch_of(photographs), boxes, torch.full((N,), is_bicubic), is_flipped, size=size)
    off = differences(ours, photographs, reference, torch.arange(N))
    # PIL's weights are whole multiples of 2^-22: ties of the triangle's fractions round either way. Where it shrinks
    # rows first (Pillow >= 13, tall boxes made smaller), clipping in between moves a few pixels by more.
    assert (off > 0).mean() < (0.08 if size == 24 else 0.02)
    assert (off > 1).mean() < 3e-4
    assert off.max() <= (8 if size == 24 else 2)


def test_large_images_are_resized_alike_without_the_table_of_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    batch = torch.from_numpy(rng.integers(0, 256, (16, 3, SIDE, SIDE), dtype=np.uint8))
    boxes = torch.tensor([[3, 5, 20, 17]]).repeat(16, 1)
    choices = {"is_bicubic": torch.arange(16) % 2 == 0, "is_flipped": torch.arange(16) % 4 < 2}
    expected = image_ops.resized_crop(batch, boxes, **choices, size=28)
    monkeypatch.setattr(image_ops, "_MAX_TABLE_BYTES", 0)
    assert torch.equal(image_ops.resized_crop(batch, boxes, **choices, size=28), expected)
