"""ResNets for clips: they compute what torch's 3D layers compute, and start from the weights of images."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from seedstudy.errors import StudyError
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.train import starts, weights
from seedstudy.train.clips import folded, unfolded
from seedstudy.train.cost import measure
from seedstudy.train.evaluate import folded as norms_folded
from seedstudy.train.inflate import ClipConv, FrameConv, FrameNorm, TimeConv, inflated_state
from seedstudy.train.models import build_model, check_model, check_name, is_known
from seedstudy.train.stacks import why_not_stackable


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return replace(load_recipe("a3"), train_size=32, test_size=32, clip_frames=6, drop_path=0.0)


def clips(n: int = 2, n_frames: int = 6, size: int = 32) -> Tensor:
    return torch.randn(n, 3 * n_frames, size, size, generator=torch.Generator().manual_seed(1))


def as_3d(layer: nn.Conv2d, n_frames: int, stride: int) -> nn.Conv3d:
    """Return torch's 3D convolution with the kernel of one of ours."""
    made = nn.Conv3d(
        layer.in_channels // n_frames,
        layer.out_channels,
        (n_frames, *layer.kernel_size),
        stride=(stride, *layer.stride),
        padding=(n_frames // 2, *map(int, layer.padding)),
        bias=False,
    )
    made.weight.data = layer.weight.data.unflatten(1, (n_frames, -1)).transpose(1, 2)
    return made


def of_time(clip: Tensor) -> Tensor:
    """Take folded clips (n, 3 * t, h, w) to (n, 3, t, h, w)."""
    return clip.unflatten(1, (-1, 3)).transpose(1, 2)


def test_the_first_convolution_is_a_3d_one_over_five_frames_at_every_second() -> None:
    layer = ClipConv(15, 8, 3, stride=2, padding=1, bias=False)
    for n_frames in (1, 2, 5, 6):
        x = clips(n_frames=n_frames)
        torch.testing.assert_close(layer(x), as_3d(layer, 5, 2)(of_time(x)), rtol=1e-4, atol=1e-5)


def test_a_late_convolution_is_a_3d_one_over_three_frames() -> None:
    layer = TimeConv(3 * 4, 8, 3, stride=2, padding=1, bias=False)
    for n_frames in (1, 2, 5):
        x = torch.randn(2, 4, n_frames, 9, 9)
        torch.testing.assert_close(layer(x), as_3d(layer, 3, 1)(x), rtol=1e-4, atol=1e-5)


def test_frames_keep_apart_in_all_other_layers() -> None:
    x = torch.randn(2, 4, 3, 8, 8)
    layer = FrameConv(4, 5, 3, padding=1)
    for frame in range(3):
        torch.testing.assert_close(
            layer(x)[:, :, frame], functional.conv2d(x[:, :, frame], layer.weight, layer.bias, padding=1)
        )
    torch.testing.assert_close(FrameNorm(4)(x), nn.BatchNorm3d(4)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["resnet8_3d", "resnet_d14_w050_s2_se_3d", "resnet18_3d", "resnet50_3d", "resnetrs50_3d"]
)
def test_every_resnet_is_inflated_and_looks_ahead_in_time(name: str, recipe: Recipe) -> None:
    network = build_model(name, recipe, 5, seed=0).eval()
    x = clips()
    with torch.no_grad():
        for parameter in network.parameters():  # the last norm of each branch starts at 0
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        forwards, backwards = network(x), network(of_time(x).flip(2).transpose(1, 2).flatten(1, 2))
    assert forwards.shape == (2, 5)
    assert (forwards - backwards).abs().max() > 1e-3 * forwards.abs().max()  # a mean over frames would not see it
    assert sum(isinstance(module, ClipConv) for module in network.modules()) == 1


def test_equal_seeds_start_alike_and_others_do_not(recipe: Recipe) -> None:
    states = [build_model("resnet8_3d", recipe, 5, seed=seed).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["conv1.weight"], states[2]["conv1.weight"])


def test_of_a_still_clip_an_inflated_network_says_in_its_middle_what_the_2d_network_says_of_the_image(
    recipe: Recipe,
) -> None:
    flat = build_model("resnet18", replace(recipe, clip_frames=None), 5, seed=3).eval()
    network = build_model("resnet18_3d", recipe, 5, seed=0).eval()
    network.load_state_dict(inflated_state(network, flat.state_dict()))
    image = torch.randn(1, 3, 32, 32)
    still = image.repeat(1, 40, 1, 1)  # so long that the zeros beyond its ends do not reach its middle
    network.global_pool = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        features = network.forward_features(still)  # type: ignore[operator]
        expected = flat.forward_features(image)  # type: ignore[operator]
    torch.testing.assert_close(features[:, :, features.shape[2] // 2], expected, rtol=1e-3, atol=1e-4)


def test_norms_fold_into_the_convolutions_of_clips(recipe: Recipe) -> None:
    network = build_model("resnet8_3d", recipe, 5, seed=0)
    with torch.no_grad():
        network(clips(4))  # statistics of its own
        network.eval()
        folded_in = norms_folded(network)
        torch.testing.assert_close(folded_in(clips()), network(clips()), rtol=1e-3, atol=1e-4)
    assert not any(isinstance(module, FrameNorm) for module in folded_in.modules())


def test_seeds_of_clips_stack(recipe: Recipe) -> None:
    for name in ("resnet8_3d", "resnet_d8_w1_s4_se_3d"):
        assert why_not_stackable(name, recipe, 5) == ""


def test_names_are_the_resnets_names_with_3d_behind_them(recipe: Recipe) -> None:
    assert is_known("resnet50_3d")
    assert not is_known("nothing_3d")
    with pytest.raises(StudyError, match="only ResNets are inflated"):
        check_name("vit_tiny_patch16_224_3d")
    with pytest.raises(StudyError, match='model "resnet8" takes images, and recipe a3 shows clips: name resnet8_3d'):
        check_model("resnet8", recipe, 5)
    check_model("resnet8_3d", replace(recipe, se_ratio=0.25, resnet_d=True, drop_path=0.2, drop_path_rule="stage"), 5)


def test_folding_and_unfolding_are_inverse() -> None:
    x = clips()
    frames = unfolded(x, 6)
    assert torch.equal(folded(frames, 6), x)
    for clip, frame in itertools.product(range(2), range(6)):
        assert torch.equal(frames[6 * clip + frame], x[clip, 3 * frame : 3 * frame + 3])


def test_a_network_for_clips_is_measured_by_a_clip() -> None:
    flat, clip = (measure(name, image_size=64, batch_size=1, n_timed=0) for name in ("resnet18", "resnet18_3d"))
    assert (flat.clip_frames, clip.clip_frames) == (None, 32)
    assert clip.size.n_params > 1.3 * flat.size.n_params
    assert 16 < clip.size.n_macs / flat.size.n_macs < 32  # every second of 32 frames; some kernels see three


def test_training_on_clips_starts_from_the_weights_of_images(recipe: Recipe, tmp_path: Path) -> None:
    flat = build_model("resnet18", replace(recipe, clip_frames=None), 7, seed=3)
    path = tmp_path / "images.safetensors"
    save_file(flat.state_dict(), path)
    source = starts.of_name(str(path), "resnet18_3d")
    from_images = replace(recipe, init=str(path))
    starts.check(source, "resnet18_3d", from_images, list("abcde"))  # with a head of its own
    state, _ = weights.from_bytes(source.content, where="x")
    network = build_model("resnet18_3d", from_images, 5, seed=0, like=state)
    starts._load(network, state, from_images, "x")
    assert torch.equal(network.state_dict()["layer1.0.conv1.weight"], flat.state_dict()["layer1.0.conv1.weight"])
    first = network.state_dict()["conv1.weight"].unflatten(1, (5, 3))
    torch.testing.assert_close(first.sum(1), flat.state_dict()["conv1.weight"])
    with pytest.raises(StudyError, match="these are weights of resnet34, not of resnet18_3d"):
        starts.of_name("timm:resnet34.a1_in1k", "resnet18_3d")
