"""The public surface of the room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seedstudy.data import catalogue, check, digits, imagenet, info, names, prepare
from seedstudy.errors import DataError, MissingExtraError


def test_the_embedded_set_comes_first() -> None:
    ours, imagenet = ("shapes", "moving_shapes", "digits", "cifar10"), ("imagenet", "imagenet_minival")
    assert names() == (*ours, "cifar100", "imagenette", "pets", "flowers", "cars", "food101", *imagenet)
    assert [each.name for each in catalogue().data] == list(names())


@pytest.mark.parametrize(("name", "epochs"), [("shapes", 12), ("digits", 30), ("cifar10", 30)])
def test_three_hundred_epochs_become(name: str, epochs: int) -> None:
    assert round(300 * info(name).epoch_ratio) == epochs


@pytest.mark.parametrize("call", [info, check])
def test_an_unknown_name_is_answered_with_a_suggestion(call: object) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=r'^unknown data set "digts"\. Did you mean "digits"\?$'):
        call("digts")


def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'seedstudy\[train\]'"):
        prepare("digits", cache_dir=tmp_path)
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    assert {part.part: part.status for part in check("digits").parts} == dict.fromkeys(
        ("train", "val", "real", "v2"), "missing"
    )
    monkeypatch.setattr(imagenet.importlib.util, "find_spec", lambda name: None)
    imagenet.synsets.cache_clear()
    with pytest.raises(MissingExtraError, match=r"timm is not installed; .* pip install 'seedstudy\[train\]'"):
        prepare("imagenet", data_dir=None, cache_dir=tmp_path)


def test_listing_data_sets_imports_no_library_of_an_extra() -> None:
    code = (
        "import sys, seedstudy.data as d; d.names(); light = 'numpy' not in sys.modules; d.catalogue();"
        "print(light, *{'pyarrow', 'PIL', 'sklearn', 'datasets', 'polars', 'torch', 'timm'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "True"
