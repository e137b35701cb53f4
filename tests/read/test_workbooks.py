"""Workbooks of spreadsheet programs: read with the extra `excel`, and named where it is not installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError

WIDE = [["seed", "baseline", "cut mix"], [0, 76.24, 77.1], [1, 76.4, 77.42], [2, 76.31, None]]
LONG = [["method", "seed", "top1"], ["a", 0, "76,24"], ["a", 1, "76,3"], ["b", 0, "77,1"], ["b", 1, "77,3"]]
PERCENT = [["seed", "top1"], [0, "76.2 %"], [1, "76.4 %"]]

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    pytest.importorskip("fastexcel")
    writer = pytest.importorskip("xlsxwriter")
    monkeypatch.chdir(tmp_path)

    def call(*sheets: Sequence[Sequence[Any]]) -> str:
        book = writer.Workbook("book.xlsx")
        for rows in sheets:
            sheet = book.add_worksheet()
            for i, row in enumerate(rows):
                for j, cell in enumerate(row):
                    if cell is not None:
                        sheet.write(i, j, cell)
        book.close()
        return "book.xlsx"

    return call


def test_a_sheet_is_read_as_a_csv_file_is(write: Write) -> None:
    answer = ss.compare(write(WIDE))[0]
    assert (answer.a.label, answer.b.label) == ("baseline", "cut mix")
    assert (answer.a.values.tolist(), answer.b.values.tolist()) == ([76.24, 76.4, 76.31], [77.1, 77.42])
    answer = ss.compare(write(LONG, []), by="method")[0]
    assert (answer.a.values.tolist(), answer.b.values.tolist()) == ([76.24, 76.3], [77.1, 77.3])
    assert ss.summary(write(PERCENT))[0].group.values.tolist() == [76.2, 76.4]


def test_what_is_wrong_with_a_workbook_is_one_line(write: Write) -> None:
    with pytest.raises(SeedstudyError, match=r"holds several sheets \(Sheet1, Sheet2\)"):
        ss.summary(write(WIDE, LONG))
    with pytest.raises(SeedstudyError, match="holds no cell"):
        ss.summary(write([]))
    Path("book.xlsx").write_text("no workbook")
    with pytest.raises(SeedstudyError, match="not a readable workbook"):
        ss.summary("book.xlsx")


@pytest.mark.skipif(find_spec("fastexcel") is not None, reason="the extra excel is installed")
def test_without_the_extra_the_message_names_it(tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    with pytest.raises(SeedstudyError, match=r"fastexcel is not installed.*seedstudy\[excel\]"):
        ss.summary(str(tmp_path / "book.xlsx"))
