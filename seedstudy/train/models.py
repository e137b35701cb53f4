"""Networks: any timm model, with the stem small images need, and the CIFAR ResNets of He et al. (2015) by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import timm
import torch
from timm.layers import DropPath, get_attn
from timm.models import register_model
from timm.models.resnet import BasicBlock, ResNet, make_blocks
from torch import Tensor, nn

from seedstudy.errors import StudyError, first_line, suggest
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.network import IN_3D, flat_name, shape_of
from seedstudy.train import layers
from seedstudy.train.inflate import ClipConv, first_convolution, inflate

SMALL_IMAGE = 64
"""Up to this side a ResNet gets a 3x3 stride-1 stem and no max-pool: timm's 7x7 stride-2 stem and pool leave a
32-px image 8x8 before the first block (timm issue 2481: 59.8 % against 75.9 % on CIFAR-100)."""


class CifarResNet(nn.Module):
    """ResNet for 32-px images (He et al. 2015, section 4.2), built from timm's basic blocks.

    A stem of ``width`` channels (the paper: 16), three stages of ``blocks`` basic blocks with once, twice and four
    times as many, global average pooling and one linear layer: 6 * blocks + 2 weighted layers. Shortcuts that change
    shape are 1x1 projections (option B of the paper; timm's blocks have no option A). A stem of stride s > 1 (the
    paper: 1, 3x3) looks at s + 1 pixels each way, so that neighbours overlap. ``is_d`` makes it a ResNet-D: a stem of
    three convolutions, the first two half as wide, and averaged shortcuts; ``attention`` goes into every block.
    """

    def __init__(
        self,
        blocks: int,
        num_classes: int = 10,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        zero_init_last: bool = True,
        width: int = 16,
        stem_stride: int = 1,
        is_d: bool = False,
        attention: Callable[..., nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes, self.n_blocks_per_stage = num_classes, blocks
        half = max(1, width // 2)
        first = nn.Conv2d(
            in_chans, half if is_d else width, max(3, stem_stride + 1), stride=stem_stride, padding=1, bias=False
        )
        self.conv1 = first if not is_d else nn.Sequential(first, *_normed(half, half), *_normed(half, width))
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        stages, _ = make_blocks(
            (BasicBlock,) * 3,
            (width, 2 * width, 4 * width),
            (blocks,) * 3,
            width,
            avg_down=is_d,
            drop_path_rate=drop_path_rate,
            attn_layer=attention,
        )
        layers = [block for _, stage in stages for block in stage]
        self.blocks = nn.Sequential(*layers)
        self.drop = nn.Dropout(drop_rate)
        self.fc = nn.Linear(4 * width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if zero_init_last:
            for layer in layers:
                layer.zero_init_last()

    def get_classifier(self) -> nn.Module:
        """Return the head, as timm's networks do."""
        return self.fc

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return which parameters form a layer (a block) or, coarse, a stage: timm's rule for groups."""
        n = len(self.blocks) // 3
        stages = [
            (f"^blocks\\.(?:{'|'.join(str(stage * n + k) for k in range(n))})\\.", (stage,)) for stage in range(3)
        ]
        return {"stem": r"^conv1|^bn1", "blocks": stages if coarse else r"^blocks\.(\d+)"}

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, 3, h, w) to logits (n, num_classes)."""
        x = self.act1(self.bn1(self.conv1(x)))
        features = self.blocks(x)
        logits: Tensor = self.fc(self.drop(features.mean(tuple(range(2, features.ndim)))))  # of clips also over time
        return logits


def _normed(channels: int, n_outputs: int) -> tuple[nn.Module, ...]:
    """Return norm, activation and the next 3x3 convolution of a deep stem."""
    following = nn.Conv2d(channels, n_outputs, 3, padding=1, bias=False)
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True), following


def _register(name: str, blocks: int, **shape: Any) -> None:
    """Make :class:`CifarResNet` of one size known to timm."""

    def build(pretrained: bool = False, **kwargs: Any) -> CifarResNet:
        if pretrained:
            raise RuntimeError(f"{name} has no published weights")
        for key in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):  # timm passes them to every entry point
            kwargs.pop(key, None)
        return CifarResNet(blocks, **shape | kwargs)

    build.__name__ = name
    register_model(build)


# Million multiply-adds at 32 px: 0.8, nearly all of it overhead; 3.2; 12.5; 41; 126.
_register("resnet8_nano", 1, width=8, stem_stride=2)
# The default for shapes and digits: twice as wide as resnet8 on a sixteenth of its pixels. On shapes its seeds differ
# less (std on val 0.33) than those of 16 channels behind a stride-2 stem did (0.92; a2, 20 seeds each).
_register("resnet8_patch", 1, width=32, stem_stride=4)
_register("resnet8", 1)
_register("resnet20", 3)
_register("resnet56", 9)


def register_sized(name: str) -> None:
    """Make ``resnet_d14_w2`` and the like known to timm: a CIFAR ResNet of any depth and width.

    ``d`` is the depth, 6n + 2 weighted layers; ``w`` how many times as wide as the paper's 16 channels, or in three
    digits its percentage, as in timm's names (``w050`` is half); ``s`` the stride of the stem (default 1); ``se`` adds
    Squeeze-and-Excitation. Other names are left alone; StudyError where a name of this form has impossible values.
    """
    if timm.is_model(name):
        return
    if (flat := flat_name(name)) != name:
        register_sized(flat)
        if timm.is_model(flat):
            _register_inflated(name, flat)
        return
    if (shape := shape_of(name)) is None:
        return
    arguments: dict[str, Any] = {"width": 16 * shape.width_percent // 100, "stem_stride": shape.stem_stride}
    if shape.has_se:
        arguments["attention"] = _excitation(0.25)
    _register(name, (shape.depth - 2) // 6, **arguments)


def _register_inflated(name: str, flat: str) -> None:
    """Make a 2D ResNet that timm knows, inflated to clips, known to it under a name; StudyError for other networks."""
    if timm.model_entrypoint(flat).__module__ not in (ResNet.__module__, __name__):
        raise StudyError(f'model "{name}": only ResNets are inflated to clips, such as resnet50_3d or resnet20_3d.')

    def build(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        if pretrained:
            raise RuntimeError(f"{name} has no published weights")
        return _inflated(timm.create_model(flat, **kwargs))

    build.__name__ = name
    register_model(build)


def _inflated(network: nn.Module) -> nn.Module:
    if isinstance(network, CifarResNet):
        names = [f"blocks.{n}" for n in range(network.n_blocks_per_stage, len(network.blocks))]
    else:
        names = [f"layer{k}.{n}" for k in (3, 4) for n, _ in network.get_submodule(f"layer{k}").named_children()]
    return inflate(network, _first_of(network), frozenset(f"{name}.conv1" for name in names))


def _first_of(network: Any) -> str:
    """Return the name of a ResNet's first convolution."""
    return "conv1.0" if isinstance(network.conv1, nn.Sequential) else "conv1"


