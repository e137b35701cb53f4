"""Files made from strings, and the groups read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from seedstudy.study.group import Group


def write(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return name


def only(selector: str, **request: Any) -> Group:
    (group,) = read_groups(selector, Request(**request))
    return group


def refused(selector: str, **request: Any) -> str:
    with pytest.raises(SeedstudyError) as caught:
        read_groups(selector, Request(**request))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message
