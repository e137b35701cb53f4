from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

from seedstudy.read.parse import read_table
from tests.read.reading import only, refused, write


@pytest.mark.parametrize("kind", ["json", "jsonl", pytest.param("parquet", marks=pytest.mark.train), "tsv", "csv"])
def test_every_format_gives_the_same_arm(kind: str) -> None:
    rows = [{"seed": 0, "top1": 79.8, "note": {"nested": [1]}}, {"seed": 1, "top1": 79.7, "note": None}]
    frame = pl.DataFrame([{"seed": row["seed"], "top1": row["top1"]} for row in rows])
    if kind == "parquet":
        frame.write_parquet("t.parquet")
    elif kind == "json":
        write("t.json", json.dumps(rows))
    elif kind == "jsonl":
        write("t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        write(f"t.{kind}", frame.write_csv(separator="\t" if kind == "tsv" else ","))
    group = only(f"t.{kind}")
    assert (group.seeds, group.values.tolist()) == ((0, 1), [79.8, 79.7])


def test_json_shapes() -> None:
    assert only(write("list.json", "[79.8, 79.7]")).values.tolist() == [79.8, 79.7]
    assert only(write("seeds.json", '{"0": 79.8, "7": 79.7}')).seeds == (0, 7)
    write("arms.json", '{"a3": [78.0, 78.1, 78.2], "a2": [79.8, 79.7]}')
    assert only("arms.json:a2").values.tolist() == [79.8, 79.7]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.txt", "79,5\n", 'x.txt, line 1: "79,5" is not a number; write 79.5.'),
        ("x.txt", "# nothing\n", "holds no number"),
        ("x.csv", "", "holds no number"),
        ("x.csv", "seed,top1\n0,79.6\n0,79.7\n", "seed 0 is in several rows"),
        ("x.csv", "seed,top1\n0,\n1,\n", 'column "top1" holds no number; every row needs a number'),
        ("x.csv", "seed,top1\n0,79.6\n1,oops\n", 'column "top1" holds "oops"'),
        ("x.csv", "seed,top1\n0,nan\n1,nan\n", 'column "top1" is nan in trial 1 of 2'),
        ("x.csv", "seed,top1\n0,79.6\n1,inf\n", 'column "top1" is inf in trial 2 of 2'),
        ("x.csv", "seed,top1\n0,0.796\n", "percent or fraction?"),
        ("x.csv", "seed,top1\n0,179.6\n", "179.6 is not an accuracy"),
        ("x.csv", "seed,val_acc,test_acc\n0,79.6,79.5\n", "use --metric val_acc or --metric test_acc"),
        ("x.csv", "seed,lr\n0,0.1\n", 'no column "top1"'),
        ("x.csv", 'seed,top1\n0,"79.6\n', "not a readable csv file"),
        ("x.csv", 'recipe,top1\n"a\x1b[31m2",79.6\n', "control characters"),
        ("x.csv", '"to\x1bp1"\n79.6\n', "control characters"),
        ("x.json", '{"a": ', "x.json, line 1, column 7: not a readable json file"),
        ("x.json", "[" * 100_000, "too deep or too long"),
        ("x.json", '[{"top1": 79.6}, 3]', "expected a list of numbers"),
        ("x.json", "[]", "expected a list of numbers"),
        ("x.json", '{"a2": [1.0], "name": ["x", "y"]}', "different lengths"),
        ("x.jsonl", '{"top1": 79.6}\n{oops}\n', "x.jsonl, line 2: not a readable json file"),
        pytest.param("x.parquet", "PAR1 not", "not a readable parquet file", marks=pytest.mark.train),
    ],
    ids=range(22),
)
def test_what_is_wrong_with_a_file_is_one_line(name: str, text: str, expected: str) -> None:
    assert expected in refused(write(name, text))


@pytest.mark.parametrize("gap", ["", "nan", "NaN", "NA", "n/a", "-"])
def test_a_gap_among_numbers_is_left_out_with_a_note_however_it_is_written(gap: str) -> None:
    group = only(write("x.csv", f"seed,top1\n0,79.6\n1,{gap}\n2,79.7\n"))
    assert (group.seeds, group.values.tolist()) == ((0, 2), [79.6, 79.7])
    assert group.notes == ("1 run without a number left out (seed 1); report it if it diverged",)


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    assert "No such file" in refused("nowhere.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "not a file" in refused("pipe.csv")
    (tmp_path / "latin.csv").write_bytes(b"top1\n\xff\xfe\n")
    assert "not UTF-8 text at byte 5" in refused("latin.csv")
    (tmp_path / "empty").mkdir()
    assert "holds no trial" in refused("./empty")
    assert "no file matches" in refused("runs/*/summary.csv")
    write("two/a.csv", "top1\n79.6\n79.7\n")
    assert "two/a.csv: holds 2 trials" in refused("two/*.csv")


def test_numbers_too_large_for_a_float_are_refused() -> None:
    assert "inf" in refused(write("x.json", f'[{{"top1": 1{"0" * 400}}}]'))
    assert "too deep or too long" in refused(write("y.json", f"[{'1' * 6000}]"))


def test_a_long_number_is_no_seed() -> None:
    assert "a name of 5,000 letters" in refused(write("x.json", f'{{"{"9" * 5000}": 79.6}}'))


@pytest.mark.train
def test_parquet_without_nested_values_and_with_categories_as_text() -> None:
    pl.DataFrame({"method": ["a", "a", "b"], "top1": [79.1, 79.2, 79.3], "labels": [[1], [2], [3]]}).with_columns(
        pl.col("method").cast(pl.Categorical)
    ).write_parquet("x.parquet")
    assert read_table(Path("x.parquet")).frame.schema == {"method": pl.String, "top1": pl.Float64}
    assert 'column "method" holds a, b' in refused("x.parquet")


def test_a_file_that_says_it_is_utf_16_is_read() -> None:
    write("excel.txt", "")
    Path("excel.txt").write_bytes("seed\tacc\n0\t78.1\n1\t78.2\n".encode("utf-16"))
    assert only("excel.txt").values.tolist() == [78.1, 78.2]