def _excitation(ratio: float) -> Callable[..., nn.Module]:
    """Return what builds Squeeze-and-Excitation whose inner layer has this share of the channels."""
    return partial(get_attn("se"), rd_ratio=ratio)


def is_own(name: str) -> bool:
    """Say whether a model that timm knows is one of the CIFAR ResNets made here."""
    flat = flat_name(name)
    return bool(timm.is_model(flat)) and timm.model_entrypoint(flat).__module__ == __name__


def is_known(name: str) -> bool:
    """Say whether a text names a model, whatever its weights (``name.tag``)."""
    try:
        register_sized(name)
    except StudyError:
        return False
    return bool(timm.is_model(name))


def check_name(name: str) -> None:
    """Raise StudyError where timm does not know the model, whatever its weights (``name.tag``)."""
    register_sized(name)
    if not timm.is_model(name):
        raise StudyError(f'unknown model "{name}".{suggest(name, timm.list_models())}')


def check_model(name: str, recipe: Recipe, n_classes: int) -> None:
    """Raise StudyError where timm does not know the model, or where it cannot be trained by the recipe."""
    check_name(name)
    if recipe.clip_frames not in (None, 1) and flat_name(name) == name:
        raise StudyError(f'model "{name}" takes images, and recipe {recipe.name} shows clips: name {name}{IN_3D}.')
    try:
        model = build_model(name, recipe, n_classes, seed=0).eval()
        layers.freeze(model, recipe, name)
        with torch.inference_mode():
            for size in (recipe.train_size, recipe.test_size):
                shape = tuple(model(torch.zeros(2, 3 * recipe.n_frames, size, size)).shape)
                if shape != (2, n_classes):
                    raise StudyError(f'model "{name}" returns outputs of shape {shape}, not {n_classes} classes.')
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise StudyError(
            f'model "{name}" cannot be trained by recipe {recipe.name} at {recipe.train_size} and '
            f"{recipe.test_size} px: {first_line(error)}. Choose another model, or change the recipe with --set."
        ) from error


