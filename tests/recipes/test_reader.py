from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seedstudy.errors import RecipeError
from seedstudy.recipes.reader import RecipeFile, load_recipe, read_recipe, with_values
from tests.recipes.changes import changes

Parse = Callable[[str], RecipeFile]
HEAD = 'format = 1\nname = "mine"\nbase = "a2"\n'


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    def read(text: str) -> RecipeFile:
        (tmp_path / "mine.toml").write_text(text)
        return read_recipe(str(tmp_path / "mine.toml"))

    return read


def test_diff_of_a1_and_a2_reads_like_the_paper() -> None:
    assert changes(load_recipe("a1"), load_recipe("a2")) == [
        ("epochs", 600, 300),
        ("weight_decay", 0.01, 0.02),
        ("label_smoothing", 0.1, 0.0),
        ("mixup_alpha", 0.2, 0.1),
    ]


def test_base_gives_what_is_not_given_and_keeps_its_sources(parse: Parse) -> None:
    mine = parse(HEAD + "[values]\ndrop_path = 0.1\n").for_model(None)
    assert changes(load_recipe("a2"), mine) == [("drop_path", 0.05, 0.1)]
    assert "drop_path" not in mine.sources
    assert mine.sources["epochs"] == load_recipe("a2").sources["epochs"]


def test_differences_from_a_source_are_the_bases_or_its_own(parse: Parse) -> None:
    assert parse(HEAD).differences == read_recipe("a2").differences != ()
    assert parse(HEAD + 'differences = ["It is ours."]\n').differences == ("It is ours.",)
    with pytest.raises(RecipeError, match=r"mine\.toml: differences must be a list of sentences"):
        parse(HEAD + 'differences = "no list"\n')


def test_keys_missing_for_one_reason_share_a_sentence() -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe("rsb_d").for_model("resnet50")
    assert str(caught.value).count("in RSB's appendix") == 1
    assert "--set lr=… --set weight_decay=…" in str(caught.value)


def test_a_base_may_have_a_base_but_not_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(HEAD.replace("mine", "first") + "[values]\nepochs = 7\n")
    (tmp_path / "second.toml").write_text(HEAD.replace("mine", "second").replace("a2", "first") + "[values]\nlr = 1.0")
    second = load_recipe(str(tmp_path / "second.toml"))
    assert [key for key, _, _ in changes(load_recipe("a2"), second)] == ["epochs", "lr"]
    (tmp_path / "first.toml").write_text(HEAD.replace("mine", "first").replace("a2", "second"))
    with pytest.raises(RecipeError, match='base "second" builds on this recipe in turn'):
        load_recipe(str(tmp_path / "second.toml"))


MODELS = """
[models]
source = "a table"
small = { train_size = 32, dropout = 0.5 }
large = {}
"""


def test_a_recipe_may_differ_by_model(parse: Parse) -> None:
    file = parse(HEAD + "[values]\ntrain_size = 64\n" + MODELS)
    assert file.for_model("large").train_size == file.for_model("unknown").train_size == 64
    small = file.for_model("small")
    assert (small.train_size, small.dropout, small.sources["train_size"]) == (32, 0.5, "a table")
    assert small.recipe_id != file.for_model("large").recipe_id


def test_an_own_value_wins_over_what_the_base_says_of_models(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(HEAD.replace("mine", "first") + MODELS)
    (tmp_path / "mine.toml").write_text(HEAD.replace("a2", "first") + "[values]\ntrain_size = 48\n")
    mine = load_recipe(str(tmp_path / "mine.toml"), "small")
    assert (mine.train_size, mine.dropout) == (48, 0.5)


def test_a_missing_value_is_an_error_until_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + '[values]\nlr = { missing = "no source prints it" }\n')
    file = read_recipe(str(path))
    assert file.described(None)["lr"] == "missing"
    with pytest.raises(RecipeError) as caught:
        file.for_model(None)
    assert "mine cannot be trained as published: no lr (no source prints it): give --set lr=…" in str(caught.value)
    assert "\n" not in str(caught.value)
    given = file.for_model(None, given={"lr": 0.1, "epochs": 3})
    assert (given.lr, given.epochs) == (0.1, 300)  # gaps are filled, nothing else changes
    path.write_text(HEAD + "[values]\nepochs = 7\n")
    assert load_recipe(str(path)).lr == 5e-3


def test_a_value_for_certain_models_only_is_an_error_for_others() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("efficientnet", "resnet50")
    assert 'no train_size, test_size, dropout for model "resnet50": it gives them for efficientnet_b0' in str(
        caught.value
    )
    assert load_recipe("efficientnet", "efficientnet_b7").train_size == 600


@pytest.mark.parametrize("base", ["../a2", "/etc/passwd", "nowhere"])
def test_base_cannot_reach_outside_its_folder(tmp_path: Path, base: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD.replace("a2", base))
    with pytest.raises(RecipeError, match="unknown base"):
        load_recipe(str(path))


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
        (
            'optimizer = "adam"',
            'mine.toml: optimizer = \'adam\' is wrong: expected one of "lamb", "adamw", "sgd", "momentum", "rms',
        ),
        ("crop_scale = [1.0, 0.5]", "mine.toml: crop_scale = [1, 0.5] has its ends the wrong way round."),
        ("crop_scale = [0.1]", "mine.toml: crop_scale = [0.1] is wrong: expected two numbers [a, b]."),
        ('randaugment = "rand-x"', 'mine.toml: randaugment = "rand-x" is not of the form "rand-m7-mstd0.5-inc1".'),
        ("warmup_epochs = 300", "mine.toml: warmup_epochs = 300 leaves nothing of epochs = 300."),
        ("batch_size = 1000", "mine.toml: batch_size = 1000 is not a multiple of micro_batch = 512"),
        ('optimizer = "sgd"', 'mine.toml: optimizer = "sgd" needs momentum.'),
        ('loss = "ce"', 'mine.toml: loss = "ce" takes neither bce_target_threshold nor bce_sum.'),
        ('schedule = "linear"', 'mine.toml: schedule = "linear" is not of the form "cosine", "step-30-x0.1" or'),
        ('auto_augment = "v0"', "mine.toml: randaugment and auto_augment exclude each other"),
        ("lr = { value = 1.0 }", 'mine.toml: lr must be a value, { value = …, source = "…" } or { missing = "why" }.'),
    ],
)
def test_wrong_value_is_one_line_with_file_key_and_cure(lines: str, expected: str, parse: Parse) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(HEAD + f"[values]\n{lines}\n").for_model(None)
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
        (HEAD + "[models]\nresnet50 = 3", "resnet50 in [models] must be a table"),
        (
            HEAD + "[models]\nresnet50 = { epoch = 3 }",
            'unknown key "epoch" of resnet50 in [models]. Did you mean "epochs"',
        ),
        ('format = 1\nname = "mine"\n[values]\nepochs = 3', "a recipe without a base gives every value"),
    ],
)
def test_wrong_head_is_one_line(text: str, expected: str, parse: Parse) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(text).for_model(None)
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
