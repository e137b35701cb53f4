from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from seedstudy.train.evaluate import folded


def trained(name: str) -> nn.Module:
    """Return a network whose batch norms have statistics and weights of their own."""
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, num_classes=7)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]  # it has them
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "resnet10t", "resnet14t", "resnet18d"])
def test_folded_network_gives_the_same_logits_and_leaves_the_original_alone(name: str) -> None:
    model, images = trained(name).eval(), torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        expected = model(images)
        copied = folded(model)
        assert not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules()) or name != "resnet8"
        assert torch.allclose(copied(images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
        assert torch.equal(model(images), expected)


def test_networks_whose_order_is_not_known_or_was_wrapped_are_left_as_they_are() -> None:
    vit = timm.create_model("test_vit", num_classes=7)
    assert folded(vit) is vit
    model = trained("resnet8")
    model.forward = model.forward  # type: ignore[method-assign]  # as accelerate does for mixed precision
    assert folded(model) is model
