"""JSON schemas and the template of a study file: made from the readers' own keys, and as strict."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError, StudyError
from seedstudy.recipes import reader
from seedstudy.study.study import load_study

jsonschema = pytest.importorskip("jsonschema")

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*/study.toml"))
PACKAGED = sorted(Path(reader.__file__).with_name("packaged").glob("*.toml"))


@pytest.fixture(scope="module")
def checks() -> dict[str, Any]:
    made = {kind: jsonschema.Draft202012Validator(ss.schema(kind)) for kind in ("study", "recipe")}
    for each in made.values():
        each.check_schema(each.schema)
    return made


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_every_packaged_recipe_is_valid(path: Path, checks: dict[str, Any]) -> None:
    checks["recipe"].validate(tomllib.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_every_study_file_is_valid(path: Path, checks: dict[str, Any]) -> None:
    checks["study"].validate(tomllib.loads(path.read_text(encoding="utf-8")))


def wrong() -> Iterator[tuple[str, str]]:
    head = "format = 1\n"
    yield "study", head + "questoin = 'x'"
    yield "study", head + "[grid]\nrecipe = ['a2']"
    yield "study", head + "[grid]\nrecipes = 'a2'"
    yield "study", head + "[grid]\nrecipes = ['a2']\nepochs = 0"
    yield "study", head + "[rule]\nmargin = 'much'"
    yield "study", head + "[engine]\nname = 'kubernetes'"
    yield "study", head + "[design]\nkind = 'latin'"
    yield "study", "[grid]\nrecipes = ['a2']"
    recipe = head + "name = 'x'\nbase = 'a2'\n[values]\n"
    yield "recipe", recipe + "epoch = 3"
    yield "recipe", recipe + "epochs = 0"
    yield "recipe", recipe + "lr = 0"
    yield "recipe", recipe + "dropout = 1.0"
    yield "recipe", recipe + "optimizer = 'adam'"
    yield "recipe", recipe + "schedule = 'linear'"
    yield "recipe", recipe + "crop_scale = [0.1]"
    yield "recipe", recipe + "epochs = { value = 3 }"
    yield "recipe", recipe + "epochs = 'none'"


@pytest.mark.parametrize(("kind", "text"), list(wrong()))
def test_what_the_reader_refuses_the_schema_refuses_too(
    kind: str, text: str, checks: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"{kind}.toml"
    path.write_text(text)
    with pytest.raises(SeedstudyError):
        load_study(path) if kind == "study" else ss.load_recipe(str(path))
    assert not checks[kind].is_valid(tomllib.loads(text))


def test_an_unknown_schema_is_named() -> None:
    with pytest.raises(StudyError, match="study or recipe"):
        ss.schema("studies")


def test_a_new_study_file_is_read_and_valid(tmp_path: Path, checks: dict[str, Any]) -> None:
    plain = ss.init(tmp_path / "plain.toml")
    assert load_study(plain).recipes == ("a3", "a2")
    path = ss.init(tmp_path / "own.toml", recipes="a3,a2", models="resnet20", data="cifar10", seeds="10", margin=0.5)
    study = load_study(path)
    assert (study.recipes, study.models, study.data, study.margin) == (("a3", "a2"), ("resnet20",), "cifar10", 0.5)
    assert (study.seeds, study.baseline) == (tuple(range(10)), "a3")
    assert study.name == "own"
    folder = tmp_path / "ladder"
    folder.mkdir()
    assert load_study(ss.init(folder / "study.toml")).name == "ladder"
    assert load_study(ss.init(folder / "two words.toml")).name == "ladder", "no name of a study: the folder's"
    for each in (plain, path):
        checks["study"].validate(tomllib.loads(each.read_text(encoding="utf-8")))


def test_every_line_of_the_template_holds_when_its_comment_sign_is_taken_away(tmp_path: Path, checks: Any) -> None:
    lines = ss.init(tmp_path / "study.toml").read_text(encoding="utf-8").splitlines()
    in_force = [line.removeprefix("# ") for line in lines[3:]]
    checks["study"].validate(tomllib.loads("\n".join(in_force)))


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("mine")
    with pytest.raises(StudyError, match="exists already"):
        ss.init(path)
    assert path.read_text() == "mine"
    with pytest.raises(StudyError, match=r"ends in \.toml"):
        ss.init(tmp_path / "study.txt")
