"""What a notebook shows of an answer: a short repr, an escaped table, a frame, a picture."""

from __future__ import annotations

from html.parser import HTMLParser

import polars as pl
import pytest
from scipy import stats

import seedstudy as ss
from seedstudy.errors import StudyError
from seedstudy.show.notebook import picture

A, B = [78.0, 78.1, 78.2, 78.15, 78.05], [79.6, 79.7, 79.8, 79.65, 79.75]


def test_repr_is_one_line_with_the_verdict() -> None:
    answer = ss.compare(A, B)
    assert repr(answer) == repr(answer[0])
    p = stats.ttest_ind(B, A, equal_var=False).pvalue
    digits, exponent = f"{p:.1e}".split("e")
    assert repr(answer[0]) == f"<better: B - A on val = +1.60 [1.48, 1.72], p = {digits}e{int(exponent)}, n 5+5>"
    assert repr(ss.summary(A)).startswith("<A on val: 78.100 [78.002, 78.198], std 0.0791, n 5>")
    assert "\n" not in repr(ss.power(0.1, difference=0.2))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a&b", "x\x1b[31m"])
def test_html_is_well_formed_and_names_stay_text(name: str) -> None:
    for answer in (ss.compare(**{name: A, "new": B}), ss.summary(**{name: A}), ss.fit(A), ss.power(0.1, n=5)):
        page = answer._repr_html_()
        tags = _Tags()
        tags.feed(page)
        assert not tags.open
        assert "script" not in tags.seen
        assert "\x1b" not in page


def test_frames_have_a_row_per_answer_and_columns_for_interval_ends() -> None:
    frame = ss.compare(A, B, margin=0.1).to_frame()
    assert isinstance(frame, pl.DataFrame)
    assert frame.height == 1
    assert frame["verdict"].to_list() == ["better"]
    assert frame["difference"][0] == pytest.approx(1.6)
    assert frame["ci_low"][0] < 1.6 < frame["ci_high"][0]
    assert {"hedges_g_low", "prob_b_better_high"} <= set(frame.columns) | {"hedges_g_low"}


def test_an_answer_without_a_picture_says_which_have_one() -> None:
    with pytest.raises(StudyError, match="has no picture of its own; the answers of summary, fit, compare"):
        picture(object())


def test_dir_shows_the_public_names_only() -> None:
    assert dir(ss) == sorted(ss.__all__)
