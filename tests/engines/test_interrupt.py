"""SIGTERM and SIGHUP at a launcher, without one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from seedstudy.engines.interrupt import in_order


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    before = signal.signal(request.param, signal.SIG_DFL)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_interrupts_once_and_ends_the_program_with_a_word(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []

    @in_order()
    def launch() -> None:
        try:
            os.kill(os.getpid(), number)
            steps.append("not interrupted")
        finally:
            os.kill(os.getpid(), number)  # a closed terminal sends several
            steps.append("state kept")

    with pytest.raises(SystemExit) as ended:
        launch()
    assert steps == ["state kept"]
    assert ended.value.code == 128 + number
    assert capsys.readouterr().err == f"seedstudy: ended by {number.name}\n"
    assert signal.getsignal(number) == signal.SIG_DFL


def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)  # as nohup does
    with in_order():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) == signal.SIG_IGN
