"""What is drawn, against timm's and torchvision's own draws; how drawing and applying fit together."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from timm.data import auto_augment
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation

from seedstudy.data.base import Dataset
from seedstudy.errors import RecipeError
from seedstudy.recipes.reader import load_recipe
from seedstudy.recipes.recipe import Recipe
from seedstudy.train import augment
from seedstudy.train.augment import NO_OP, OPS, BatchedAugmenter, Chance, Crops, Draws, parse_randaugment
from seedstudy.train.feed import MicroBatch, PilAugmenter, TensorAugmenter
from seedstudy.train.random_state import RandomStream

N = 10_000
CPU = torch.device("cpu")

TIMM_NAMES = {
    "Posterize": "PosterizeIncreasing",
    "Solarize": "SolarizeIncreasing",
    "TranslateX": "TranslateXRel",
    "TranslateY": "TranslateYRel",
    **{name: f"{name}Increasing" for name in ("Brightness", "Contrast", "Color", "Sharpness")},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def augmenter(**changes: object) -> BatchedAugmenter:
    recipe = replace(load_recipe("a2"), train_size=32, **changes)  # type: ignore[arg-type]
    return BatchedAugmenter(recipe, (0.5, 0.4, 0.3), (0.25, 0.25, 0.25), CPU)


def augmented(whole: BatchedAugmenter, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    chance = Chance([(len(images), generator)])
    crops = whole.crop(images, whole.draw_crops(chance, *images.shape[2:]))
    return whole.apply(crops, whole.draw(chance))


@pytest.fixture(scope="module")
def a2_draws() -> Draws:
    return augmenter().draw(Chance([(N, generator())]))


@pytest.fixture(scope="module")
def a2_crops() -> Crops:
    return augmenter().draw_crops(Chance([(N, generator())]), 32, 32)


# --- RandAugment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["rand-m7-mstd0.5-inc1", "rand-m9-n3-p0.3", "rand-m15-mmax20-mstd101-inc0", "rand-inc1", "rand-m6-inc1"]
)
def test_operations_are_those_that_timm_draws_from(text: str) -> None:
    ours = [TIMM_NAMES.get(name, name) for name in OPS] if "inc1" in text else OPS
    theirs = [op.name for op in parse_randaugment(text).ops]
    assert sorted(name.removesuffix("Rel") for name in ours) == sorted(name.removesuffix("Rel") for name in theirs)


@pytest.mark.parametrize("text", ["rand-m7.5", "rand-w0", "rand-k3", "auto-m7", "rand-m"])
def test_what_timm_does_not_read_is_an_error(text: str) -> None:
    with pytest.raises(RecipeError, match="randaugment"):
        parse_randaugment(text)


@pytest.mark.parametrize("is_increasing", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_arguments_are_timms_over_the_whole_range(
    sign: int, is_increasing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto_augment, "_randomly_negate", lambda value: sign * value)
    levels = np.linspace(0, 12, 241)
    share = torch.from_numpy(levels) / 10
    ours = augment._arguments(share, torch.full_like(share, sign), is_increasing=is_increasing)
    for op, name in enumerate(OPS):
        timm_name = TIMM_NAMES.get(name, name) if is_increasing or "Translate" in name else name
        level_to_arg = auto_augment.LEVEL_TO_ARG[timm_name]
        expected = [0.0 if level_to_arg is None else level_to_arg(level, {})[0] for level in levels]
        assert ours[op].numpy() == pytest.approx(np.array(expected, dtype=float), abs=1e-12), name


def test_operations_are_equally_likely_and_half_of_them_applied(a2_draws: Draws) -> None:
    counts = torch.bincount(a2_draws.op.flatten(), minlength=NO_OP + 1).numpy()
    assert counts.sum() == 2 * N
    assert stats.binomtest(int(counts[NO_OP]), 2 * N, 0.5).pvalue > 1e-3
    assert stats.chisquare(counts[:NO_OP]).pvalue > 1e-3
    # Each layer draws for itself, with replacement.
    both = a2_draws.op[(a2_draws.op != NO_OP).all(1)]
    assert stats.binomtest(int((both[:, 0] == both[:, 1]).sum()), len(both), 1 / 15).pvalue > 1e-3


def test_magnitudes_are_gaussian_about_the_recipes(a2_draws: Draws) -> None:
    has_sign = torch.isin(a2_draws.op, torch.tensor([OPS.index(name) for name in augment._REACH]))
    signed = a2_draws.argument[has_sign]
    assert stats.binomtest(int((signed > 0).sum()), len(signed), 0.5).pvalue > 1e-3
    levels = a2_draws.argument[a2_draws.op == OPS.index("Rotate")].numpy() / 3
    assert stats.kstest(np.abs(levels), stats.norm(7, 0.5).cdf).pvalue > 1e-3


def test_magnitudes_are_clipped_and_uniform_where_the_string_says_so() -> None:
    wild = augmenter(randaugment="rand-m9-mstd5-inc1").draw(Chance([(N, generator())]))
    levels = wild.argument[wild.op == OPS.index("Rotate")].abs() / 3
    assert float(levels.max()) == pytest.approx(10)
    assert stats.binomtest(int((levels > 9.999).sum()), len(levels), stats.norm(9, 5).sf(10)).pvalue > 1e-3
    even = augmenter(randaugment="rand-m8-mstd101-inc1").draw(Chance([(N, generator())]))
    levels = even.argument[even.op == OPS.index("Rotate")].abs() / 3
    assert stats.kstest(levels.numpy(), stats.uniform(0, 8).cdf).pvalue > 1e-3


def test_interpolation_follows_the_recipe(a2_crops: Crops, a2_draws: Draws) -> None:
    for drawn in (a2_crops.is_bicubic, a2_draws.op_is_bicubic):
        assert stats.binomtest(int(drawn.sum()), drawn.numel(), 0.5).pvalue > 1e-3
    assert augmenter(train_interpolation="bicubic").draw_crops(Chance([(50, generator())]), 32, 32).is_bicubic.all()
    assert not augmenter(train_interpolation="bilinear").draw(Chance([(50, generator())])).op_is_bicubic.any()


# --- crop, flip, jitter, erasing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (32, 32, (0.08, 1.0), (3 / 4, 4 / 3)),
        (20, 60, (0.5, 1.0), (3 / 4, 4 / 3)),  # often no box fits in ten attempts: the central one
        (32, 32, (0.9, 1.0), (2.0, 3.0)),  # never
    ],
)
def test_crops_are_distributed_as_timms(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    random.seed(0)
    image = Image.new("RGB", (width, height))
    theirs = np.array([RandomResizedCropAndInterpolation.get_params(image, scale, ratio) for _ in range(N)])
    drawn = augmenter(crop_scale=scale, crop_ratio=ratio).draw_crops(Chance([(N, generator())]), height, width)
    ours = drawn.box.numpy()
    for axis, name in enumerate(("top", "left", "height", "width")):
        values = np.union1d(ours[:, axis], theirs[:, axis])
        table = np.array([[(drawn[:, axis] == value).sum() for value in values] for drawn in (ours, theirs)])
        if len(values) > 1:
            table = table[:, table.sum(0) >= 10]
            assert stats.chi2_contingency(table).pvalue > 1e-4, name
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, :2] + ours[:, 2:] <= (height, width)).all()


def test_flips_are_as_likely_as_the_recipe_says(a2_crops: Crops) -> None:
    assert stats.binomtest(int(a2_crops.is_flipped.sum()), N, 0.5).pvalue > 1e-3
    assert not augmenter(hflip=0.0).draw_crops(Chance([(50, generator())]), 32, 32).is_flipped.any()


@pytest.mark.slow
def test_rectangles_are_erased_as_timm_erases_them() -> None:
    random.seed(0)
    erase = RandomErasing(0.3, mode="pixel", device="cpu")
    theirs = torch.stack([erase(torch.zeros(3, 32, 32)) for _ in range(N // 4)])
    drawn = augmenter(randaugment=None, random_erasing=0.3)
    draws = drawn.draw(Chance([(N, generator())]))
    assert stats.binomtest(int((draws.erased[:, 2] > 0).sum()), N, 0.3).pvalue > 1e-3
    of_timm = (theirs != 0).any(1)
    for axis, sides in ((2, of_timm.any(2).sum(1)), (3, of_timm.any(1).sum(1))):
        ours = draws.erased[draws.erased[:, 2] > 0][:, axis]
        assert stats.ks_2samp(ours.numpy(), sides[sides > 0].numpy()).pvalue > 1e-3
    # What is put there is noise of mean 0 and standard deviation 1, and nothing else is touched.
    grey = torch.full((N // 10, 3, 32, 32), 100, dtype=torch.uint8)
    some = drawn.draw(Chance([(len(grey), generator())]))
    output = drawn.apply(grey, some)
    untouched = drawn.apply(grey, replace(some, erased=torch.zeros_like(some.erased), noise=some.noise[:0]))
    changed = (output != untouched).any(1)
    assert torch.equal(changed.sum((1, 2)), some.erased[:, 2] * some.erased[:, 3])
    noise = output[changed[:, None].expand_as(output)]
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)


def test_jitter_is_torchvisions_and_only_without_randaugment() -> None:
    draws = augmenter(randaugment=None, color_jitter=0.4).draw(Chance([(N, generator())]))
    assert sorted(OPS[op] for op in draws.op[0]) == ["Brightness", "Color", "Contrast"]
    first = torch.bincount(draws.op[:, 0])
    assert stats.chisquare(first[first > 0].numpy()).pvalue > 1e-3  # in random order
    assert stats.kstest(draws.argument.flatten().numpy(), stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3
    assert augmenter(color_jitter=0.4).draw(Chance([(5, generator())])).op.shape == (5, 2)  # RandAugment's
    assert augmenter(randaugment=None).draw(Chance([(5, generator())])).op.shape == (5, 0)


# --- whole pipeline -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_operation_reaches_just_the_images_that_drew_it() -> None:
    """Augmenting together equals augmenting one by one."""
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (100, 3, 32, 32), dtype=np.uint8))
    whole = augmenter(random_erasing=0.5)
    chance = Chance([(1, generator(row)) for row in range(len(batch))])
    crops = whole.crop(batch, whole.draw_crops(chance, 32, 32))
    draws = whole.draw(chance)
    together = whole.apply(crops, draws)
    assert set(draws.op.flatten().tolist()) == set(range(NO_OP + 1))
    for row in range(len(batch)):
        alone = augmented(whole, batch[row : row + 1], generator(row))[0]
        # Sums of another batch size may round differently: at most one grey level.
        assert (alone - together[row]).abs().max() <= 1.01 / 255 / 0.25


@pytest.mark.slow
def test_whole_pipeline_equals_timms_in_distribution(data: Dataset, tiny_recipe: Recipe) -> None:
    # Mean and spread of 2,000 augmented copies per channel; the standard error of a mean is 0.01 to 0.02.
    rows = np.arange(2000) % len(data.train_images)
    theirs = PilAugmenter(tiny_recipe, data)([MicroBatch(rows=rows, stream=RandomStream(0), position=(0, 0))])[0]
    ours = TensorAugmenter(tiny_recipe, data, CPU)([MicroBatch(rows=rows, stream=RandomStream(0), position=(0, 0))])[0]
    assert ours.shape == theirs.shape
    for of_images in (lambda x: x.mean((2, 3)), lambda x: x.std((2, 3)), lambda x: x[:, :, 0, 0]):
        for channel in range(3):
            a, b = of_images(ours)[:, channel].numpy(), of_images(theirs)[:, channel].numpy()
            assert stats.ks_2samp(a, b).pvalue > 1e-3


def test_same_generator_same_images_other_generator_others() -> None:
    batch = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32), dtype=np.uint8))
    whole = augmenter()
    assert torch.equal(augmented(whole, batch, generator(1)), augmented(whole, batch, generator(1)))
    assert not torch.equal(augmented(whole, batch, generator(1)), augmented(whole, batch, generator(2)))


def test_what_is_drawn_does_not_depend_on_how_much_is_augmented_in_one_go(data: Dataset, tiny_recipe: Recipe) -> None:
    stream, augmented = RandomStream(5), TensorAugmenter(tiny_recipe, data, CPU)
    batches = [MicroBatch(rows=np.arange(16) + 16 * n, stream=stream, position=(n, 0)) for n in range(3)]
    for alone, together in zip([augmented([batch])[0] for batch in batches], augmented(batches), strict=True):
        assert (alone - together).abs().max() <= 1.01 / 255 / 0.25
    moved = augmented([replace(batches[0], position=(7, 0))])[0]
    assert not torch.equal(moved, augmented([batches[0]])[0])


def test_how_many_images_stay_in_the_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8, generator=generator())
    whole = augmented(augmenter(), images, generator(1))
    monkeypatch.setattr(augment, "_IN_CACHE", 7)
    assert torch.equal(augmented(augmenter(), images, generator(1)), whole)
