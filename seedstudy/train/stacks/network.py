"""K networks of one architecture as one: their channels side by side, each network's own, from first to last.

Every tensor of the stack holds the K single tensors one after the other along its first dimension, so that
``tensor.unflatten(0, (K, -1))`` has one row per seed; activations are (n, K * C, …), seed by seed. A convolution
of K groups then is K convolutions, and batch norm over K * C channels *is* K batch norms (Wang et al. 2021, HFTA,
arXiv:2102.02344, fuse jobs in this way).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from seedstudy.recipes.recipe import Recipe
from seedstudy.train.models import build_model

TOLERANCE = 1e-3
"""Largest difference between a stack's logits and the single networks', relative to the largest logit: rounding in
float32 stays far below it, channels of two seeds mixed up lie far above."""


class OwnDraws:
    """Each seed's generator of dropped paths and units; every layer of a stack draws from the same ones."""

    def __init__(self, n_seeds: int) -> None:
        self.generators = [torch.Generator() for _ in range(n_seeds)]

    def restart(self, seeds: Sequence[int], device: torch.device) -> None:
        """Start every seed's generator anew, as each epoch does."""
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]


class StackedLinear(nn.Module):
    """K linear layers: (n, K * in) -> (n, K * out)."""

    def __init__(self, first: nn.Linear, n_seeds: int) -> None:
        super().__init__()
        self.n_seeds = n_seeds
        self.weight, self.bias = first.weight, first.bias  # stacked by their owner

    def forward(self, x: Tensor) -> Tensor:
        """Map each seed's features by its own weights."""
        of_seed = x.unflatten(1, (self.n_seeds, -1)).transpose(0, 1)
        weight = self.weight.unflatten(0, (self.n_seeds, -1)).transpose(1, 2)
        if self.bias is None:
            y = torch.bmm(of_seed, weight)
        else:
            y = torch.baddbmm(self.bias.view(self.n_seeds, 1, -1), of_seed, weight)
        return y.transpose(0, 1).flatten(1)


class StackedDrop(nn.Module):
    """Stochastic depth or dropout whose masks each seed draws from its own generator, as the single layer would."""

    def __init__(self, rate: float, draws: OwnDraws, *, is_per_unit: bool, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.keep, self.draws = 1.0 - rate, draws
        self.is_per_unit, self.scale_by_keep = is_per_unit, scale_by_keep

    def forward(self, x: Tensor) -> Tensor:
        """Zero some images' (``is_per_unit``: some units') activations and scale what is kept."""
        if self.keep == 1.0 or not self.training:
            return x
        n_channels = x.shape[1] // len(self.draws.generators)
        shape = (len(x), n_channels, *x.shape[2:]) if self.is_per_unit else (len(x), 1, *[1] * (x.ndim - 2))
        masks = [x.new_empty(shape).bernoulli_(self.keep, generator=own) for own in self.draws.generators]
        mask = torch.cat(masks, dim=1)
        if self.keep > 0.0 and self.scale_by_keep:
            mask.div_(self.keep)
        return x * (mask if self.is_per_unit else mask.repeat_interleave(n_channels, dim=1))


def stack_networks(networks: Sequence[nn.Module], draws: OwnDraws) -> nn.Module:
    """Return one network that computes all of ``networks``, which keep their weights.

    Takes images (n, K * 3, h, w) to logits (n, K * n_classes). Parameters keep their names and their number of
    dimensions, so that what goes by them (weight decay) treats them as it treats the single network's.
    :func:`why_not_stackable` says whether an architecture can be stacked at all.
    """
    n_seeds = len(networks)
    stack = deepcopy(networks[0])
    singles = [dict(network.named_modules()) for network in networks]
    for name, module in list(stack.named_modules()):
        stacked = _stacked_module(module, n_seeds, draws)
        for kind in ("_parameters", "_buffers"):
            for key, value in getattr(stacked, kind).items():
                if value is not None and value.ndim:
                    whole = torch.cat([getattr(single[name], key).detach() for single in singles])
                    getattr(stacked, kind)[key] = nn.Parameter(whole) if kind == "_parameters" else whole
        if stacked is not module:
            parent, _, leaf = name.rpartition(".")
            setattr(stack.get_submodule(parent), leaf, stacked)
    return stack


def _stacked_module(module: nn.Module, n_seeds: int, draws: OwnDraws) -> nn.Module:
    """Return the module for K times the channels, its tensors still the single one's."""
    match module:
        case nn.Conv2d():
            module.in_channels *= n_seeds
            module.out_channels *= n_seeds
            module.groups *= n_seeds
        case nn.BatchNorm2d():
            module.num_features *= n_seeds
        case nn.Linear():
            return StackedLinear(module, n_seeds)
        case DropPath():
            rate, is_scaled = module.drop_prob, module.scale_by_keep
            return StackedDrop(rate, draws, is_per_unit=False, scale_by_keep=is_scaled)
        case nn.Dropout():
            return StackedDrop(module.p, draws, is_per_unit=True)
    return module


def unstack_into(networks: Sequence[nn.Module], stack: nn.Module) -> None:
    """Copy a stack's weights and statistics back into the single networks."""
    state = stack.state_dict()
    for row, network in enumerate(networks):
        for name, value in network.state_dict().items():
            value.copy_(state[name].unflatten(0, (len(networks), -1))[row] if value.ndim else state[name])


# --- can it be stacked? -------------------------------------------------------------------------------


def why_not_stackable(model: str, recipe: Recipe, n_classes: int) -> str:
    """Return what keeps a model from being stacked, or nothing: the stack's logits are those of the single networks.

    Two networks with drawn weights (also where they start at zero) run singly and stacked, in training mode, with
    their own dropped paths. What mixes channels outside the known layers (concatenation, attention) shows there.
    """
    networks = [build_model(model, recipe, n_classes, seed=seed) for seed in (0, 1)]
    for name, module in networks[0].named_modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if own and not isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            return f"its {type(module).__name__} ({name or 'at the top'}) has no stacked form"
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 4, 3, recipe.train_size, recipe.train_size, generator=generator)
    draws = OwnDraws(2)
    draws.restart((0, 1), torch.device("cpu"))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for network in networks:
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        stack = stack_networks(networks, draws).train()
        single = torch.cat([_logits(network.train(), images[k], seed=k) for k, network in enumerate(networks)], dim=1)
        try:
            stacked = _logits(stack, images.transpose(0, 1).flatten(1, 2), seed=2)
        except (RuntimeError, ValueError, IndexError) as error:
            return f"its layers do not fit side by side ({(str(error).splitlines() or [type(error).__name__])[0]})"
    if stacked.shape != single.shape or not (stacked - single).abs().max() <= TOLERANCE * single.abs().max():
        return "side by side its seeds do not compute what each computes alone"
    return ""


def _logits(network: nn.Module, images: Tensor, *, seed: int) -> Any:
    torch.manual_seed(seed)
    return network(images)