def build_model(
    name: str, recipe: Recipe, n_classes: int, *, seed: int, like: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """Return a freshly initialised network; only ``seed`` decides its weights.

    ``like`` are weights that are to be loaded: the network has their stem, the one for small images or timm's own.
    Raises StudyError where the recipe changes the architecture in a way that this network does not support.
    """
    register_sized(name)
    kwargs = {**_size_arguments(name, recipe), **_resnet_arguments(name, recipe)}
    # Only what the recipe sets: not every timm model accepts every argument.
    if recipe.drop_path:
        kwargs["drop_path_rate"] = recipe.drop_path
    if recipe.dropout:
        kwargs["drop_rate"] = recipe.dropout
    if recipe.zero_init_last is False:
        kwargs["zero_init_last"] = False
    with torch.random.fork_rng(devices=[]):  # constructors take no generator: they draw from the global one
        torch.manual_seed(seed)
        model: nn.Module = timm.create_model(name, num_classes=n_classes, **kwargs)
        adapt_stem(model, max(recipe.train_size, recipe.test_size), like=like)
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None) or (1, 1)
    for size in (recipe.train_size, recipe.test_size):
        if size % patch[0] or size % patch[1]:  # timm would silently ignore the rest of the image
            raise ValueError(f"{size} px is not a multiple of its {patch[0]} px patches")
    if recipe.drop_path and recipe.drop_path_rule == "stage":
        _drop_by_stage(model, name, recipe.drop_path)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = module.momentum if recipe.batch_norm_momentum is None else recipe.batch_norm_momentum
            module.eps = module.eps if recipe.batch_norm_eps is None else recipe.batch_norm_eps
    return model


def _size_arguments(name: str, recipe: Recipe) -> dict[str, Any]:
    """Return the image-size arguments of a network with position embeddings.

    Where it is tested at another size, it resamples the embeddings (timm's dynamic_img_size).
    """
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.fixed_input_size:
        return {}
    return {"img_size": recipe.train_size, "dynamic_img_size": recipe.train_size != recipe.test_size}


def _resnet_arguments(name: str, recipe: Recipe) -> dict[str, Any]:
    """Return the arguments that give a plain ResNet Squeeze-and-Excitation and ResNet-D, as timm's resnetrs* have them.

    ResNet-D here is the ResNet-RS kind (Bello et al. 2021): 32-channel deep stem, averaged shortcuts, and a strided
    3x3 convolution instead of the max-pool, which CIFAR ResNets do not have.
    """
    if recipe.se_ratio is None and not recipe.resnet_d:
        return {}
    attention = None if recipe.se_ratio is None else _excitation(recipe.se_ratio)
    if is_own(name) and (attention is None or not name.endswith("_se")):
        return {"is_d": recipe.resnet_d} | ({} if attention is None else {"attention": attention})
    if not re.fullmatch(r"resnet\d+", flat_name(name)) or not timm.is_model(name):
        raise StudyError(
            f'recipe {recipe.name} adds se_ratio or resnet_d, which model "{name}" does not support: '
            "choose a plain ResNet, such as resnet50, resnet200, resnet20 or resnet_d14_w2."
        )
    kwargs: dict[str, Any] = {} if attention is None else {"block_args": {"attn_layer": attention}}
    if recipe.resnet_d:
        kwargs |= {"stem_width": 32, "stem_type": "deep", "replace_stem_pool": True, "avg_down": True}
    return kwargs


def _drop_by_stage(model: nn.Module, name: str, rate: float) -> None:
    """Give all blocks of a stage one rate: of four stages 2/5, 3/5, 4/5 and all of it, of three 2/4, 3/4 and all."""
    if isinstance(model, ResNet):
        stages: list[Any] = [model.layer1, model.layer2, model.layer3, model.layer4]
    elif isinstance(model, CifarResNet):
        stages = [
            model.blocks[i : i + model.n_blocks_per_stage]
            for i in range(0, len(model.blocks), model.n_blocks_per_stage)
        ]
    else:
        raise StudyError(f'drop_path_rule = "stage" is a rule for ResNets, which model "{name}" is not: use "block".')
    for group, stage in enumerate(stages, start=2):
        for block in stage:
            block.drop_path = DropPath(rate * group / (len(stages) + 1))


def adapt_stem(model: nn.Module, size: int, *, like: Mapping[str, Tensor] | None = None) -> None:
    """Give timm's ResNets the small-image stem in place; other models, and large images, keep theirs.

    Where there are weights to be loaded (``like``), their stem decides instead of the size.
    """
    if not isinstance(model, ResNet):
        return
    name = _first_of(model)
    first: Any = model.get_submodule(name)
    of_weights = None if like is None else like.get(f"{name}.weight")
    if of_weights is None:
        is_small = size <= SMALL_IMAGE
    else:
        is_small = of_weights.shape[-2:] != first.weight.shape[-2:] and of_weights.shape[-2:] == (3, 3)
    if not is_small:
        return
    stem = nn.Conv2d(3, first.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.set_submodule(name, first_convolution(stem) if isinstance(first, ClipConv) else stem)
    model.maxpool = nn.Identity()
