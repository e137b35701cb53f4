"""The package without the extra `train`: it judges, and says in one line what training needs.

`make core` runs this file, with every other test that needs no extra, in an environment that has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from seedstudy.errors import MissingExtraError, missing_extra, require_extra
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]
MakeStore = Callable[..., Store]

EXTRAS = (
    "torch",
    "timm",
    "torchvision",
    "accelerate",
    "datasets",
    "sklearn",
    "pyarrow",
    "ray",
    "tensorboard",
    "fastexcel",
)

only_core = pytest.mark.skipif(find_spec("torch") is not None, reason="the extra train is installed; see `make core`")


@only_core
@pytest.mark.parametrize("module", EXTRAS)
def test_no_extra_is_installed(module: str) -> None:
    assert find_spec(module) is None


@only_core
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--recipe", "a2", "--seeds", "1"],
        ["race", "a3", "a2", "--margin", "0.5", "--max-seeds", "10"],
        ["evaluate", "resnet18.a1_in1k"],
        ["cost", "resnet18"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_training_ends_in_one_line_that_names_the_extra(arguments: list[str], cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("seedstudy: ")
    assert err.endswith("pip install 'seedstudy[train]'\n")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_judging_needs_no_extra(cli: Cli, make_store: MakeStore, tmp_path: Path) -> None:
    make_store(n_seeds=6, a3=0.9, a2=0.4)
    for name, values in (("old.txt", "79.1\n79.3\n79.2\n79.0\n"), ("new.txt", "79.6\n79.7\n79.8\n79.5\n")):
        (tmp_path / name).write_text(values)
    (tmp_path / "table.csv").write_text("recipe,top1\na,79.1\nb,79.9\nc,80.4\n")
    for arguments in (
        ["compare", "old.txt", "new.txt", "--margin", "0.1"],
        ["compare", "a3", "a2", "--save", "picture.png"],
        ["summary"],
        ["status"],
        ["fit", "old.txt"],
        ["power", "--difference", "0.2", "--sd", "rsb-val"],
        ["race", "--replay", "old.txt", "new.txt", "--margin", "0.5"],
        ["audit", "table.csv", "--sd", "0.1"],
        ["import", "old.txt", "--model", "resnet50", "--data", "imagenet", "--study", "outside"],
        ["recipes", "list"],
        ["recipes", "show", "a2", "--data", "shapes"],
        ["recipes", "diff", "a2", "a3"],
        ["data", "list"],
    ):
        code, out, err = cli(*arguments)
        assert code == 0, (arguments, err)
        assert out, arguments
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert json.loads(cli("compare", "old.txt", "new.txt", "--json")[1])["comparisons"][0]["verdict"] == "better"


def test_an_import_that_fails_is_a_missing_extra_or_a_fault() -> None:
    error = missing_extra(ModuleNotFoundError("No module named 'timm.data'", name="timm.data"))
    assert str(error) == "timm is not installed; this needs an extra: pip install 'seedstudy[train]'"
    assert missing_extra(ModuleNotFoundError("No module named 'seedstudy.x'", name="seedstudy.x")) is None


def test_what_is_absent_is_named_without_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("seedstudy.errors.find_spec", lambda name: asked.append(name))
    with pytest.raises(
        MissingExtraError, match=r"^ray is not installed; this needs an extra: pip install 'seedstudy\[ray\]'$"
    ):
        require_extra("ray")
    assert asked == ["ray"]
