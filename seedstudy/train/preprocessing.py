"""How an image is shown to a network at test: resized, centre-cropped, normalised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data import resolve_data_config
from timm.data.transforms_factory import transforms_imagenet_eval
from torch import Tensor
from torchvision.transforms import CenterCrop, Compose

from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe
from seedstudy.train.clips import folded, spread_frames

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
    clip_frames: int | None = None
    """Of a clip; None: images."""
    clip_stride: int = 1
    """Frames of the video from each frame of a clip to the next."""
    n_clips: int = 1
    """Of each video, spread evenly."""
    n_crops: int = 1
    """Of each clip, spread evenly along its longer side."""

    @property
    def n_frames(self) -> int:
        """Frames that the network sees at once: 1 of an image."""
        return self.clip_frames or 1

    @property
    def n_views(self) -> int:
        """How often the network sees an example; its probabilities are averaged."""
        return self.n_clips * self.n_crops

    @classmethod
    def from_recipe(cls, recipe: Recipe, *, mean: Channels, std: Channels) -> Preprocessing:
        """Return what a recipe says of test images; mean and std are those of the data set, or of weights."""
        return cls(
            size=recipe.test_size,
            crop=recipe.test_crop,
            interpolation=recipe.test_interpolation,
            mean=mean,
            std=std,
            clip_frames=recipe.clip_frames,
            clip_stride=recipe.clip_stride,
            n_clips=recipe.test_clips,
            n_crops=recipe.test_crops,
        )

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

    def frames_of(self, n_video: int) -> NDArray[np.int64]:
        """Return the frames of each test clip of a video, shape (n_clips, n_frames)."""
        return spread_frames(n_video, self.n_frames, self.clip_stride, self.n_clips)

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

    def crops(self) -> list[Any]:
        """Return the resizing and cropping of one image for each crop; where it is one, timm's."""
        whole = self.transform()
        if self.n_crops == 1:
            return [whole]
        shares = [number / (self.n_crops - 1) for number in range(self.n_crops)]
        steps = whole.transforms
        return [
            Compose([_CropAlong(self.size, share) if isinstance(step, CenterCrop) else step for step in steps])
            for share in shares
        ]

    def shown(self, images: Iterable[Image.Image], crops: Sequence[Any]) -> Tensor:
        """Resize and crop images, or the frames of test clips; returns the views, uint8 (n * n_views, 3 * t, h, w).

        ``crops`` are what :meth:`crops` returned once for many images.
        """
        cropped = torch.stack([torch.stack([torch.as_tensor(crop(each)) for crop in crops]) for each in images])
        if self.n_views * self.n_frames == 1:
            return cropped[:, 0]
        views = cropped.unflatten(0, (-1, self.n_frames)).transpose(1, 2).flatten(0, 2)  # clip, crop, frame
        return folded(views, self.n_frames)


class _CropAlong:
    """Cuts a square out of an image: at a share of the way along the longer side, and in the middle of the other."""

    def __init__(self, size: int, share: float) -> None:
        self._size, self._share = size, share

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        across, down = (self._share, 0.5) if width >= height else (0.5, self._share)
        left, top = round((width - self._size) * across), round((height - self._size) * down)
        return image.crop((left, top, left + self._size, top + self._size))


class Normaliser:
    """Maps uint8 images (n, 3, h, w), or folded clips, to floats ``(x / 255 - mean) / std``, channel by channel.

    The two methods differ by rounding. Arrays use one and streams the other, and neither may change within a
    TRAINING_VERSION.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device | None = None) -> None:
        self._mean, self._std = (torch.tensor(each, device=device).view(1, 3, 1, 1) for each in (mean, std))

    def in_one_step(self, images: Tensor) -> Tensor:
        mean, std = self._of(images)
        return torch.addcmul(-(mean / std), images.float(), 1.0 / (255.0 * std))

    def in_two_steps(self, images: Tensor) -> Tensor:
        mean, std = self._of(images)
        return images.float().sub_(255.0 * mean).div_(255.0 * std)

    def _of(self, images: Tensor) -> tuple[Tensor, Tensor]:
        n_frames = images.shape[1] // 3
        if n_frames == 1:
            return self._mean, self._std
        return self._mean.repeat(1, n_frames, 1, 1), self._std.repeat(1, n_frames, 1, 1)
