"""Published figures: tables of single runs, RSB's spread and cost, timm's results tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.published import gpu_hours, read_published_table, reference_stds, timm_top1
from tests.imagenet_tree import SHARED

TIMM_RESULTS = SHARED / "reference" / "timm_results"


def test_rsb_spread_and_cost() -> None:
    assert gpu_hours("resnet50", "a2") == 220.0
    assert reference_stds()["rsb-v2"].std == 0.23
    with pytest.raises(SeedstudyError, match="resnet50"):
        gpu_hours("resnet5O", "a2")


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
