from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedstudy.errors import StudyError
from seedstudy.study.seeds import FIXED_SEED, PURPOSES, Streams, parse_seeds, parse_vary

SEEDS = st.integers(0, 2**63 - 1)
PLACES = st.tuples(SEEDS, st.sampled_from(PURPOSES), st.integers(0, 4096), st.integers(0, 10_000))


@given(PLACES, PLACES)
def test_no_two_streams_are_one(first: tuple[int, str, int, int], second: tuple[int, str, int, int]) -> None:
    def stream(seed: int, purpose: str, rank: int, epoch: int) -> int:
        return Streams(seed=seed, rank=rank).of(purpose, epoch)

    def identity(seed: int, purpose: str, rank: int, epoch: int) -> tuple[int, str, int, int]:
        return (seed, purpose, 0 if purpose == "init" else rank, epoch)

    assert (stream(*first) == stream(*second)) == (identity(*first) == identity(*second))


@given(SEEDS)
def test_rank_one_of_a_seed_is_not_rank_zero_of_the_next(seed: int) -> None:
    neighbour = Streams(seed=(seed + 1) % 2**63, rank=0)
    assert all(Streams(seed=seed, rank=1).of(p) != neighbour.of(p) for p in PURPOSES)


def test_initialisation_is_equal_on_every_rank() -> None:
    assert Streams(seed=3, rank=0).of("init") == Streams(seed=3, rank=7).of("init")


@given(SEEDS, st.sampled_from(PURPOSES))
def test_a_stream_that_does_not_vary_stays_at_the_fixed_seed(seed: int, purpose: str) -> None:
    others = tuple(p for p in PURPOSES if p != purpose)
    streams = Streams(seed=seed, vary=others)
    assert streams.of(purpose) == Streams(seed=FIXED_SEED).of(purpose)
    assert all(streams.of(p) == Streams(seed=seed).of(p) for p in others)


def test_streams_are_those_of_every_release() -> None:
    # A change here would silently change every result: raise study.TRAINING_VERSION with it.
    assert [Streams(seed=1).of(purpose, 2) for purpose in PURPOSES] == [
        7693848187404913137,
        2718743323413174476,
        8468285259110923479,
        6819526224517003710,
        2764378878421475097,
    ]


@pytest.mark.parametrize(
    ("given_seeds", "seeds"),
    [
        ("3", (0, 1, 2)),
        (3, (0, 1, 2)),
        ([3], (3,)),
        (range(2, 4), (2, 3)),
        ("0-3", (0, 1, 2, 3)),
        ("5-5", (5,)),
        ("3,5,8", (3, 5, 8)),
        ("0-1,7", (0, 1, 7)),
    ],
)
def test_seeds_as_count_range_or_list(given_seeds: str | int | Iterable[int], seeds: tuple[int, ...]) -> None:
    assert parse_seeds(given_seeds) == seeds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-3", "seeds are not negative"),
        (-3, "seeds are not negative"),
        ([], "is not a seed"),
        ([1.5], "is not a seed"),
        (1.5, "is not a seed"),
        (range(1_000_001), "at most 1,000,000 seeds"),
        ("9-3", "runs backwards: write 3-9"),
        ("0", "at least one seed"),
        ("1,1", "seed 1 is given twice"),
        ("a", '"a" is not a seed or a range'),
        ("1-", '"1-" is not a seed or a range'),
        ("", '"" is not a seed or a range'),
        ("1.5", '"1.5" is not a seed'),
        ("99999999999", "at most 1,000,000 seeds"),
    ],
)
def test_wrong_seeds_are_one_line(text: str | int | Iterable[int], expected: str) -> None:
    with pytest.raises(StudyError) as caught:
        parse_seeds(text)
    assert expected in str(caught.value)


def test_vary_keeps_a_fixed_order_and_suggests() -> None:
    assert parse_vary(["mix", "init"]) == ("init", "mix")
    with pytest.raises(StudyError, match="Did you mean"):
        parse_vary(["initt"])
    with pytest.raises(StudyError, match="names no stream"):
        parse_vary([])
