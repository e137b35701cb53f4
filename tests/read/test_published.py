"""Published figures: tables of single runs, RSB's spread and cost, timm's results tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.published import (
    gpu_hours,
    group_of_mean_and_std,
    read_published_table,
    reference_stds,
    timm_top1,
)
from seedstudy.read.request import Request
from seedstudy.study.group import Moments
from tests.imagenet_tree import SHARED

TIMM_RESULTS = SHARED / "reference" / "timm_results"


def test_rsb_spread_and_cost() -> None:
    assert gpu_hours("resnet50", "a2") == 220.0
    assert gpu_hours("deit_tiny_patch16_224", "a1") == 392.0
    v2 = reference_stds()["rsb-v2"]
    assert (v2.eval_set, v2.n, v2.std) == ("v2", 100, 0.23)
    with pytest.raises(SeedstudyError, match="resnet50"):
        gpu_hours("resnet5O", "a2")
    with pytest.raises(SeedstudyError, match='no published cost of recipe "a4"'):
        gpu_hours("resnet50", "a4")


def test_a_published_mean_and_std() -> None:
    for other in ("a2", "main:a2@resnet50", "79.5", "t.csv:a2"):
        assert group_of_mean_and_std(other, Request()) is None
    group = group_of_mean_and_std("RSB: 79.72 ± 0.1 (n = 100)", Request())
    assert group is not None
    assert (group.label, group.n, group.values.size) == ("RSB", 100, 0)
    assert group.moments == Moments(mean=79.72, sd=0.1, n=100, mean_step=0.01, sd_step=0.1)
    as_fraction = group_of_mean_and_std("0.795±0.001 n=5", Request(unit="fraction"))
    assert as_fraction is not None
    assert as_fraction.moments == Moments(mean=79.5, sd=0.1, n=5, mean_step=0.1, sd_step=0.1)
    with pytest.raises(SeedstudyError, match=r'write "79\.5±0\.1 n=5"'):
        group_of_mean_and_std("79.5±0.1", Request())
    for text, step in (("79±0.1 n=3", 1.0), ("1.50e-3±1.0e-4 n=3", 1e-5)):
        published = group_of_mean_and_std(text, Request(metric="val_loss"))
        assert published is not None
        assert published.moments is not None
        assert published.moments.mean_step == pytest.approx(step)
    with pytest.raises(SeedstudyError, match=r"a std of 0\.0 was rounded away; give more digits"):
        group_of_mean_and_std("79.5±0.0 n=5", Request())
    with pytest.raises(SeedstudyError, match="not two numbers"):
        group_of_mean_and_std("79.5.1±0.1 n=5", Request())


@pytest.mark.parametrize("text", ["79.5±1e4001 n=5", "0e400±0.1 n=5", "0.795±9e306 n=5"])
def test_numbers_beyond_every_number_are_refused(text: str) -> None:
    """Found by fuzzing: what such a number is rounded to is beyond every number too."""
    with pytest.raises(SeedstudyError, match=r"beyond every number|finite"):
        group_of_mean_and_std(text, Request(unit="fraction" if "306" in text else "percent"))


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("model,val\na,80.1\n", None, "at least two rows"),
        ("model,val\na,80.1\n\nb,80.3,7\n", None, "table.csv, line 4: 3 cells where the head has 2"),
        ("model,val\na,80.1\nb,0.803\n", None, 'row "b": val = 0.803 among percentages'),
        ("model,val\na,0.801\nb,0.803\n", None, "percent or fraction?"),
        ("model,val\na,80.1\nb,80.3\n", "fraction", "80.3 is not a fraction"),
        ("model,loss\na,-1.5\nb,2\n", None, "-1.5 is not an accuracy: use --unit none for another metric"),
        ("model,val\na,80.1\nb,about 80\n", None, 'row "b": val = "about 80" is not a number'),
        ("model,val\na,80.1\na,80.3\n", None, '"a" names several rows of column model'),
        ("model,val\na,x\nb,y\n", None, "no number"),
        ('model,val\na,80.1\nb,"80.3\n', None, "not a readable csv file"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(text: str, unit: str | None, message: str) -> None:
    Path("table.csv").write_text(text)
    with pytest.raises(SeedstudyError) as caught:
        read_published_table(Path("table.csv"), unit=unit)
    assert message in str(caught.value)


def test_steps_are_what_is_printed_in_points() -> None:
    Path("table.csv").write_text("model;val;real\na;0.8010;0.86\nb;0.8030;\n")
    table = read_published_table(Path("table.csv"), unit="fraction")
    assert table.steps == (0.01, 1.0)
    np.testing.assert_allclose(table.values, [[80.1, 86.0], [80.3, np.nan]])


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("model,hours,top1_a,top1_source\nx,3,80.1,paper\ny,4,80.3,code\n")
    assert read_published_table(path).columns == ("top1_a",)
    path.write_text("model,hours,val,v2\nx,3,80.1,60\ny,4,80.3,61\n")
    table = read_published_table(path)
    assert (table.columns, table.steps) == (("val", "v2"), (0.1, 1.0))


@pytest.mark.skipif(not TIMM_RESULTS.is_dir(), reason="needs timm's results tables (timm_results)")
def test_published_figures_are_found_by_model_size_and_crop() -> None:
    """The same weights have several rows: their name alone is no key."""
    for size, crop, val, real, v2 in ((224, 0.95, 80.382, 85.712, 68.47), (288, 1.0, 81.24, 86.579, 69.69)):
        for eval_set, top1 in (("val", val), ("real", real), ("v2", v2)):
            assert timm_top1(TIMM_RESULTS, eval_set, "resnet50.a1_in1k", size=size, crop=crop) == top1
    assert timm_top1(TIMM_RESULTS, "val", "resnet50.a1_in1k", size=224, crop=0.875) is None
    assert timm_top1(TIMM_RESULTS, "v2_top", "resnet50.a1_in1k", size=224, crop=0.95) is None


def test_a_model_is_looked_up_by_size_and_crop() -> None:
    Path("results-imagenet.csv").write_text(
        "model,img_size,top1,crop_pct\nr,224,80.1,1.000\nr,224,80.2,0.900\nr,288,80.3,0.950\nr,224,80.4,0.950\n"
    )
    assert timm_top1(Path(), "val", "r", size=224, crop=0.95) == 80.4
    assert timm_top1(Path(), "val", "r", size=224, crop=0.97) is None


def test_a_table_that_is_not_timms_is_refused() -> None:
    with pytest.raises(SeedstudyError, match="--published needs timm's folder results"):
        timm_top1(Path(), "val", "resnet50", size=224, crop=0.95)
    Path("results-imagenet.csv").write_text("model,top1\nresnet50,80.4\n")
    with pytest.raises(SeedstudyError, match=r'not one of .* \(no column "img_size"\)'):
        timm_top1(Path(), "val", "resnet50", size=224, crop=0.95)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "model,params (M),top1\nr18,11.7,69.8%\nr34,21.8,73.30 %\nr50,25.6,NA\n"),
        ("t.csv", "model;params;top1\nr18;11,7;69,8\nr34;21,8;73,30\nr50;25,6;-\n"),
        ("t.txt", "# published\nmodel params top1\nr18 11.7 69.8\nr34 21.8 73.30\nr50 25.6 n/a\n"),
        ("t.tsv", " model \t top1 \nr18\t69.8\nr34\t73.30\nr50\tNaN\n"),
    ],
)
def test_a_published_table_is_read_as_it_is_written(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    table = read_published_table(path, columns=["top1"])
    assert (table.rows, table.label, table.steps) == (("r18", "r34", "r50"), "model", (0.01,))
    assert table.values[:2].tolist() == [[69.8], [73.3]]
    assert np.isnan(table.values[2, 0])
    assert table.reading.line() == f"{name}: 2 published numbers, metric top1, arms by `model`"


def test_a_published_table_of_records(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"model": "r18", "top1": 69.8}, {"model": "r34", "top1": 73.3}, {"model": "r50", "top1": null}]')
    table = read_published_table(path)
    assert (table.rows, table.values[:2].tolist(), table.steps) == (("r18", "r34", "r50"), [[69.8], [73.3]], (0.1,))
