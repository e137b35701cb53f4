"""Stages, layers and head of a network: what is frozen, and how fast each layer learns. The groups are timm's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from timm.models import group_parameters
from torch import nn

from seedstudy.errors import StudyError
from seedstudy.recipes.recipe import Recipe


def head_names(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters of a network's head, its last linear layer (two where it is distilled)."""
    get: Any = getattr(network, "get_classifier", None)
    head = () if get is None else get()
    modules = head if isinstance(head, tuple | list) else (head,)
    own = {id(p) for module in modules if isinstance(module, nn.Module) for p in module.parameters()}
    return frozenset(name for name, parameter in network.named_parameters() if id(parameter) in own)


def _groups(network: nn.Module, *, coarse: bool) -> Mapping[str, int]:
    """Return parameter -> its group, counted from the input; none where the network does not say."""
    matcher: Any = getattr(network, "group_matcher", None)
    return {} if matcher is None else group_parameters(network, matcher(coarse=coarse), reverse=True)


def freeze(network: nn.Module, recipe: Recipe, model: str) -> None:
    """Take the parameters that a recipe freezes out of training; StudyError where it has no such stage or no head."""
    if not (recipe.frozen_stages or recipe.head_only or recipe.init or recipe.head_lr_ratio != 1.0):
        return
    head = head_names(network)
    if not head:
        raise StudyError(
            f'recipe {recipe.name}: model "{model}" does not say what its head is, so it cannot be replaced.'
        )
    if recipe.head_only:
        frozen = {name for name, _ in network.named_parameters()} - head
    elif recipe.frozen_stages:
        stages = _groups(network, coarse=True)
        n_stages = min((stages[name] for name in head if name in stages), default=0)
        if recipe.frozen_stages > n_stages:
            raise StudyError(
                f'frozen_stages = {recipe.frozen_stages}: model "{model}" has {n_stages} stages before its head'
                f"{' (the stem is the first)' if n_stages else ''}: choose 0 to {n_stages}."
            )
        frozen = {name for name, stage in stages.items() if stage < recipe.frozen_stages}
    else:
        frozen = set()
    for name, parameter in network.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)


def hold_frozen(network: nn.Module, recipe: Recipe) -> None:
    """Put what a recipe freezes in evaluation mode: batch norm keeps its statistics, and nothing is dropped there."""
    if not (recipe.frozen_stages or recipe.head_only):
        return
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def lr_scales(network: nn.Module, recipe: Recipe) -> dict[str, float]:
    """Return parameter -> its learning rate as a multiple of the recipe's; empty where all learn alike.

    Layers are timm's groups, as in its ``param_groups_layer_decay``; the last one, with the head, has no decay.
    """
    if recipe.layer_decay == 1.0 and recipe.head_lr_ratio == 1.0:
        return {}
    names = [name for name, _ in network.named_parameters()]
    scales = dict.fromkeys(names, 1.0)
    if recipe.layer_decay != 1.0:
        layers = _groups(network, coarse=False)
        if not layers:
            raise StudyError(f"recipe {recipe.name}: layer_decay: the network does not say what its layers are.")
        last = max(layers.values())
        scales = {name: recipe.layer_decay ** (last - layers.get(name, last)) for name in names}
    for name in head_names(network):
        scales[name] *= recipe.head_lr_ratio
    return scales
