"""One trial seed -> named random streams that never overlap.

timm seeds every generator with ``seed + rank``: rank 1 of seed 0 and rank 0 of seed 1 then share a stream, and
its distributed samplers never let the seed change the image order. Here every stream is hashed from
(seed, purpose, rank, epoch), so that no two of them share a state, and a stream that must not follow the seed
stays at :data:`FIXED_SEED`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from seedstudy.errors import StudyError, suggest

PURPOSES = ("init", "order", "augment", "mix", "drop")
"""init: weights; order: images; augment: crops and RandAugment; mix: mixup and CutMix; drop: stochastic depth."""

FIXED_SEED = 0
"""Seed of the streams that do not vary."""

MAX_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Streams:
    """The random streams of one process of one trial."""

    seed: int
    vary: tuple[str, ...] = PURPOSES
    """Purposes that follow the seed."""
    rank: int = 0

    def of(self, purpose: str, epoch: int = 0) -> int:
        """Return the 63-bit seed of one stream; each epoch has its own, so a resumed trial needs no state."""
        assert purpose in PURPOSES, purpose
        seed = self.seed if purpose in self.vary else FIXED_SEED
        # Networks start equal on every process: initialisation ignores the rank.
        rank = 0 if purpose == "init" else self.rank
        digest = hashlib.sha256(f"seedstudy/1|{seed}|{purpose}|{rank}|{epoch}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


def parse_vary(words: Iterable[str]) -> tuple[str, ...]:
    """Return purposes in their fixed order; an unknown or empty list is an error."""
    chosen = [word.strip() for word in words if word.strip()]
    for word in chosen:
        if word not in PURPOSES:
            raise StudyError(f'--vary: unknown stream "{word}".{suggest(word, PURPOSES)}')
    if not chosen:
        raise StudyError(f"--vary names no stream: choose from {', '.join(PURPOSES)}.")
    return tuple(purpose for purpose in PURPOSES if purpose in chosen)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``100`` (seeds 0 to 99), ``0-9`` (both ends included) or ``3,5,8`` (also mixed: ``0-4,7``).

    Raises
    ------
    StudyError
        Not of that form, negative, empty, backwards or named twice.

    """
    if len(text) > 10_000_000 or re.search(r"\d{20}", text):
        raise StudyError(f"--seeds {text[:40]}…: at most 1,000,000 seeds, each below 2^63.")
    if text.strip().isdecimal():
        count = int(text)
        if count == 0:
            raise StudyError("--seeds 0: a study needs at least one seed: --seeds 5 trains seeds 0 to 4.")
        _check_size(text, count, count - 1)
        return tuple(range(count))
    seeds: list[int] = []
    for part in text.split(","):
        seeds.extend(_parse_part(part.strip(), text))
        _check_size(text, len(seeds), 0)
    counts = Counter(seeds)
    repeated = next((seed for seed in seeds if counts[seed] > 1), None)
    if repeated is not None:
        raise StudyError(f"--seeds {text}: seed {repeated} is named twice; a seed counts once.")
    return tuple(seeds)


def _parse_part(part: str, text: str) -> Iterable[int]:
    if part.startswith("-"):
        raise StudyError(f"--seeds {text}: seeds are not negative: write 5 (seeds 0 to 4), 0-9 or 3,5,8.")
    low, dash, high = part.partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()):
        raise StudyError(f'--seeds {text}: "{part}" is not a seed or a range: write 5 (seeds 0 to 4), 0-9 or 3,5,8.')
    first, last = int(low), int(high) if dash else int(low)
    if first > last:
        raise StudyError(f"--seeds {text}: {part} runs backwards: write {last}-{first}.")
    _check_size(text, last - first + 1, last)
    return range(first, last + 1)


def _check_size(text: str, count: int, last: int) -> None:
    if count > 1_000_000 or last > MAX_SEED:
        raise StudyError(f"--seeds {text}: at most 1,000,000 seeds, each below 2^63.")
