from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.study.placement import Placement
from seedstudy.study.study import Study, adjusted, load_study

GOOD = """
format = 1
name = "a2_vs_a3"
question = "Is a2 better than a3 after a tenth of the epochs?"

[grid]
recipes = ["a2", "a3"]
models = ["resnet8"]
data = "cifar10"
seeds = "0-4"
vary = ["order", "init"]
epochs = 3
train_limit = 5000
set = ["drop_path=0"]
augment = "pil"

[rule]
margin = 1
baseline = "a3"
"""


def test_study_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD)
    study = load_study(path)
    assert study.recipes == ("a2", "a3")
    assert study.seeds == (0, 1, 2, 3, 4)
    assert study.augment == "pil"
    assert study.vary == ("init", "order")
    assert (study.epochs, study.train_limit, study.assignments) == (3, 5000, ("drop_path=0",))
    assert (study.margin, study.baseline, study.folder) == (1.0, "a3", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format = 1", "format = 9", "format is 9, this version reads format = 1"),
        ("[grid]", "[gird]", 'unknown key "gird". Did you mean "grid"?'),
        ("seeds =", "sedes =", '[grid] unknown key "sedes". Did you mean "seeds"?'),
        ("margin = 1", 'margin = "big"', "margin = 'big' is wrong: expected a number"),
        ("epochs = 3", "epochs = 3.5", "epochs = 3.5 is wrong: expected a whole number"),
        ('recipes = ["a2", "a3"]', 'recipes = "a2"', "recipes must be a list of texts"),
        ('augment = "pil"', 'augment = "pill"', 'augment = \'pill\' is wrong: expected one of "batched", "pil".'),
        ('"0-4"', '"4-0"', "runs backwards"),
        ('name = "a2_vs_a3"', 'name = "../x"', "use letters, digits"),
        ("[rule]", "[rule", "not valid TOML"),
    ],
)
def test_wrong_study_file_is_one_line(old: str, new: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(SeedstudyError) as caught:
        load_study(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('name = "slrum"', 'engine = \'slrum\' is wrong: expected one of "local", "slurm", "ray"'),
        ("workers = 0", "workers = 0: must be at least 1"),
        ("gpus = 1.5", "gpus = 1.5: must be a whole number, or a share below 1"),
        ("gpus = -1", "gpus = -1: must be"),
        ("gpus = nan", "gpus = nan: must be"),
        ("gpus = inf", "gpus = inf: must be"),
        ("gpus = 0.5\nprocesses = 2", "need a whole GPU each"),
        ('template = "evil.sh"', 'unknown key "template"'),  # it is code: from the command line only
        ('cores = "2"', "expected a whole number"),
    ],
)
def test_engine_of_a_study_file_is_checked(tmp_path: Path, table: str, expected: str) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f'format = 1\n[grid]\nrecipes = ["a2"]\n[engine]\n{table}\n')
    with pytest.raises(SeedstudyError) as caught:
        load_study(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_engine_of_a_study_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('format = 1\n[grid]\nrecipes = ["a2"]\n[engine]\nname = "ray"\ngpus = 0.25\nworkers = 3\n')
    assert load_study(path).placement == Placement(engine="ray", gpus=0.25, workers=3)


def test_given_values_take_the_place_of_a_studys_own(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(GOOD)
    study = load_study(path)
    assert adjusted(study) == study
    changed = adjusted(
        study,
        recipes="a1, a2",
        seeds=2,
        vary=["mix"],
        assignments=["lr=0.1"],
        placement={"workers": "auto", "cores": 2},
    )
    assert (changed.recipes, changed.folder, changed.models) == (("a1", "a2"), Path(), ("resnet8",))
    assert (changed.seeds, changed.vary, changed.assignments) == ((0, 1), ("mix",), ("drop_path=0", "lr=0.1"))
    assert changed.placement == Placement(cores=2, workers=None)
    assert adjusted(recipes=["a2"], margin=1) == Study(recipes=("a2",), margin=1.0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "nothing to train: name a recipe"),
        ({"recipes": " , "}, "nothing to train: name a recipe"),
        ({"epochs": 0}, "epochs = 0: must be at least 1."),
        ({"train_limit": -1}, "train_limit = -1: must be at least 1."),
        ({"epochs": 1.5}, "epochs = 1.5 is wrong: expected a whole number."),
        ({"margin": "big"}, "margin = 'big' is wrong: expected a number."),
        ({"name": "../x"}, "use letters, digits"),
        ({"augment": "gpu"}, 'augment = \'gpu\' is wrong: expected one of "batched", "pil".'),
        ({"placement": {"workers": "many"}}, "workers = many: expected a whole number of at least 1, or auto."),
        ({"placement": {"stack": 0}}, "stack = 0: must be at least 1."),
        ({"placement": {"corse": 1}}, 'unknown key "corse". Did you mean "cores"?'),
    ],
)
def test_given_values_are_checked(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(SeedstudyError) as caught:
        adjusted(**{"recipes": ["a2"]} | given if given else {})
    assert expected in str(caught.value)


@pytest.mark.parametrize("seeds", ["1.5", "true", "{ a = 1 }", "[[1]]"])
def test_seeds_of_another_type_are_one_line(seeds: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f'format = 1\n[grid]\nrecipes = ["a2"]\nseeds = {seeds}\n')
    with pytest.raises(SeedstudyError, match="is not a seed or a range") as caught:
        load_study(path)
    assert str(path) in str(caught.value)
