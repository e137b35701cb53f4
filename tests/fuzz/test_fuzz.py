"""Files that nobody would write: a little at every change, FUZZ_SECONDS each (600 in `make slow`) when asked for."""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, survives

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
TOKENS = [
    *(
        b"[",
        b"[[",
        b"]",
        b"{",
        b"}",
        b'"',
        b"'",
        b'"""',
        b"=",
        b".",
        b",",
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
    ),
    *(b"-1", b"0", b"1e400", b"-0.0", b"nan", b"inf", b"9" * 30, b"9" * 5000, b"0x", b"true", b"null", b"none", b"[]"),
    *(b"../", b"/etc/passwd", b"~", b"$(id)", b"\\ud800", b"\\u0000", b"\xed\xa0\x80", "\u202eé".encode(), b"\x1b[31m"),
    *(b"[red]x[/red]", b"a" * 300, b"[" * 2000, b'{"a":' * 2000, b'base = "a3"\n', b"1979-05-27T07:32:00Z", b"PAR1"),
]
"""What tends to break readers: ends of syntax, ends of ranges, paths, controls, depth."""

edits = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 40), st.sampled_from(TOKENS) | st.binary(max_size=4)), max_size=6
)


def edited(content: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Return content after deletions and insertions at places counted modulo its length."""
    for place, n_gone, token in changes:
        at = place % (len(content) + 1)
        content = content[:at] + token + content[at + n_gone :]
    return content


VALUES = [None, True, -1, 0, 1e308, float("nan"), 10**30, "x", "\x1b[31m", "../x", "9" * 400, [], {}, [1], {"a": 1}]
"""What may stand in the place of any value of a JSON document."""

swaps = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(VALUES) | st.just("gone")), max_size=2)


def swapped(content: bytes, changes: list[tuple[int, Any]]) -> bytes:
    """Return a JSON object with some of its values, at any depth, replaced or gone; other content as it is."""
    try:
        document = json.loads(content)
    except ValueError:
        return content
    if not isinstance(document, dict | list):
        return content
    for place, value in changes:
        places = list(_places(document))
        if not places:
            break
        holder, key = places[place % len(places)]
        if value == "gone":
            del holder[key]
        else:
            holder[key] = copy.deepcopy(value)  # a list of VALUES must not be put into itself
    return json.dumps(document).encode()


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) of a document."""
    for key in list(document if isinstance(document, dict) else range(len(document))):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _places(document[key])


def check(name: str, content: bytes) -> None:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        started = time.process_time()
        survives(name, content, folder)
        assert time.process_time() - started < 20, "took too long"
    finally:
        shutil.rmtree(folder)


@pytest.mark.train  # Arrow reads Parquet
@pytest.mark.parametrize("name", TARGETS)
def test_a_right_file_is_read(name: str, tmp_path: Path) -> None:
    read, right = TARGETS[name]
    read(right(), tmp_path)


def test_half_a_character_in_json_is_one_line() -> None:
    """Found by fuzzing: JSON can spell a lone surrogate, which no text can hold."""
    for content in (b'[{"name": "\\ud800", "val": 79.1}]', b'[{"\\ud800": "a", "val": 79.1}]'):
        check("json", content)


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}])
def test_a_seed_of_any_json_is_read_or_refused(value: Any) -> None:
    """Found by fuzzing: lm-eval's seeds are compared, and a list has no hash."""
    document = json.loads(TARGETS["lm_eval"][1]())
    for name in ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed"):
        changed = copy.deepcopy(document)
        changed["config"][name] = value
        check("lm_eval", json.dumps(changed).encode())


def test_a_line_of_very_many_colons_is_one_line() -> None:
    """Found by fuzzing: a call for each colon is deeper than Python goes."""
    for name in ("csv", "txt"):
        check(name, TARGETS[name][1]() + b'{"a":' * 2000)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parquet", "predictions"])
def test_one_wrong_byte_in_a_parquet_file_does_not_end_the_process(name: str) -> None:
    """Found by fuzzing: Polars panics at some such files, and aborts at others."""
    right = TARGETS[name][1]()
    for place in range(100):  # the head of the first page
        check(name, right[:place] + b"\x01" + right[place + 1 :])


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_no_file_makes_a_traceback(name: str) -> None:
    right = TARGETS[name][1]()
    n_done = 0

    def survive(changes: list[tuple[int, int, bytes]], values: list[tuple[int, Any]], raw: bytes | None) -> None:
        nonlocal n_done
        n_done += 1
        check(name, edited(swapped(right, values), changes) if raw is None else raw)

    ends_at = time.monotonic() + FUZZ_SECONDS
    turn = 0
    while turn == 0 or time.monotonic() < ends_at:
        of_turn = seed(turn)(given(edits, swaps, st.none() | st.binary(max_size=200))(survive))
        n_examples = 1000 if FUZZ_SECONDS else 25
        settings(max_examples=n_examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))(
            of_turn
        )()
        turn += 1
    print(f"{name}: {n_done} files")
