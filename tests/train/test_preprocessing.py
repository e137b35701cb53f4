"""Test-time preprocessing of published weights: timm's own, pixel for pixel."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from seedstudy.errors import StudyError
from seedstudy.train.preprocessing import Normaliser, Preprocessing


def config(name: str) -> dict[str, Any]:
    return timm.get_pretrained_cfg(name).to_dict()


def kind(name: str) -> tuple[Any, ...]:
    """Return what decides the pixels, apart from the size."""
    cfg = timm.get_pretrained_cfg(name)
    return (cfg.crop_mode, cfg.interpolation, cfg.crop_pct, cfg.test_crop_pct, cfg.test_input_size is None, cfg.mean)


def smallest_of_each_kind() -> list[str]:
    names = [name for name in timm.list_pretrained() if "in1k" in name]
    names.sort(key=lambda name: (str(kind(name)), timm.get_pretrained_cfg(name).input_size))
    return [next(group) for _, group in groupby(names, kind)]


def photo(height: int, width: int) -> Image.Image:
    """Return an image with edges and slopes, so that a pixel's shift shows."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([(x // 7 + y // 5) % 2 * 255, x * 255 // width, y * 255 // height], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def by_timm(name: str) -> Any:
    """Return the eval transform that timm's validate.py makes for the weights."""
    data_config = resolve_data_config(pretrained_cfg=config(name), use_test_size=True)
    return create_transform(**data_config, is_training=False)


@pytest.mark.parametrize("name", smallest_of_each_kind())
def test_pixels_are_those_of_timm(name: str) -> None:
    ours, theirs = Preprocessing.from_timm(config(name)), by_timm(name)
    for image in (photo(375, 500), photo(640, 300)):
        pixels = torch.as_tensor(ours.transform()(image))
        normalised = Normaliser(ours.mean, ours.std).in_two_steps(pixels[None])[0]
        torch.testing.assert_close(normalised, theirs(image), rtol=0, atol=2e-6)


def test_every_registered_set_of_weights_is_resolved_or_refused() -> None:
    refused = set()
    for name in timm.list_pretrained():
        try:
            preprocessing = Preprocessing.from_timm(config(name))
        except StudyError:
            refused.add(name)
        else:
            expected = resolve_data_config(pretrained_cfg=config(name), use_test_size=True)
            shown = (3, preprocessing.size, preprocessing.size)
            assert (shown, preprocessing.crop_mode) == (expected["input_size"], expected["crop_mode"])
    assert all("sapiens2" in name for name in refused)  # not square
    assert len(refused) == 5


def test_weights_are_tested_at_their_test_size_unless_the_training_size_is_named() -> None:
    cfg = config("resnet50.a1_in1k")
    assert str(Preprocessing.from_timm(cfg)) == "288 px, crop 1, bicubic"
    assert str(Preprocessing.from_timm(cfg, size=224)) == "224 px, crop 0.95, bicubic"
    assert str(Preprocessing.from_timm(cfg, size=256)) == "256 px, crop 1, bicubic"


@pytest.mark.parametrize(
    "change", [{"interpolation": "lanczos"}, {"crop_mode": "five"}, {"test_input_size": (1, 28, 28)}]
)
def test_unknown_preprocessing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="these weights"):
        Preprocessing.from_timm(config("resnet50.a1_in1k") | change)
