"""The parts of an update that look across a network's tensors, seed by seed: LAMB and gradient clipping.

SGD, AdamW, EMA and the schedule work element by element, so timm's own serve a stack as they serve one network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from timm.optim import Lamb
from torch import Tensor, nn


class StackedLamb(torch.optim.Optimizer):
    """timm's LAMB with a trust ratio, and a clipped gradient norm, for each seed of a stack.

    The update is that of ``timm.optim.Lamb`` with the options recipes have (You et al. 2020, arXiv:1904.00962, with
    averaged and bias-corrected moments; decay inside the trust ratio; parameters without decay not adapted).
    Moments lie in one array per group, one row per seed, parameters side by side.
    """

    def __init__(self, lamb: Lamb, n_seeds: int) -> None:
        assert not any(lamb.defaults[key] for key in ("trust_clip", "always_adapt", "caution", "decoupled_decay"))
        assert all(lamb.defaults[key] for key in ("bias_correction", "grad_averaging"))
        super().__init__(lamb.param_groups, lamb.defaults)
        self.n_seeds = n_seeds

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every seed by its own gradients."""
        assert closure is None, "a closure would evaluate all seeds again"
        gradients = [_rows([p.grad for p in group["params"]], self.n_seeds) for group in self.param_groups]
        if self.defaults["max_grad_norm"] is not None:
            norm = torch.cat(gradients, dim=1).norm(dim=1, keepdim=True)
            factor = (norm / self.defaults["max_grad_norm"]).clamp_(min=1.0)
            for gradient in gradients:
                gradient.div_(factor)
        for group, gradient in zip(self.param_groups, gradients, strict=True):
            self._update(group, gradient)

    def _update(self, group: dict[str, Any], gradient: Tensor) -> None:
        state = self.state[group["params"][0]]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(gradient), "exp_avg_sq": torch.zeros_like(gradient)}
        state["step"] += 1
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        spread = (square.sqrt() / (1 - beta2 ** state["step"]) ** 0.5).add_(group["eps"])
        update = (mean / (1 - beta1 ** state["step"])).div_(spread)
        sizes = [p.numel() // self.n_seeds for p in group["params"]]
        if group["weight_decay"]:
            weights = _rows(group["params"], self.n_seeds)
            update.add_(weights, alpha=group["weight_decay"])
            ratios = [
                _trust_ratio(w.norm(dim=1, keepdim=True), u.norm(dim=1, keepdim=True))
                for w, u in zip(weights.split(sizes, 1), update.split(sizes, 1), strict=True)
            ]
            for part, ratio in zip(update.split(sizes, 1), ratios, strict=True):
                part.mul_(ratio)
        for parameter, part in zip(group["params"], update.split(sizes, 1), strict=True):
            parameter.add_(part.reshape(parameter.shape), alpha=-group["lr"])


def _trust_ratio(weight_norm: Tensor, update_norm: Tensor) -> Tensor:
    """Return the ratio of the norms; 1 where either is zero."""
    return torch.where((weight_norm > 0) & (update_norm > 0), weight_norm / update_norm, 1.0)


def _rows(tensors: Iterable[Tensor | None], n_seeds: int) -> Tensor:
    """Return a copy of all tensors side by side, one row per seed."""
    return torch.cat([tensor.reshape(n_seeds, -1) for tensor in tensors if tensor is not None], dim=1)


@torch.no_grad()
def clip_grad_norms_(network: nn.Module, max_norm: float, n_seeds: int) -> None:
    """Scale each seed's gradients in place to a global norm of at most ``max_norm``, as ``clip_grad_norm_`` does."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norms = _rows(gradients, n_seeds).norm(dim=1)
    factors = (max_norm / (norms + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        by_seed = gradient.unflatten(0, (n_seeds, -1))
        by_seed.mul_(factors.view(-1, *[1] * (by_seed.ndim - 1)))
