"""One cache, and one study that nothing disturbs, for every test that trains."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.places import Local, Results, results


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Results:
    folder = tmp_path_factory.mktemp("undisturbed")
    code, out, err = Local(cache).finish(folder)
    assert code == 0, err
    assert out.startswith("resnet8_patch on digits · 2 seeds each"), out
    assert "\na3 " in out, out
    assert "[2/2]" in err
    assert "time left" in err
    return results(folder)
