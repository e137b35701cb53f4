"""Examples in the docstrings of public functions run and give what they say."""

from __future__ import annotations

import doctest

import pytest

import seedstudy as ss

WITH_EXAMPLES = {"compare", "summary", "fit", "race", "power", "explain"}


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=False)
    found = [test for name in ss.__all__ for test in finder.find(getattr(ss, name), name, globs={})]
    return [test for test in found if test.examples]


def test_the_main_verbs_have_one() -> None:
    assert {test.name for test in examples()} >= WITH_EXAMPLES


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_it_gives_what_it_says(test: doctest.DocTest) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
