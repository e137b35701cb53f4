"""SIGTERM and SIGHUP end a launcher in order, as Ctrl-C does: trials keep their state, and a line says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seedstudy import terminal


class _Interrupted(KeyboardInterrupt):
    """A signal other than Ctrl-C, by its number."""


@contextmanager
def in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt the block as Ctrl-C does, once; then the program ends, with 128 + the number.

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
        raise _Interrupted(number)

    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    except _Interrupted as error:
        terminal.say(f"seedstudy: ended by {signal.Signals(error.args[0]).name}")
        raise SystemExit(128 + error.args[0]) from None
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
