"""SIGTERM and SIGHUP end a launcher in order, as Ctrl-C does: trials keep their state, and a line says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the launcher to end."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number
        super().__init__(f"ended by {signal.Signals(number).name}")


@contextmanager
def in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise Interrupted inside the block, once.

    A closed terminal may send several, which must not cut short what the first one began. A signal that is ignored
    (nohup), or that the calling program handles itself, stays so.
    """
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    if threading.current_thread() is not threading.main_thread():  # only this one may handle signals
        numbers = []
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
