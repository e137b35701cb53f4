"""What `explain` says: its figures are those of the code, and no line is too long."""

from __future__ import annotations

import re

import pytest

from seedstudy.cautions import Caution
from seedstudy.errors import StudyError
from seedstudy.show.topics import TOPICS, topic
from seedstudy.stats import doubt
from seedstudy.stats.describe import describe
from seedstudy.stats.looks import error_of_looks
from seedstudy.stats.variance import sd_factors, unsure_spread


def test_every_line_fits_80_columns() -> None:
    assert max(len(line) for text in TOPICS.values() for line in text.splitlines()) <= 80


def test_looks_err_as_often_as_is_said() -> None:
    error = error_of_looks(tuple((n, n) for n in (3, 5, 10, 20)), 0.05)
    said = re.search(r"in\s+(\d+)\s+of\s+100", TOPICS["looks"])
    assert said is not None
    assert round(100 * error) == int(said[1])


def test_the_spread_of_few_seeds_is_as_open_as_is_said() -> None:
    pattern = r"(\d+)\s+seeds\s+(?:the\s+true\s+std\s+may\s+be\s+)?([\d.]+\s+to\s+[\d.]+)"
    said = dict(re.findall(pattern, TOPICS["few-seeds"]))
    assert set(said) == {"3", "5", "10"}
    for n, words in said.items():
        low, high = (float(each) for each in re.split(r"\s+to\s+", words))
        assert sd_factors(int(n) - 1, 0.95) == pytest.approx((low, high), rel=0.06)


def test_every_caution_has_a_topic_that_exists_and_a_short_form_that_fits() -> None:
    cautions = [
        *doubt.unseen_skew((5, 5)),
        *doubt.unseen_skew((3, 10)),
        *doubt.unseen_skew(5),
        unsure_spread(3, 0.95),
        *describe([79.1, 79.2, 79.25, 75.0, 79.22, 79.21]).warnings,
    ]
    assert all(isinstance(each, Caution) for each in cautions)
    for each in cautions:
        assert isinstance(each, Caution)
        assert each.topic in TOPICS
        assert len(each.short) <= 72


def test_an_unknown_topic_is_one_line_with_the_known_ones() -> None:
    with pytest.raises(StudyError, match=r'nothing to explain about "marging".*Did you mean "margin"'):
        topic("marging")
