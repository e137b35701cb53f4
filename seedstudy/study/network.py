"""Facts of networks: what one costs, how well published weights do on one eval set, what a teacher labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seedstudy.document import FLAT


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
    size: Size = field(metadata=FLAT)
    speed: Speed | None = field(metadata=FLAT)


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
    """Trials whose probabilities were averaged."""
    n_images: int
    """Without labels."""
    n_labelled: int
    """In the file; an image that balance repeats counts as often."""
    by_class: Mapping[str, int]
    is_soft: bool
    agreement: float | None
    """Share of the file's labels that are the true ones, where the data set has them; used for nothing else."""
