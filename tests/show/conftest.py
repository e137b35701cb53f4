"""Groups of drawn seeds, and what a table looks like on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from seedstudy.study.group import Group


@pytest.fixture
def rendered() -> Callable[..., str]:
    """Return what a terminal of so many columns shows."""

    def render(part: RenderableType, columns: int = 80) -> str:
        console = Console(width=columns, markup=False, emoji=False)
        with console.capture() as captured:
            console.print(part, highlight=False, crop=False)
        return captured.get()

    return render


@pytest.fixture
def drawn_group() -> Callable[..., Group]:
    """Return a group of normal seeds."""

    def draw(label: str, n: int, *, mean: float = 79.7, std: float = 0.1, **changes: Any) -> Group:
        fields: dict[str, Any] = {
            "label": label,
            "recipe": label.partition("@")[0],
            "model": "resnet50",
            "data": "imagenet",
            "eval_set": "val",
            "metric": "top1",
            "unit": "pp",
            "seeds": tuple(range(n)),
            "values": np.random.default_rng([n, len(label)]).normal(mean, std, n),
        }
        return Group(**{**fields, **changes})

    return draw
