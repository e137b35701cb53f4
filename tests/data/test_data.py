"""The public surface of the room."""

from __future__ import annotations

import pytest

from seedstudy import data as datasets
from seedstudy.errors import DataError


def test_the_embedded_set_comes_first() -> None:
    assert datasets.names() == ("shapes", "digits", "cifar10", "imagenet", "imagenet_minival")
    assert not datasets.info("shapes").needs_data_dir


@pytest.mark.parametrize(("name", "epochs"), [("shapes", 12), ("digits", 30), ("cifar10", 30)])
def test_three_hundred_epochs_become(name: str, epochs: int) -> None:
    assert round(300 * datasets.info(name).epoch_ratio) == epochs


@pytest.mark.parametrize("call", [datasets.info, datasets.check])
def test_an_unknown_name_is_answered_with_a_suggestion(call: object) -> None:
    assert callable(call)
    with pytest.raises(DataError, match=r'^unknown data set "cifar100"\. Did you mean "cifar10"\?$'):
        call("cifar100")
