from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from seedstudy import recipe as recipes
from seedstudy.errors import RecipeError
from seedstudy.recipe import Recipe, diff, load_recipe, parse_recipe, with_values
from seedstudy.scaling import scale

HEAD = 'format = 1\nname = "mine"\nbase = "a2"\n'

# Written by hand from the table of the RSB procedures (arXiv 2110.00476, Table 2, and the ports named in the
# recipe files): key -> value in A1, A2, A3.
RSB = {
    "epochs": (600, 300, 100),
    "train_size": (224, 224, 160),
    "test_size": (224, 224, 224),
    "batch_size": (2048, 2048, 2048),
    "micro_batch": (512, 512, 512),
    "optimizer": ("lamb", "lamb", "lamb"),
    "lr": (5e-3, 5e-3, 8e-3),
    "weight_decay": (0.01, 0.02, 0.02),
    "decay_bias_and_norm": (False, False, False),
    "schedule": ("cosine", "cosine", "cosine"),
    "schedule_per": ("epoch", "epoch", "epoch"),
    "warmup_epochs": (5.0, 5.0, 5.0),
    "warmup_lr": (1e-4, 1e-4, 1e-4),
    "min_lr": (1e-6, 1e-6, 1e-6),
    "cooldown_epochs": (0, 0, 0),
    "loss": ("bce", "bce", "bce"),
    "label_smoothing": (0.1, 0.0, 0.0),
    "mixup_alpha": (0.2, 0.1, 0.1),
    "cutmix_alpha": (1.0, 1.0, 1.0),
    "mix_prob": (1.0, 1.0, 1.0),
    "mix_switch_prob": (0.5, 0.5, 0.5),
    "mix_mode": ("batch", "batch", "batch"),
    "randaugment": ("rand-m7-mstd0.5-inc1", "rand-m7-mstd0.5-inc1", "rand-m6-mstd0.5-inc1"),
    "repeated_augmentation": (3, 3, 1),
    "drop_path": (0.05, 0.05, 0.0),
    "dropout": (0.0, 0.0, 0.0),
    "random_erasing": (0.0, 0.0, 0.0),
    "ema_decay": (None, None, None),
    "crop_scale": ((0.08, 1.0),) * 3,
    "crop_ratio": ((3 / 4, 4 / 3),) * 3,
    "hflip": (0.5, 0.5, 0.5),
    "test_crop": (0.95, 0.95, 0.95),
    "test_interpolation": ("bicubic", "bicubic", "bicubic"),
    "train_interpolation": ("random", "random", "random"),
    "precision": ("mixed", "mixed", "mixed"),
    "max_grad_norm": (1.0, 1.0, 1.0),
    "clip_grad_norm": (None, None, None),
    "batch_norm_sync": ("reduce", "reduce", "reduce"),
    "betas": ((0.9, 0.999),) * 3,
    "optimizer_eps": (1e-6, 1e-6, 1e-6),
}


@pytest.mark.parametrize(("column", "name"), list(enumerate(("a1", "a2", "a3"))))
def test_packaged_recipe_has_the_published_values(column: int, name: str) -> None:
    values = load_recipe(name).values()
    assert {key: values[key] for key in RSB} == {key: row[column] for key, row in RSB.items()}


@pytest.mark.parametrize("name", recipes.packaged_names())
def test_every_packaged_value_names_its_source(name: str) -> None:
    recipe = load_recipe(name)
    assert set(recipe.sources) == set(recipe.values())
    assert all(recipe.sources.values())


def test_diff_of_a1_and_a2_reads_like_the_paper() -> None:
    assert diff(load_recipe("a1"), load_recipe("a2")) == [
        ("epochs", 600, 300),
        ("weight_decay", 0.01, 0.02),
        ("label_smoothing", 0.1, 0.0),
        ("mixup_alpha", 0.2, 0.1),
    ]


