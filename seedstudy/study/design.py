"""Designs over random streams: which seed each stream of each trial has, so that variance can be traced to streams."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seedstudy.errors import StudyError
from seedstudy.study.seeds import PURPOSES, parse_seeds, parse_vary

DesignName = Literal["together", "one-at-a-time", "crossed"]
"""together: all streams follow one seed. one-at-a-time: one source varies, the others stay at seed 0. crossed: every
combination of the sources' seeds."""

Cell = Mapping[str, int]
"""Stream that varies -> its seed."""

_MOST = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Streams that move together, and the seeds they take: one factor of a design."""

    streams: tuple[str, ...]
    """In the order of :data:`~seedstudy.study.seeds.PURPOSES`."""
    seeds: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'+'.join(self.streams)} ({len(self.seeds)})"


def parse_levels(given: str | Iterable[str] | Mapping[str, object], *, where: str = "") -> tuple[Source, ...]:
    """Return the sources of a design: ``init=5,order=0-9,augment+mix=3``, or a mapping with the same words.

    Seeds are as in :func:`~seedstudy.study.seeds.parse_seeds`. StudyError for an unknown stream, or one named twice.
    """
    if not isinstance(given, Mapping):
        given = _by_source(given if isinstance(given, str) else ",".join(given), where)
    sources = []
    for words, seeds in given.items():
        streams = parse_vary(filter(None, map(str.strip, words.split("+"))), where=f'{where}levels "{words}": ')
        if isinstance(seeds, bool) or not isinstance(seeds, int | str | list | tuple):
            raise StudyError(f"{where}levels: {words} = {seeds!r}: write 5 (seeds 0 to 4), 0-9 or 3,5,8.")
        sources.append(Source(streams=streams, seeds=parse_seeds(seeds, where=f'{where}levels "{words}": ')))
    named = [stream for source in sources for stream in source.streams]
    twice = next((stream for stream in named if named.count(stream) > 1), None)
    if twice is not None:
        raise StudyError(f"{where}levels: {twice} is in two sources; a stream has one seed.")
    return tuple(sorted(sources, key=lambda source: PURPOSES.index(source.streams[0])))


def _by_source(text: str, where: str) -> dict[str, str]:
    """Return ``init=0,3,order=5`` as {"init": "0,3", "order": "5"}: a word without "=" belongs to the one before."""
    found: dict[str, str] = {}
    last = ""
    for word in filter(None, map(str.strip, text.split(","))):
        source, is_new, seeds = (part.strip() for part in word.partition("="))
        if is_new:
            if source in found:
                raise StudyError(f"{where}levels: {source} is given twice.")
            last, found[source] = source, seeds
        elif last:
            found[last] += f",{word}"
        else:
            raise StudyError(f'{where}levels "{word}": write SOURCE=SEEDS, such as init=5,order=5,augment+mix=5.')
    return found


def cells(design: DesignName, *, seeds: Sequence[int], vary: Sequence[str], levels: Sequence[Source]) -> Iterator[Cell]:
    """Yield the seeds of each trial's streams. Streams that a cell does not name stay at seed 0.

    ``together`` and ``one-at-a-time`` take the streams of ``vary`` and all of ``seeds``; ``levels`` name other sources
    of a one-at-a-time design, and all of a crossed one. Raises StudyError for levels that a design has no use for.
    """
    if design == "together":
        if levels:
            raise StudyError("levels belong to a design: --design crossed, or --design one-at-a-time.")
        yield from (dict.fromkeys(vary, seed) for seed in seeds)
        return
    if design == "one-at-a-time":
        sources = levels or [Source(streams=(stream,), seeds=tuple(seeds)) for stream in vary]
        for source in sources:
            yield from (dict.fromkeys(source.streams, seed) for seed in source.seeds)
        return
    if len(levels) < 2:
        raise StudyError("a crossed design needs two sources or more: --levels init=5,order=5,augment+mix=5.")
    n = 1
    for source in levels:
        n *= len(source.seeds)
    if n > _MOST:
        raise StudyError(f"{n:,} combinations are too many to train: at most {_MOST:,}.")
    for chosen in itertools.product(*(source.seeds for source in levels)):
        yield {stream: seed for source, seed in zip(levels, chosen, strict=True) for stream in source.streams}


def in_words(design: DesignName, levels: Sequence[Source], vary: Sequence[str], n_replicates: int) -> str:
    """Return one line on what varies in a design, and what does not; empty for plain seeds."""
    times = "" if n_replicates == 1 else f", each {n_replicates} times"
    if design == "together":
        return f"every trial{times}" if times else ""
    words = list(map(str, levels)) or list(vary)
    sources = " x ".join(words) if design == "crossed" else ", ".join(words)
    moved = {stream for source in levels for stream in source.streams} or set(vary)
    fixed = [stream for stream in PURPOSES if stream not in moved]
    rest = f"; {', '.join(fixed)} stay at seed 0" if fixed and design == "crossed" else ""
    return f"{design}: {sources}{rest}{times}"
