"""Every order in which processes can take their steps, on the real functions.

An actor is a thread that stops before each system call that others can notice, and goes on when it is chosen. One run
plays one order of choices; :func:`every_order` plays all of them, depth first, and :func:`some_orders` a random sample.
A kill is a choice too: the actor makes no further step, not even those that tidy up, and its locks are freed as the
kernel frees them.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

Action = Callable[[], object]


class Killed(BaseException):
    """The actor's process is dead."""


class Actor(threading.Thread):
    """One process."""

    def __init__(self, name: str, action: Action, back: threading.Semaphore) -> None:
        super().__init__(name=name, daemon=True)
        self.go, self.back, self.action = threading.Semaphore(0), back, action
        self.is_done = self.is_killed = self.is_steady = False
        self.answer: object = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        self.go.acquire()
        try:
            if not self.is_killed:
                self.answer = self.action()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.is_done = True
        self.back.release()

    def pause(self) -> None:
        """Stop before a step until chosen."""
        if self.is_killed:
            raise Killed
        self.back.release()
        self.go.acquire()
        if self.is_killed:
            raise Killed


def step() -> None:
    """Stop here, if this is an actor's thread."""
    actor = threading.current_thread()
    if isinstance(actor, Actor) and not actor.is_steady:
        actor.pause()


def steadily(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs without a stop: its moments make no difference."""

    def steady(*arguments: Any, **named: Any) -> Any:
        actor = threading.current_thread()
        if not isinstance(actor, Actor):
            return call(*arguments, **named)
        actor.is_steady = True
        try:
            return call(*arguments, **named)
        finally:
            actor.is_steady = False

    return steady


def stop_before(
    patch: pytest.MonkeyPatch, module: Any, name: str, *, when: Callable[..., bool] = lambda *_, **__: True
) -> None:
    """Make each call of a function that ``when`` accepts a step."""
    call = getattr(module, name)

    def stepped(*arguments: Any, **named: Any) -> Any:
        if when(*arguments, **named):
            step()
        return call(*arguments, **named)

    patch.setattr(module, name, stepped)


def names(*wanted: str) -> Callable[..., bool]:
    """Return a condition: the last path among the arguments has one of these names, or begins with it and a hyphen."""

    def is_wanted(*arguments: Any, **_: Any) -> bool:
        paths = [Path(each).name for each in arguments if isinstance(each, str | os.PathLike)]
        return bool(paths) and any(paths[-1] == name or paths[-1].startswith(f"{name}-") for name in wanted)

    return is_wanted


Choice = tuple[int, bool]
"""Which actor goes on, and whether it is killed instead."""


def play(
    actions: Sequence[Action],
    choose: Callable[[int, list[Choice]], Choice],
    check: Callable[[], None],
    *,
    mortal: Sequence[int],
) -> tuple[list[Actor], list[list[Choice]]]:
    """Play one order; ``choose`` takes one of the choices at each point. Returns the actors and what was possible."""
    back = threading.Semaphore(0)
    actors = [Actor("AB"[number], action, back) for number, action in enumerate(actions)]
    for actor in actors:  # up to its first step
        actor.go.release()
        back.acquire()
    open_choices: list[list[Choice]] = []
    while alive := [number for number, actor in enumerate(actors) if not actor.is_done]:
        possible = [(number, False) for number in alive]
        if not any(actor.is_killed for actor in actors):
            possible += [(number, True) for number in alive if number in mortal]
        chosen = choose(len(open_choices), possible)
        open_choices.append(possible)
        actor = actors[chosen[0]]
        actor.is_killed = chosen[1]
        actor.go.release()
        back.acquire()
        while actor.is_killed and not actor.is_done:  # a step that the dead process may not take
            back.acquire()
        check()
    for actor in actors:
        actor.join()
        if actor.error is not None:
            raise actor.error
    return actors, open_choices


def every_order(
    setting: Callable[[], tuple[Sequence[Action], Callable[[], None]]], *, mortal: Sequence[int] = ()
) -> Iterator[tuple[list[Choice], list[Actor]]]:
    """Play every order; ``setting`` makes the start anew and returns the actions and a check after each step.

    One of the ``mortal`` actors is killed, or none.
    """
    choices: list[Choice] = []
    while True:
        actions, check = setting()

        def choose(point: int, possible: list[Choice], given: Sequence[Choice] = tuple(choices)) -> Choice:
            return given[point] if point < len(given) else possible[0]

        actors, possible = play(actions, choose, check, mortal=mortal)
        choices += [each[0] for each in possible[len(choices) :]]
        yield list(choices), actors
        while choices:
            last, alternatives = choices.pop(), possible[len(choices)]
            further = alternatives[alternatives.index(last) + 1 :]
            if further:
                choices.append(further[0])
                break
        else:
            return


def some_orders(
    setting: Callable[[], tuple[Sequence[Action], Callable[[], None]]], *, n: int, mortal: Sequence[int] = ()
) -> Iterator[tuple[list[Choice], list[Actor]]]:
    """Play ``n`` orders drawn at random, the same ones each time, where all of them would take minutes."""
    rng = random.Random(0)
    for _ in range(n):
        choices: list[Choice] = []

        def choose(_: int, possible: list[Choice], made: list[Choice] = choices) -> Choice:
            made.append(rng.choice(possible))
            return made[-1]

        actions, check = setting()
        actors, _possible = play(actions, choose, check, mortal=mortal)
        yield choices, actors
