from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from seedstudy.errors import StudyError
from seedstudy.recipes.reader import with_values
from seedstudy.recipes.recipe import Recipe
from seedstudy.train.models import build_model, check_model, is_known
from seedstudy.train.stacks import why_not_stackable


@pytest.mark.parametrize(
    ("name", "layers", "params"), [("resnet8", 8, 78_042), ("resnet20", 20, 272_474), ("resnet56", 56, 855_770)]
)
def test_cifar_resnets_have_the_papers_depth_and_width(
    name: str, layers: int, params: int, tiny_recipe: Recipe
) -> None:
    model = build_model(name, tiny_recipe, 10, seed=0)
    shortcuts = [m for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and "downsample" in n]
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) - len(shortcuts) == layers
    # He et al. 2015, Table 6: 0.27 M and 0.85 M without projections, which add 2,752 weights here.
    assert sum(p.numel() for p in model.parameters()) == params
    assert timm.is_model(name)


def test_drop_path_is_linear_over_blocks(tiny_recipe: Recipe) -> None:
    model = build_model("resnet20", with_values(tiny_recipe, ["drop_path=0.4"]), 10, seed=0)
    rates = [block.drop_path.drop_prob if block.drop_path else 0.0 for block in model.blocks]  # type: ignore[union-attr]
    assert rates == pytest.approx([0.4 * i / 8 for i in range(9)])


@pytest.mark.parametrize("name", ["resnet18", "resnet50d"])
def test_small_images_get_a_stride_1_stem_and_no_pool(name: str, tiny_recipe: Recipe) -> None:
    model = build_model(name, tiny_recipe, 10, seed=0)
    stem = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    assert (stem.kernel_size, stem.stride) == ((3, 3), (1, 1))
    assert isinstance(model.maxpool, nn.Identity)


def test_large_images_keep_timms_stem(tiny_recipe: Recipe) -> None:
    model = build_model("resnet18", with_values(tiny_recipe, ["train_size=224", "test_size=224"]), 10, seed=0)
    assert isinstance(model.maxpool, nn.MaxPool2d)


def test_weights_follow_the_seed_alone(tiny_recipe: Recipe) -> None:
    def weights(seed: int) -> torch.Tensor:
        model = build_model("resnet18", tiny_recipe, 10, seed=seed)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    first = weights(1)
    torch.manual_seed(42)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)


def test_last_norms_start_at_zero_as_the_recipe_says(tiny_recipe: Recipe) -> None:
    on = build_model("resnet8", tiny_recipe, 10, seed=0)
    off = build_model("resnet8", with_values(tiny_recipe, ["zero_init_last=false"]), 10, seed=0)
    assert not on.blocks[0].bn2.weight.any()  # type: ignore[union-attr,index]
    assert off.blocks[0].bn2.weight.all()  # type: ignore[union-attr,index]


def test_unknown_model_is_answered_with_suggestions(tiny_recipe: Recipe) -> None:
    with pytest.raises(StudyError, match=r'unknown model "resnet5O"\..*resnet50'):
        check_model("resnet5O", tiny_recipe, 10)


def test_model_that_cannot_take_the_images_says_so_in_one_line(tiny_recipe: Recipe) -> None:
    recipe = with_values(tiny_recipe, ["train_size=24", "test_size=24"])
    with pytest.raises(StudyError, match="a2 at 24 and 24 px: 24 px is not a multiple of its 16 px patches") as caught:
        check_model("vit_tiny_patch16_224", recipe, 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "twin"),
    [("resnet_d8_w1", "resnet8"), ("resnet_d8_w050_s2", "resnet8_nano"), ("resnet_d20_w1", "resnet20")],
)
def test_a_network_of_any_depth_and_width_has_a_name(name: str, twin: str, tiny_recipe: Recipe) -> None:
    one, other = (build_model(each, tiny_recipe, 10, seed=3).state_dict() for each in (name, twin))
    assert all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


def test_depth_and_width_are_those_of_the_name(tiny_recipe: Recipe) -> None:
    model = build_model("resnet_d14_w150", tiny_recipe, 10, seed=0)
    shortcuts = [m for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and "downsample" in n]
    weighted = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) - len(shortcuts) == 14
    assert (weighted[0].out_channels, model.fc.in_features) == (24, 96)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("resnet_d9_w1", "a depth is 6n . 2, from 8"),
        ("resnet_d1400_w1", "a depth is 6n . 2, from 8 to 1202"),
        ("resnet_d8_w033", "a width is w1 to w99, or a percentage"),
        ("resnet_d8_w0", "a width is w1"),
        ("resnet_d8_w1_s3", "the stride of a stem is"),
        ("resnet_d8_w100", "write resnet_d8_w1"),
        ("resnet_d08_w1_s1", "write resnet_d8_w1"),
    ],
)
def test_impossible_and_second_names_are_refused_in_one_line(name: str, answer: str, tiny_recipe: Recipe) -> None:
    with pytest.raises(StudyError, match=answer):
        check_model(name, tiny_recipe, 10)
    assert not is_known(name)


@pytest.mark.parametrize("values", [["se_ratio=0.25"], ["resnet_d=true"], ["se_ratio=0.25", "resnet_d=true"]])
def test_own_resnets_take_what_recipes_add_and_stack(values: list[str], tiny_recipe: Recipe) -> None:
    recipe = with_values(tiny_recipe, [*values, "drop_path=0.3", "drop_path_rule=stage"])
    model = build_model("resnet_d14_w050_s2", recipe, 10, seed=0)
    rates = [block.drop_path.drop_prob for block in model.blocks]  # type: ignore[union-attr]
    assert rates == pytest.approx([0.15, 0.15, 0.225, 0.225, 0.3, 0.3])
    assert (model.blocks[0].se is not None) == ("se_ratio=0.25" in values)  # type: ignore[union-attr,index]
    assert isinstance(model.conv1, nn.Sequential) == ("resnet_d=true" in values)
    assert why_not_stackable("resnet_d14_w050_s2", recipe, 10) == ""


def test_a_network_with_excitation_by_name_takes_no_second_one(tiny_recipe: Recipe) -> None:
    model = build_model("resnet_d8_w050_s2_se", tiny_recipe, 10, seed=0)
    assert all(block.se is not None for block in model.blocks)  # type: ignore[union-attr]
    with pytest.raises(StudyError, match=r"which model .*_se. does not support"):
        check_model("resnet_d8_w050_s2_se", with_values(tiny_recipe, ["se_ratio=0.25"]), 10)
