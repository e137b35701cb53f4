"""How many seeds of one recipe and model a process trains side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from seedstudy.study.trial import Trial

LARGEST = 16
"""Seeds of a stack, where their number is not given."""


def kind_of(trial: Trial) -> str:
    """Return what the seeds of a stack share, as text: everything but the seed."""
    return replace(trial, seed=0).trial_id


def fair_shares(trials: Iterable[Trial], n_slots: int) -> dict[str, int]:
    """Return for each kind how many seeds a stack may have so that no slot goes without: what is left, shared out."""
    counts = Counter(kind_of(trial) for trial in trials)
    return {kind: math.ceil(count / n_slots) for kind, count in counts.items()}


class StackSizes:
    """The sizes of stacks: wished by the user, told by another process, or measured here, once for each kind."""

    def __init__(self, wish: int | None) -> None:
        """``wish``: seeds side by side at most; None: as many as pay."""
        self._wish = wish
        self.known: dict[str, int] = {}
        self.notes: list[str] = []
        """A line for the user on each kind that was measured, where there is something to say."""

    @property
    def most(self) -> int:
        return self._wish or LARGEST

    def learn(self, sizes: Mapping[str, int]) -> None:
        self.known |= sizes

    def of(self, trial: Trial, n_classes: int, n_train: int, *, limit: int) -> int:
        """Return how many seeds of a trial's kind to stack, at most ``limit``; 1 is no stack."""
        if limit == 1 or self._wish == 1:
            return 1
        kind = kind_of(trial)
        if kind not in self.known:
            from seedstudy.train.stacks import choose_size

            n_updates = trial.recipe.total_epochs * (n_train // trial.recipe.batch_size)
            self.known[kind], note = choose_size(
                trial.model, trial.recipe, n_classes, n_updates=n_updates, wish=self._wish, limit=limit
            )
            self.notes += [note] if note else []
        return min(self.known[kind], limit)
