"""pytest's entry point: the fixture ``assert_not_worse``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(name="assert_not_worse")
def _assert_not_worse() -> Callable[..., Any]:
    """Return :func:`seedstudy.testing.assert_not_worse`: fail where new seeds are worse than a baseline."""
    from seedstudy.testing import assert_not_worse

    return assert_not_worse
