"""How an image is shown to a network at test: resized, centre-cropped, normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.data import resolve_data_config
from timm.data.transforms_factory import transforms_imagenet_eval
from torch import Tensor

from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe

Channels = tuple[float, float, float]
"""One number per colour, on the 0-1 scale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """The test-time preprocessing of a recipe, or of published weights."""

    size: int
    """Side of the network's input in pixels."""
    crop: float
    """Share of the resized image's side that the centre crop keeps."""
    interpolation: Literal["bilinear", "bicubic"]
    mean: Channels
    std: Channels
    crop_mode: Literal["center", "squash", "border"] = "center"
    """timm's: crop the resized image; squash it to the input's shape first; or pad it where it is too narrow."""

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, mean: Channels, std: Channels) -> Preprocessing:
        """Return what a recipe says of test images; mean and std are those of the data set, or of weights."""
        interpolation = recipe.test_interpolation
        return cls(size=recipe.test_size, crop=recipe.test_crop, interpolation=interpolation, mean=mean, std=std)

    @classmethod
    def from_timm(cls, pretrained_cfg: Mapping[str, Any], *, size: int | None = None) -> Preprocessing:
        """Return how timm tests weights with this pretrained configuration, as its validate.py does.

        That is at the test size and crop of the configuration, where it has them; at the size (in pixels) and crop of
        the training where ``size`` names that one. Raises StudyError for an input that is not square RGB, and for a
        resizing or cropping that is not known here.
        """
        at_train, at_test = (
            resolve_data_config(pretrained_cfg=dict(pretrained_cfg), use_test_size=use) for use in (False, True)
        )
        config = at_train if size == at_train["input_size"][-1] else at_test
        channels, height, width = config["input_size"]
        if channels != 3 or height != width:
            raise StudyError(f"these weights take {channels} x {height} x {width} inputs, not square colour images.")
        known = {"interpolation": ("bilinear", "bicubic"), "crop_mode": ("center", "squash", "border")}
        for key, values in known.items():
            if config[key] not in values:
                raise StudyError(f"these weights are tested with {key} {config[key]}; name a --recipe to test by.")
        return cls(
            size=size or height,
            crop=config["crop_pct"],
            interpolation=config["interpolation"],
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            crop_mode=config["crop_mode"],
        )

    def __str__(self) -> str:
        mode = "" if self.crop_mode == "center" else f", {self.crop_mode}"
        return f"{self.size} px, crop {self.crop:g}, {self.interpolation}{mode}"

    def transform(self) -> Any:
        """Return timm's resizing and cropping of one PIL image; the result is uint8, (3, size, size)."""
        return transforms_imagenet_eval(
            self.size,
            crop_pct=self.crop,
            crop_mode=self.crop_mode,
            interpolation=self.interpolation,
            mean=self.mean,  # of the border
            use_prefetcher=True,  # batches are normalised afterwards
        )


class Normaliser:
    """Maps uint8 images (n, 3, h, w) to floats ``(x / 255 - mean) / std``, channel by channel.

    The two methods differ by rounding. Arrays use one and streams the other, and neither may change within a
    TRAINING_VERSION.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | None = None) -> None:
        self._mean, self._std = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (mean, std))

    def in_one_step(self, images: Tensor) -> Tensor:
        return torch.addcmul(-(self._mean / self._std), images.float(), 1.0 / (255.0 * self._std))

    def in_two_steps(self, images: Tensor) -> Tensor:
        return images.float().sub_(255.0 * self._mean).div_(255.0 * self._std)