def test_base_gives_what_is_not_given_and_keeps_its_sources() -> None:
    mine = parse_recipe(HEAD + "[values]\ndrop_path = 0.1\n", where="mine.toml")
    assert diff(load_recipe("a2"), mine) == [("drop_path", 0.05, 0.1)]
    assert "drop_path" not in mine.sources
    assert mine.sources["epochs"] == load_recipe("a2").sources["epochs"]


def test_base_may_be_a_file_beside_it_but_one_level_deep(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(HEAD.replace("mine", "first") + "[values]\nepochs = 7\n")
    (tmp_path / "second.toml").write_text(HEAD.replace("mine", "second").replace("a2", "first"))
    with pytest.raises(RecipeError, match="one level is the limit"):
        load_recipe(str(tmp_path / "second.toml"))


@pytest.mark.parametrize("base", ["../a2", "/etc/passwd", "nowhere"])
def test_base_cannot_reach_outside_its_folder(tmp_path: Path, base: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD.replace("a2", base))
    with pytest.raises(RecipeError, match="unknown base"):
        load_recipe(str(path))


def test_recipe_id_follows_values_not_words() -> None:
    a2 = load_recipe("a2")
    assert dataclasses.replace(a2, title="another title", sources={}).recipe_id == a2.recipe_id
    assert with_values(a2, ["lr=0.0051"]).recipe_id != a2.recipe_id
    assert a2.recipe_id.startswith("a2-")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("drop_pth = 0.1", 'mine.toml: unknown key "drop_pth" in [values]. Did you mean "drop_path"'),
        ('epochs = "many"', "mine.toml: epochs = 'many' is wrong: expected a whole number."),
        ("epochs = 1.5", "mine.toml: epochs = 1.5 is wrong: expected a whole number."),
        ("epochs = true", "mine.toml: epochs = True is wrong: expected a whole number."),
        ("epochs = 0", "mine.toml: epochs = 0 is impossible: expected at least 1."),
        ("lr = -1.0", "mine.toml: lr = -1.0 is impossible: expected a number above 0."),
        ("lr = nan", "mine.toml: lr = nan is impossible: expected a number above 0."),
        ("hflip = 1.5", "mine.toml: hflip = 1.5 is impossible: expected 0 to 1."),
        ('optimizer = "adam"', 'mine.toml: optimizer = \'adam\' is wrong: expected one of "lamb", "adamw", "sgd".'),
        ("crop_scale = [1.0, 0.5]", "mine.toml: crop_scale = [1, 0.5] has its ends the wrong way round."),
        ("crop_scale = [0.1]", "mine.toml: crop_scale = [0.1] is wrong: expected two numbers [a, b]."),
        ('randaugment = "rand-x"', 'mine.toml: randaugment = "rand-x" is not of the form "rand-m7-mstd0.5-inc1".'),
        ("warmup_epochs = 300", "mine.toml: warmup_epochs = 300 leaves nothing of epochs = 300."),
        ("batch_size = 1000", "mine.toml: batch_size = 1000 is not a multiple of micro_batch = 512"),
        ('optimizer = "sgd"', 'mine.toml: optimizer = "sgd" needs a momentum.'),
        ('loss = "ce"', 'mine.toml: loss = "ce" takes neither bce_target_threshold nor bce_sum.'),
        ("lr = { value = 1.0 }", 'mine.toml: lr must be a value or { value = …, source = "…" }.'),
    ],
)
def test_wrong_value_is_one_line_with_file_key_and_cure(lines: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(HEAD + f"[values]\n{lines}\n", where="mine.toml")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("format = 1\nname = [", "not valid TOML"),
        ('format = 2\nname = "mine"', "format is 2, this version reads format = 1"),
        ('name = "mine"', "format is none"),
        ('format = 1\nname = "../mine"', "name must be letters"),
        ('format = 1\nname = "mine"\nepochs = 3', "Put it under [values]"),
        ('format = 1\nname = "mine"\nbaze = "a2"', 'Did you mean "base"?'),
        ('format = 1\nname = "mine"\n[values]\nepochs = 3', "a recipe without a base gives every value"),
    ],
)
def test_wrong_head_is_one_line(text: str, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, where="mine.toml")
    assert expected in str(caught.value)


