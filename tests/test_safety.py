"""Nothing that lies in a file is run, leads outside its folder, or steers the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seedstudy
from seedstudy.errors import RecipeError, SeedstudyError, StudyError
from seedstudy.recipes import reader as recipes
from seedstudy.study.seeds import parse_seeds
from seedstudy.study.study import load_study

Cli = Callable[..., Any]
SOURCES = sorted(Path(seedstudy.__file__).parent.rglob("*.py"))
RUNS_CODE = re.compile(
    r"\bpickle\.loads?\(|\bjoblib\b|\bdill\b|\bcloudpickle\b|\byaml\.(unsafe_|full_)?load\(|\beval\(\"|(?<![.\w])(eval|exec)\("
    r"|allow_pickle=True|\bshell=True|\bos\.(system|popen)\(|trust_remote_code=True|weights_only=False"
)
LOADS = re.compile(r"\b(?:torch|np|numpy)\.load\((?:[^()]|\([^()]*\))*\)")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_from_a_file_is_run(path: Path) -> None:
    text = path.read_text()
    assert not (found := RUNS_CODE.search(text)), found
    for call in LOADS.findall(text):
        assert "weights_only=True" in call or "allow_pickle=False" in call, call


@pytest.mark.parametrize(
    "line", ["pickle.load(f)", "torch.load(x)", "np.load(p, mmap_mode='r')", "eval(text)", "run(c, shell=True)"]
)
def test_the_rule_above_can_fail(line: str) -> None:
    assert RUNS_CODE.search(line) or any("weights_only=True" not in call for call in LOADS.findall(line))


@pytest.mark.parametrize("name", ["../a.toml", "/etc/a.toml", "sub/../../a.toml", "a\\u0000.toml", "link.toml", "../a"])
def test_a_study_file_reaches_no_recipe_outside_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "a.toml").write_text("format = 1")
    (tmp_path / "study" / "link.toml").symlink_to(tmp_path / "a.toml")
    study = tmp_path / "study" / "study.toml"
    study.write_text(f'format = 1\n[grid]\nrecipes = ["{name}"]\n')
    with pytest.raises(StudyError, match="lies outside the study's folder"):
        load_study(study)


def test_a_study_file_reaches_recipes_below_it(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text('format = 1\n[grid]\nrecipes = ["a2", "recipes/own.toml"]\n')
    assert load_study(study).recipes == ("a2", "recipes/own.toml")


@pytest.mark.parametrize("base", ["../a2", "/etc/passwd", "link", "a\\u0000", "..", ""])
def test_a_recipe_has_no_base_outside_its_folder(base: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "a2.toml").write_text('format = 1\nname = "x"\nbase = "a2"\n')
    (tmp_path / "in" / "link.toml").symlink_to(tmp_path / "a2.toml")
    (tmp_path / "in" / "own.toml").write_text(f'format = 1\nname = "own"\nbase = "{base}"\n')
    with pytest.raises(RecipeError, match="unknown base"):
        recipes.load_recipe(str(tmp_path / "in" / "own.toml"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = " + "[" * 100_000, "nested too deep"),
        ("a = " + "9" * 10_000, "not valid TOML"),
        ("#" * 2**21, "longer than a megabyte"),
        ('format = 1\nname = "x"\nbase = "a2"\n[values]\nlr = 1' + "0" * 400, "lr = 1"),
        ('format = 1\nname = "' + "x" * 41 + '"\nbase = "a2"\n', "name must be"),
    ],
)
def test_hostile_toml_is_one_line(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=expected):
        recipes.load_recipe(str(path))
    if not text.startswith("format"):
        with pytest.raises(StudyError):
            load_study(path)


@pytest.mark.parametrize("text", ["9" * 5000, "0-" + "9" * 30, "0-999999,5-999999", "1-999999,0-5"])
def test_endless_seeds_end_at_once(text: str) -> None:
    with pytest.raises(StudyError, match=r"at most 1,000,000 seeds|named twice"):
        parse_seeds(text)


def test_messages_hold_no_control_characters() -> None:
    assert str(SeedstudyError("a\x1b[31mb\nc\u202ed é")) == r"a\x1b[31mb\nc\u202ed é"


def test_names_from_files_are_shown_as_they_are(cli: Cli, tmp_path: Path) -> None:
    """Rich would read "[red]" as markup and ":smile:" as a picture."""
    for name in ("[red]x[/red]", ":smile:", "[/]"):
        path = tmp_path / f"{name}.txt" if "/" not in name else tmp_path / f"{name.replace('/', '_')}.txt"
        path.write_text("79.1\n79.3\n79.2\n")
        code, out, err = cli("summary", path.name)
        assert code == 0, err
        assert path.stem in out
