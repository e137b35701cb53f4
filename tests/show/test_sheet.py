"""A table in a terminal of any width and in a file: no letter and no number is lost."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from seedstudy.show.sheet import Column, Sheet, shared_ends, sheet, to_csv
from seedstudy.show.view import View, widened

NAME = "exponential-moving-average"
WIDE = Sheet(
    columns=(
        Column(name="recipe", kind="name"),
        Column(name="note", kind="text"),
        Column(name="mean ± std"),
        Column(name="95% interval"),
        Column(name="n", drop=1),
        Column(name="verdict", kind="verdict"),
    ),
    rows=(
        (
            "exponential-moving-average",
            "averaged over 0.9999 of the past",
            "79.72 ± 0.10",
            "[ 0.16, 0.46]",
            "5",
            "better",
        ),
        ("exponential-moving-average", "", "78.06", "–", "1,000", "inconclusive"),
    ),
)


@pytest.mark.parametrize("columns", [40, 60, 70, 80, 100, 140])
def test_no_word_is_cut_at_any_width(columns: int, rendered: Callable[..., str]) -> None:
    text = rendered(WIDE, columns)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns
    joined = "".join(text.split())
    for words in ("0.9999", "79.72±0.10", "[0.16,0.46]", "better", "inconclusive", "moving-", "average"):
        assert words in joined


def test_gaps_shrink_before_a_column_is_left_out_and_no_name_is_broken(rendered: Callable[..., str]) -> None:
    table = Sheet(
        columns=(Column(name="B", kind="name"), Column(name="p"), Column(name="v2", kind="text", drop=3)),
        rows=((NAME, "0.0044", "+"),),
    )
    lines = {width: [line.split() for line in rendered(table, width).splitlines()] for width in (40, 36, 34, 30)}
    assert lines[40] == lines[36] == [["B", "p", "v2"], [NAME, "0.0044", "+"]]
    assert lines[34] == [["B", "p"], [NAME, "0.0044"], ["Not", "shown", "at", "34", "columns:", "v2."]]
    assert lines[30] == [["B"], ["p"], [NAME], ["0.0044"], ["Not", "shown", "at", "30", "columns:", "v2."]]


LONG = tuple(
    f"resnet{depth}-with_a_stem/of=three_layers.and-{kind}_shortcuts_x0{depth}"
    for depth, kind in ((18, "plain"), (50, "wide"))
)
"""Names of about 60 letters, as of models, files and studies."""


@pytest.mark.parametrize("columns", [70, 80, 100])
@pytest.mark.parametrize("n_names", [1, 2, 3])
@pytest.mark.parametrize("n_numbers", [1, 4, 8])
def test_a_long_name_is_whole_or_short_but_never_broken(
    columns: int, n_names: int, n_numbers: int, rendered: Callable[..., str]
) -> None:
    rows = [[*([name] * n_names), *(f"{depth}.{i}25" for i in range(n_numbers))] for depth, name in enumerate(LONG)]
    table = sheet([f"name{i}" for i in range(n_names)], [f"number {i}" for i in range(n_numbers)], rows)
    text = rendered(table, columns)
    assert max(map(len, text.splitlines())) <= columns
    words = text.split()
    shortened = re.findall(r"name0: (\S*)\*(\S*)", text)
    for head, tail in shortened:
        words += [head + word + tail for word in words]
    assert set(LONG) <= set(words)
    assert {f"{depth}.{i}25" for depth in (0, 1) for i in range(n_numbers)} <= set(words)


def test_facts_of_every_row_go_into_the_title(rendered: Callable[..., str]) -> None:
    rows = [("a3", f"resnet_d{depth}_w050_s2", "my-data-set", "1,000", "–") for depth in (8, 14, 20)]
    table = sheet(("recipe", "model", "data"), ("images", "time"), rows, caption="study x")
    lines = rendered(table, 46).splitlines()
    assert [line.split() for line in lines] == [
        ["study", "x", "·", "recipe:", "a3", "·", "data:", "my-data-set"],
        ["model", "images", "time"],
        *([f"resnet_d{depth}_w050_s2", "1,000", "–"] for depth in (8, 14, 20)),
    ]


def test_a_wide_table_has_every_column_in_a_narrow_terminal(rendered: Callable[..., str]) -> None:
    lines = rendered(widened(View(sheets=(WIDE,))), 40).splitlines()
    assert lines[0].split()[-2:] == ["n", "verdict"]
    assert len(lines) == 3


def test_csv_has_every_number_in_a_cell_of_its_own() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(WIDE))))
    assert list(rows[0]) == [
        "recipe", "note", "mean", "std", "95% interval low", "95% interval high", "n", "verdict",
    ]  # fmt: skip
    assert list(rows[0].values())[2:] == ["79.72", "0.10", "0.16", "0.46", "5", "better"]
    assert list(rows[1].values())[2:] == ["78.06", "", "", "", "1000", "inconclusive"]
    assert rows[1]["recipe"] == NAME, "a row says what it is about"


@pytest.mark.parametrize(
    ("cell", "cells"),
    [
        ("+1.74", {"x": "1.74"}),
        ("1.2e-7", {"x": "1.2e-7"}),
        ("79.68 [79.64, 79.72]", {"x": "79.68", "x low": "79.64", "x high": "79.72"}),
        ("[-inf, 0.5]", {"x low": "-inf", "x high": "0.5"}),
        ("<1e-300", {"x": "<1e-300"}),
        ("3 | 100", {"x": "3 | 100"}),
        ("a, b", {"x": "a, b"}),
        ("–", {"x": ""}),
    ],
)
def test_csv_cells(cell: str, cells: dict[str, str]) -> None:
    (row,) = csv.DictReader(io.StringIO(to_csv(sheet(["of"], ["x"], [("a", cell)]))))
    assert {name: text for name, text in row.items() if name != "of"} == cells


@pytest.mark.parametrize(
    ("names", "shared"),
    [
        (("0.1", "0.5"), None),
        (("lr=0.1", "lr=0.5"), ("lr=", "")),
        (("lr=1e-3", "lr=1e-4"), ("lr=", "")),
        (("a 0.15", "b 2.15"), None),
        (("v1.2-small", "v1.3-small"), ("", "-small")),
        (("run-10", "run-12"), ("run-", "")),
    ],
)
def test_names_lose_no_digit_of_a_number(names: tuple[str, ...], shared: tuple[str, str] | None) -> None:
    assert shared_ends(names) == shared


def test_a_terminal_shows_the_first_rows_and_a_file_has_all(rendered: Callable[..., str]) -> None:
    rows = [(column, f"row{i}", f"{i}") for column in ("a", "b") for i in range(10)]
    long = Sheet(
        columns=(Column(name="column", kind="name"), Column(name="row", kind="text"), Column(name="number")),
        rows=tuple(rows),
        n_at_first=2,
        is_each_at_first=True,
    )
    assert [line.split()[-1] for line in rendered(long, 80).splitlines()[1:]] == ["0", "1", "0", "1", "--wide."]
    assert "16 more rows: --wide." in rendered(long, 80)
    assert rendered(replace(long, is_wide=True), 80).count("row") == 21
    assert to_csv(long).count("row") == 21
    # A few more than enough are not worth hiding.
    assert rendered(replace(long, n_at_first=6), 80).count("row") == 21


def test_one_long_row_does_not_put_every_value_below_its_name(rendered: Callable[..., str]) -> None:
    rows = [(f"key{i}", "1", "2") for i in range(8)]
    long = "rand-m7-mstd0.5-inc1-with-more"
    lines = rendered(
        sheet(("key", "a", "b"), (), [*rows[:4], ("augmentation", long, long), *rows[4:]]), 60
    ).splitlines()
    assert [line.split() for line in lines[:9]] == [["key", "a", "b"], *map(list, rows)]
    assert [line.split() for line in lines[9:]] == [[], ["key", "augmentation"], ["a", long], ["b", long]]
