"""How an image is shown to a network at test: resized, centre-cropped, normalised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
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

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, mean: Channels, std: Channels) -> Preprocessing:
        """Return what a recipe says of test images; mean and std are those of the data set, or of weights."""
        interpolation = recipe.test_interpolation
        return cls(size=recipe.test_size, crop=recipe.test_crop, interpolation=interpolation, mean=mean, std=std)

    @classmethod
    def from_timm(cls, config: Mapping[str, Any]) -> Preprocessing:
        """Return what timm's data configuration (``resolve_model_data_config``) says of some weights.

        Raises StudyError where they are tested with another interpolation than bilinear or bicubic.
        """
        if config["interpolation"] not in ("bilinear", "bicubic"):
            raise StudyError(
                f"these weights are tested with {config['interpolation']} resizing; name a --recipe to test by."
            )
        return cls(
            size=config["input_size"][-1],
            crop=config["crop_pct"],
            interpolation=config["interpolation"],
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
        )

    def transform(self) -> Any:
        """Return timm's resizing and centre crop of one PIL image; the result is uint8, (3, size, size)."""
        options = {"crop_pct": self.crop, "interpolation": self.interpolation}
        return transforms_imagenet_eval(self.size, use_prefetcher=True, **options)  # batches are normalised afterwards


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
