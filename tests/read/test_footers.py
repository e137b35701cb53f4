"""Lines that sum runs up, as people add below their tables, are no runs; and no word of a recipe is one of them."""

from __future__ import annotations

import pytest

from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from tests.read.reading import only, write

PLAIN = "seed,top1\n0,78.10\n1,78.24\n2,78.31\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN + "mean,78.22\n",
        PLAIN + "Mean,78.217\nstd,0.107\n",
        PLAIN + "avg:,78.22\nst. dev.,0.11\n",
        PLAIN + "mean ± std,78.22 ± 0.11\n",
        PLAIN + ",78.217\n",
        PLAIN + "min,78.1\nmax,78.31\nmedian,78.24\n",
        "run,top1\nrun_0,78.10\nrun_1,78.24\nrun_2,78.31\naverage,78.22\n",
        ",top1\n0,78.10\n1,78.24\n2,78.31\nTotal,78.22\n",
        "Seed;Top1\n0;78,10\n1;78,24\n2;78,31\nOverall mean;78,22\n",
    ],
)
def test_a_line_that_sums_the_runs_up_is_left_out_with_a_note(text: str) -> None:
    group = only(write("t.csv", text))
    assert group.values.tolist() == [78.10, 78.24, 78.31]
    assert any("left out, the mean or spread of other rows" in note for note in group.notes)


def test_each_arm_may_have_its_own_such_line() -> None:
    rows = "a,0,78.1\na,1,78.3\na,mean,78.2\nb,0,79.1\nb,1,79.5\nb,mean,79.3\n"
    write("t.csv", f"method,seed,top1\n{rows}")
    groups = read_groups("t.csv", Request(by=("method",)))
    assert [(group.label, group.values.tolist()) for group in groups] == [("a", [78.1, 78.3]), ("b", [79.1, 79.5])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Pooling by mean or max is a recipe; a run without a seed is a run unless it is exactly the mean.
        ("pooling,seed,top1\nmean,0,78.1\nmean,1,78.3\nmax,0,79.1\nmax,1,79.2\n", [("mean", 2), ("max", 2)]),
        ("pooling,seed,top1\nmean,0,78.1\nmean,1,78.3\nmean,,78.4\n", [("mean", 3)]),
        ("pooling,run,top1\nmean,min,78.1\nmean,max,78.3\n", [("mean", 2)]),
    ],
)
def test_what_only_looks_like_one_stays(text: str, expected: list[tuple[str, int]]) -> None:
    write("t.csv", text)
    groups = read_groups("t.csv", Request(by=("pooling",), pool=True))
    assert [(group.label, group.n) for group in groups] == expected
