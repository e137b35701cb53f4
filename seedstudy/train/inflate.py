"""ResNets for clips: a 2D ResNet whose layers are inflated to three dimensions.

Kernels reach through time where those of 3D ResNet-RS do (Du et al. 2021, arXiv 2109.01696; tensorflow/models,
official/vision/configs/backbones_3d.py): the stem sees five frames and keeps every second one, and in the last two
stages the first convolution of each block sees three. All other layers see one frame at a time. Beyond its ends a clip
is zero.

A clip enters folded, as an image of 3 * t channels (:mod:`~seedstudy.train.clips`). Inside the network it is
(n, c, t, h, w), in memory frame by frame with the channels last, so that frames are a view of it. A kernel over time is
computed as a 2D kernel over the channels of its frames side by side: one copy of them, and then the convolutions of
images, which are several times as fast as torch's 3D ones on a CPU. So are weights stored: (out, k * in, h, w).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from timm.layers import SelectAdaptivePool2d
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn
from torch.nn import functional

STEM_FRAMES, STEM_STRIDE, BLOCK_FRAMES = 5, 2, 3
"""Kernel and stride of the stem, and kernel of the late blocks, in frames."""

C = TypeVar("C", bound=nn.Conv2d)


def _frames(clips: Tensor) -> Tensor:
    """Return the frames (n * t, c, h, w) of clips (n, c, t, h, w)."""
    return clips.transpose(1, 2).flatten(0, 1)


def _clips(frames: Tensor, n: int) -> Tensor:
    """Return n clips (n, c, t, h, w) of frames (n * t, c, h, w)."""
    return frames.unflatten(0, (n, -1)).transpose(1, 2)


class FrameConv(nn.Conv2d):
    """A convolution of each frame."""

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (n, c, t, h, w) to clips."""
        return _clips(super().forward(_frames(x)), len(x))


class FrameNorm(nn.BatchNorm2d):
    """Batch norm over space and time."""

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (n, c, t, h, w) to clips."""
        return _clips(super().forward(_frames(x)), len(x))


class TimeConv(nn.Conv2d):
    """A convolution over three frames; ``groups`` is 1, and K in a stack of K networks."""

    def forward(self, x: Tensor) -> Tensor:
        """Map clips (n, c, t, h, w) to clips of as many frames."""
        by_pixel = x.permute(0, 2, 3, 4, 1).unflatten(4, (self.groups, -1))  # n, t, h, w, groups, c
        edge = BLOCK_FRAMES // 2
        windows = functional.pad(by_pixel, (0, 0, 0, 0, 0, 0, 0, 0, edge, edge)).unfold(1, BLOCK_FRAMES, 1)
        stacked = windows.transpose(5, 6).flatten(4).flatten(0, 1)  # n * t, h, w, groups * k * c
        return _clips(super().forward(stacked.permute(0, 3, 1, 2)), len(x))


class ClipConv(nn.Conv2d):
    """The first convolution, over five frames; ``groups`` is 1, and K in a stack of K networks."""

    def forward(self, x: Tensor) -> Tensor:
        """Map folded clips (n, groups * 3 * t, h, w) to clips (n, c, t / 2, h', w')."""
        edge = 3 * (STEM_FRAMES // 2)
        padded = functional.pad(x.unflatten(1, (self.groups, -1)), (0, 0, 0, 0, edge, edge))
        windows = padded.unfold(2, 3 * STEM_FRAMES, 3 * STEM_STRIDE)  # n, groups, t / 2, h, w, k * 3
        stacked = windows.permute(0, 2, 3, 4, 1, 5).flatten(4).flatten(0, 1)
        return _clips(super().forward(stacked.permute(0, 3, 1, 2)), len(x))


class _FramePool(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return _clips(self.pool(_frames(x)), len(x))


class _GlobalMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3, 4))


class _Excitation(nn.Module):
    """timm's Squeeze-and-Excitation over space and time."""

    def __init__(self, flat: SEModule) -> None:
        super().__init__()
        self.fc1, self.bn, self.act, self.fc2, self.gate = flat.fc1, flat.bn, flat.act, flat.fc2, flat.gate

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.act(self.bn(self.fc1(x.mean((2, 3, 4))[:, :, None, None])))
        excited: Tensor = x * self.gate(self.fc2(squeezed))[:, :, None]
        return excited


# --- making them ---------------------------------------------------------------------------------------------------


def inflate(network: nn.Module, first: str, late: frozenset[str]) -> nn.Module:
    """Inflate a 2D ResNet in place and return it.

    ``first`` names its first convolution, ``late`` the convolutions that see three frames. Kernels over time are drawn
    anew (normal by fan-out, from torch's own generator); all other weights stay.
    """
    excitations = tuple(name for name, module in network.named_modules() if isinstance(module, SEModule))
    for name, module in list(network.named_modules()):
        if name.startswith(tuple(f"{each}." for each in excitations)):
            continue  # works on one number per channel
        if name == first:
            made: nn.Module | None = first_convolution(module)
        elif name in late:
            made = _over_time(TimeConv, module, BLOCK_FRAMES)
        else:
            made = _by_frame(module)
        if made is not None:
            network.set_submodule(name, made)
    return network


def first_convolution(flat: Any) -> ClipConv:
    """Return a 2D network's first convolution, inflated."""
    return _over_time(ClipConv, flat, STEM_FRAMES)


def _by_frame(module: nn.Module) -> nn.Module | None:
    """Return a layer of images for clips; None where it takes either."""
    match module:
        case nn.Conv2d():
            return _with_state(FrameConv(**_arguments(module)), module)
        case nn.BatchNorm2d():
            return _with_state(FrameNorm(module.num_features, eps=module.eps, momentum=module.momentum), module)
        case nn.MaxPool2d() | nn.AvgPool2d():
            return _FramePool(module)
        case SEModule():
            return _Excitation(module)
        case SelectAdaptivePool2d():
            return _GlobalMean()
    return None


def _arguments(flat: Any) -> dict[str, Any]:
    same = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    return {name: getattr(flat, name) for name in same} | {"bias": flat.bias is not None}


def _with_state(made: nn.Module, flat: nn.Module) -> nn.Module:
    """Return a layer with the parameters and buffers of another, the same tensors."""
    made._parameters.update(flat._parameters)
    made._buffers.update(flat._buffers)
    return made


def _over_time(kind: type[C], flat: Any, n_frames: int) -> C:
    arguments = _arguments(flat)
    made = kind(**{**arguments, "in_channels": n_frames * arguments["in_channels"]})
    fan_out = flat.out_channels * n_frames * math.prod(flat.kernel_size)
    nn.init.normal_(made.weight, std=math.sqrt(2 / fan_out))
    return made


def inflated_state(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of the 2D network for the inflated one: kernels repeated over their frames and divided by these.

    A clip whose frames are all alike then gives, away from its ends, what the image gave (I3D: Carreira and Zisserman
    2017, arXiv 1705.07750, section 2.2). Weights that fit as they are stay.
    """
    longer = {
        f"{name}.weight": frames
        for name, module in network.named_modules()
        for kind, frames in ((ClipConv, STEM_FRAMES), (TimeConv, BLOCK_FRAMES))
        if isinstance(module, kind)
    }
    own = network.state_dict()

    def fitted(name: str, value: Tensor) -> Tensor:
        n_frames = longer.get(name, 1)
        if n_frames == 1 or value.shape == own[name].shape:
            return value
        return (value / n_frames).repeat(1, n_frames, 1, 1)

    return {name: fitted(name, value) for name, value in state.items()}
