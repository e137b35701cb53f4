"""Facts of networks: what a name says, what one costs, how well published weights do, what a teacher labelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seedstudy.document import FLAT
from seedstudy.errors import StudyError


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What the architecture alone decides, for one image."""

    n_params: int
    n_macs: int
    """Multiply-adds of convolutions and matrix products in one forward pass: half of torch's FLOPs, timm's GMACs."""
    n_activations: int
    """Numbers that convolutions and matrix products put out (Radosavovic et al. 2020; timm's MActs)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """How fast one network is on this machine."""

    device: str
    precision: str
    latency_s: float
    """Median seconds of a forward pass of one image."""
    batch_size: int
    """Images of the passes below."""
    infer_images_per_s: float
    train_images_per_s: float
    """Forward, backward and a plain SGD step on images that are already on the device."""
    peak_mem_bytes: int | None
    """Device memory of these passes on GPUs; resident memory of the whole process on CPUs (Linux)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Size, and where it was timed speed, of one network."""

    model: str
    image_size: int
    clip_frames: int | None = None
    """Of a network for clips: frames of the clip in place of the image; None: an image."""
    size: Size = field(metadata=FLAT)
    speed: Speed | None = field(metadata=FLAT)


@dataclass(frozen=True, kw_only=True, slots=True)
class OnFront:
    """One network's accuracy beside what it costs; fronts say ``on``, ``off``, or ``?`` where seeds leave it open."""

    model: str
    image_size: int
    error: float
    """Mean over seeds: 100 minus top-1 in percent, or the metric itself."""
    n: int
    front_macs: str
    """Whether no network of at most its multiply-adds has a smaller error."""
    front_params: str
    front_latency: str | None
    """None where nothing was timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatedSet:
    """One network on one eval set."""

    eval_set: str
    n_examples: int
    top1: float
    """Percent, as the next two."""
    top5: float
    published_top1: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PseudoLabelled:
    """What a teacher labelled."""

    file: Path
    teacher: tuple[str, ...]
    """The trials whose probabilities were averaged, or the timm model."""
    n_images: int
    """Without labels."""
    n_labelled: int
    """In the file; an image that balance repeats counts as often."""
    by_class: Mapping[str, int]
    is_soft: bool
    agreement: float | None
    """Share of the file's labels that are the true ones, where the data set has them; used for nothing else."""


_SIZED = re.compile(r"resnet_d(\d+)_w(\d+)(?:_s(\d))?(_se)?")
DEEPEST = 1202
"""Layers of the deepest network of He et al. (2015, Table 6)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What the name of a CIFAR ResNet says: ``resnet_d14_w2``, ``resnet_d8_w050_s2_se``."""

    depth: int
    """6n + 2 weighted layers."""
    width_percent: int
    """Of the paper's 16 channels."""
    stem_stride: int
    has_se: bool
    """Squeeze-and-Excitation with ResNet-RS's ratio."""

    @property
    def name(self) -> str:
        """The one name of this network, which is part of a trial's identity."""
        percent = self.width_percent
        width = f"{percent // 100}" if percent % 100 == 0 else f"{percent:03d}"
        stride = f"_s{self.stem_stride}" if self.stem_stride > 1 else ""
        return f"resnet_d{self.depth}_w{width}{stride}{'_se' if self.has_se else ''}"


def shape_of(name: str) -> Shape | None:
    """Return what a name of that form says; None for any other, StudyError for impossible values."""
    if (parts := _SIZED.fullmatch(name)) is None:
        return None
    percent = int(parts[2]) if len(parts[2]) >= 3 else 100 * int(parts[2])
    shape = Shape(depth=int(parts[1]), width_percent=percent, stem_stride=int(parts[3] or 1), has_se=bool(parts[4]))
    if shape.depth % 6 != 2 or not 8 <= shape.depth <= DEEPEST:
        raise StudyError(f'model "{name}": a depth is 6n + 2, from 8 to {DEEPEST}: 8, 14, 20, 26, …')
    if percent * 16 % 100 or not 0 < percent <= 9900:
        raise StudyError(f'model "{name}": a width is w1 to w99, or a percentage of 16 channels: w025, w050, w150, …')
    if shape.stem_stride not in (1, 2, 4, 8):
        raise StudyError(f'model "{name}": the stride of a stem is s2, s4 or s8.')
    if shape.name != name:
        raise StudyError(f'model "{name}": write {shape.name}.')
    return shape


MEASURED_FRAMES = 32
"""Of the clips by which networks for clips are measured: those of ResNet-RS's recipes."""
IN_3D = "_3d"
"""Behind the name of a ResNet: the same network inflated to clips, as in ``resnet50_3d``."""


def flat_name(name: str) -> str:
    """Return the name of the 2D network that a network for clips is inflated from; of any other its own."""
    return name.removesuffix(IN_3D)
