"""From one trial seed to named random streams, and from words to lists of seeds.

timm seeds every generator with ``seed + rank``: rank 1 of seed 0 and rank 0 of seed 1 then share a stream, and its
distributed samplers never let the seed change the image order. Here every stream is hashed from (seed, purpose, rank,
epoch), so no two share a state. A stream that must not follow the seed uses :data:`FIXED_SEED`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from seedstudy.errors import StudyError, suggest

PURPOSES = ("init", "order", "augment", "mix", "drop")
"""init: weights; order: image order; augment: crops and RandAugment; mix: mixup and CutMix; drop: stochastic depth."""

FIXED_SEED = 0
"""Seed of the streams that do not vary."""

MAX_SEED = 2**63 - 1
MAX_SEEDS = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Streams:
    """The random streams of one process of one trial."""

    seed: int
    vary: tuple[str, ...] = PURPOSES
    """Purposes that follow the seed."""
    own: tuple[tuple[str, int], ...] = ()
    """Purposes that vary with a seed of their own, and that seed."""
    rank: int = 0

    def seed_of(self, purpose: str) -> int:
        """Return the seed that a purpose follows, on every process and in every epoch."""
        return dict(self.own).get(purpose, self.seed) if purpose in self.vary else FIXED_SEED

    def of(self, purpose: str, epoch: int = 0) -> int:
        """Return the 63-bit seed of a stream. Each epoch has a stream of its own, so a resumed trial needs no state."""
        assert purpose in PURPOSES, purpose
        seed = self.seed_of(purpose)
        # Networks start equal on every process: initialisation ignores the rank.
        rank = 0 if purpose == "init" else self.rank
        digest = hashlib.sha256(f"seedstudy/1|{seed}|{purpose}|{rank}|{epoch}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


def parse_vary(words: Iterable[str], *, where: str = "") -> tuple[str, ...]:
    """Return purposes in the order of :data:`PURPOSES`; StudyError for an unknown or empty list."""
    chosen = set(words)
    for word in sorted(chosen - set(PURPOSES)):
        raise StudyError(f'{where}vary: unknown stream "{word}".{suggest(word, PURPOSES)}')
    if not chosen:
        raise StudyError(f"{where}vary names no stream: choose from {', '.join(PURPOSES)}.")
    return tuple(purpose for purpose in PURPOSES if purpose in chosen)


def parse_seeds(given: str | int | Iterable[int], *, where: str = "") -> tuple[int, ...]:
    """Return seeds in the order given; StudyError, with ``where`` in front, where they are not of these forms.

    ``100`` (seeds 0 to 99, also as text), ``"0-9"`` (both ends included), ``"3,5,8"``, a mixture (``"0-4,7"``), or a
    list of numbers.
    """
    if isinstance(given, Iterable) and not isinstance(given, str):
        text, is_count = ",".join(map(str, given)), False
    else:
        text = str(given).strip()
        is_count = text.isdecimal()
    name = f"{where}seeds {text}" if len(text) <= 40 else f"{where}seeds {text[:40]}…"
    too_many = f"{name}: at most {MAX_SEEDS:,} seeds, each below 2^63."
    if len(text) > 10_000_000 or re.search(r"\d{20}", text):
        raise StudyError(too_many)
    if is_count:
        text = f"0-{int(text) - 1}"
        if text == "0--1":
            raise StudyError(f"{name}: a study needs at least one seed; 5 means seeds 0 to 4.")
    seeds: list[int] = []
    for part in text.split(","):
        first, last = _ends(part.strip(), name)
        if last > MAX_SEED or len(seeds) + last - first >= MAX_SEEDS:
            raise StudyError(too_many)
        seeds.extend(range(first, last + 1))
    repeated = next((seed for seed, n in Counter(seeds).items() if n > 1), None)
    if repeated is not None:
        raise StudyError(f"{name}: seed {repeated} is given twice; a seed counts once.")
    return tuple(seeds)


def _ends(part: str, name: str) -> tuple[int, int]:
    """Return the first and the last seed of ``7`` or ``0-4``."""
    how = "write 5 (seeds 0 to 4), 0-9 or 3,5,8."
    if part.startswith("-"):
        raise StudyError(f"{name}: seeds are not negative: {how}")
    low, dash, high = part.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        raise StudyError(f'{name}: "{part}" is not a seed or a range: {how}')
    first, last = int(low), int(high) if dash else int(low)
    if first > last:
        raise StudyError(f"{name}: {part} runs backwards: write {last}-{first}.")
    return first, last
