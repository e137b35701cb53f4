"""Numbers written down without a table: names and numbers in lines, titles, percent signs, gaps."""

from __future__ import annotations

import pytest

from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request
from tests.read.reading import only, refused, write

PLAIN = [78.1, 78.2, 78.4]


@pytest.mark.parametrize(
    "text",
    [
        "78.1\n78.2\n78.4\n",
        "78.1 78.2 78.4\n",
        "78.1, 78.2, 78.4",
        "78.1;78.2;78.4\n",
        "[78.1, 78.2, 78.4]\n",
        "top1\n78.1\n78.2\n78.4\n",
        "Accuracy (%)\n78.1\n78.2\n78.4\n",
        "baseline\n78.1\n78.2\n78.4\n",
        "# ResNet-50\nresults:\n78.1  # seed 0\n\n78.2\n78.4\n",
        "78.1%\n78.2 %\n78.4%\n",
        "seed 0: 78.1\nseed 1: 78.2\nseed 2: 78.4\n",
        "seed_0 78.1\nseed_1 78.2\nseed_2 78.4\n",
        "run 1\t78.1\nrun 2\t78.2\nrun 3\t78.4\n",
        "78.1\nNA\n78.2\n78.4\n",
        "nan\n78.1\n78.2\n78.4\n",
    ],
)
def test_plain_numbers_are_read_however_they_are_written(text: str) -> None:
    group = only(write("t.txt", text))
    assert group.values.tolist() == PLAIN
    assert (group.label, group.unit) == ("t", "pp")
    assert group.seeds == ((0, 1, 2) if "seed 0:" in text or "seed_" in text else (1, 2, 3) if "run" in text else None)
    assert len(group.notes) == ("NA" in text or "nan" in text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.txt", "baseline 78.1 78.2 78.4\ncutmix 79.1 79.3\n"),
        ("t.txt", "baseline: 78.1, 78.2, 78.4\ncutmix: 79.1, 79.3\n"),
        ("t.txt", "baseline;78,1;78,2;78,4\ncutmix;79,1;79,3;\n"),
        ("t.csv", "baseline,78.1,78.2,78.4\ncutmix,79.1,79.3,NA\n"),
        ("t.csv", "baseline;78,1;78,2;78,4\ncutmix;79,1;79,3;-\n"),
        ("t.tsv", "baseline\t78.1%\t78.2%\t78.4%\ncutmix\t79.1%\t79.3%\t\n"),
    ],
)
def test_lines_of_a_name_and_numbers_are_arms(name: str, text: str) -> None:
    groups = read_groups(write(name, text), Request())
    assert [(group.label, group.values.tolist()) for group in groups] == [("baseline", PLAIN), ("cutmix", [79.1, 79.3])]
    assert only(f"{name}:cutmix").values.tolist() == [79.1, 79.3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.txt", "78,1\n78,2\n", "write 78.1"),
        ("t.txt", "0 78.1\n1 78.2\n", "2 numbers; write one number per line, or column names above them"),
        ("t.txt", "mean 78.15\n78.1\n78.2\n", '"mean" is not a number'),
        ("t.txt", "78.1±0.2\n78.2±0.1\n", 'no column "top1"'),
        # A line of column names that are numbers: settings, not results.
        ("t.csv", "dropout,0.3,0.5\nresnet,0.78,0.79\nvit,0.80,0.81\n", "holds resnet, vit"),
        ("t.csv", "lr,0.1,0.01\nsgd,78.1,78.2\nadam,79.1,79.3\n", "holds sgd, adam"),
    ],
)
def test_what_is_not_sure_is_asked(name: str, text: str, message: str) -> None:
    assert message in refused(write(name, text))