def test_unknown_recipe_is_answered_with_a_suggestion() -> None:
    with pytest.raises(RecipeError, match='unknown recipe "a22"'):
        load_recipe("a22")
    with pytest.raises(RecipeError, match=r"cannot read the recipe file \(No such file or directory\)"):
        load_recipe("./a2.toml")


def test_set_reads_numbers_words_pairs_and_none() -> None:
    words = ["lr=0.1", "loss=ce", "bce_target_threshold=none", "crop_scale=0.2,1", "randaugment=none", "epochs=7"]
    changed = with_values(load_recipe("a2"), words)
    assert (changed.lr, changed.loss, changed.crop_scale, changed.randaugment, changed.epochs) == (
        0.1,
        "ce",
        (0.2, 1.0),
        None,
        7,
    )


@pytest.mark.parametrize(
    ("word", "expected"),
    [("lr", "expected key=value"), ("lrr=1", 'unknown key "lrr"'), ("lr=fast", "expected a number")],
)
def test_set_refuses_what_is_no_value(word: str, expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        with_values(load_recipe("a2"), [word])


def _scaled(name: str, *, n_train: int, epochs: int | None = None, ratio: float = 0.1) -> Recipe:
    return scale(load_recipe(name), data="d", n_train=n_train, image_size=32, epoch_ratio=ratio, epochs=epochs)


def test_scaling_follows_the_written_rule() -> None:
    a3 = _scaled("a3", n_train=50_000)
    assert (a3.epochs, a3.batch_size, a3.micro_batch) == (10, 128, 128)
    assert (a3.train_size, a3.test_size, a3.test_crop) == (24, 32, 1.0)
    assert a3.warmup_epochs / a3.epochs == pytest.approx(5 / 100)
    assert a3.schedule_per == "update"
    # sqrt(128/2048) for the batch, sqrt(62500 / 3900) for the updates; both by hand
    assert a3.lr == pytest.approx(8e-3 * math.sqrt(128 / 2048 * 62_500 / 3_900))
    assert a3.lr / a3.min_lr == pytest.approx(8e-3 / 1e-6)
    assert a3.sources["lr"] == "scaled to d from 0.008"
    unscaled = {"repeated_augmentation", "randaugment", "mixup_alpha", "drop_path", "loss", "weight_decay"}
    assert {key: a3.values()[key] for key in unscaled} == {key: load_recipe("a3").values()[key] for key in unscaled}


def test_scaling_bounds_the_learning_rate_and_the_batch() -> None:
    short = _scaled("a2", n_train=1000, epochs=1)
    assert short.lr == pytest.approx(10 * 5e-3)
    assert _scaled("a2", n_train=100).batch_size == 64
    assert _scaled("a2", n_train=1_281_167).batch_size == 2048


def test_scaled_epochs_can_be_named() -> None:
    assert _scaled("a2", n_train=5000, epochs=3).warmup_epochs == pytest.approx(5 / 300 * 3)


def test_on_imagenet_a_recipe_is_used_as_written() -> None:
    a2 = load_recipe("a2")
    same = scale(a2, data="imagenet", n_train=1_281_167, image_size=None, epoch_ratio=1.0, epochs=None)
    assert same.recipe_id == a2.recipe_id
    short = scale(a2, data="imagenet", n_train=1_281_167, image_size=None, epoch_ratio=1.0, epochs=30)
    assert [key for key, _, _ in diff(a2, short)] == ["epochs", "warmup_epochs"]
    assert (short.epochs, short.warmup_epochs) == (30, 0.5)
