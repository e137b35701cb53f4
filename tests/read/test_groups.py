from __future__ import annotations

import numpy as np
import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.groups import read_groups
from seedstudy.read.numbers import group_of_numbers
from seedstudy.read.request import Request
from tests.read.reading import only, refused, write


def test_plain_numbers_with_comments() -> None:
    group = only(write("old.txt", "# A3, three seeds\n78.0\n\n78.1  # seed 1\n78.2\n"))
    assert group.values.tolist() == [78.0, 78.1, 78.2]
    assert (group.label, group.seeds, group.unit, group.eval_set) == ("old", None, "pp", "val")


def test_a_long_table_holds_several_recipes() -> None:
    table = "recipe,model,seed,top1\na3,resnet50,0,78.0\na3,resnet50,1,78.2\na2,resnet50,0,79.8\na2,resnet50,1,79.7\n"
    groups = read_groups(write("runs.csv", table), Request())
    assert [(group.label, group.seeds) for group in groups] == [("a3@resnet50", (0, 1)), ("a2@resnet50", (0, 1))]
    assert only("runs.csv:a2").values.tolist() == [79.8, 79.7]
    assert only("runs.csv:a2@resnet50").recipe == "a2"
    assert "Did you mean" in refused("runs.csv:a22")


def test_a_wide_table_holds_a_column_per_recipe_of_unequal_length() -> None:
    write("wide.csv", "seed,a3,a2\n0,78.0,79.8\n1,78.2,79.7\n2,78.1,\n")
    assert only("wide.csv:a3").values.tolist() == [78.0, 78.2, 78.1]
    assert only("wide.csv:a2").seeds == (0, 1)
    assert [(group.label, group.n) for group in read_groups("wide.csv", Request())] == [("a3", 3), ("a2", 2)]


def test_a_wide_table_holds_a_column_per_eval_set() -> None:
    write("sets.csv", "seed,val_top1,real_top1,v2_top1\n0,79.8,85.4,67.9\n1,79.7,85.3,68.1\n")
    groups = read_groups("sets.csv", Request())
    assert [(group.eval_set, group.values[0]) for group in groups] == [("val", 79.8), ("real", 85.4), ("v2", 67.9)]
    (v2,) = read_groups("sets.csv", Request(eval_sets=("v2",)))
    assert v2.eval_set == "v2"
    write("short.csv", "val,real\n79.8,85.4\n79.7,85.3\n")
    assert [group.eval_set for group in read_groups("short.csv", Request())] == ["val", "real"]


def test_an_eval_set_column_is_read_and_chosen() -> None:
    write("sets.csv", "seed,eval_set,top1\n0,val,79.8\n1,val,79.7\n0,v2,67.9\n1,v2,68.1\n")
    assert [group.eval_set for group in read_groups("sets.csv", Request())] == ["val", "v2"]
    assert only("sets.csv", eval_sets=("v2",)).values.tolist() == [67.9, 68.1]
    with pytest.raises(SeedstudyError, match="holds no result on real"):
        read_groups("sets.csv", Request(eval_sets=("real",)))


def test_metric_and_value_columns() -> None:
    write("tidy.csv", "seed,metric,value\n0,val_loss,0.9\n0,top1,79.8\n1,val_loss,0.8\n1,top1,79.7\n")
    assert only("tidy.csv").values.tolist() == [79.8, 79.7]
    group = only("tidy.csv", metric="val_loss")
    assert (group.values.tolist(), group.unit, group.metric) == ([0.9, 0.8], None, "val_loss")


def test_rows_are_picked_by_columns() -> None:
    write("nette.csv", "pool,epochs,run,valid_top1\nmax,5,0,0.85\nmax,20,0,0.92\nmax,20,1,0.91\nblur,20,0,0.93\n")
    assert only("nette.csv:pool=max,epochs=20", unit="fraction").values.tolist() == pytest.approx([92.0, 91.0])
    assert 'no row has pool = "min"' in refused("nette.csv:pool=min", unit="fraction")
    assert 'no column "pol". Did you mean "pool"?' in refused("nette.csv:pol=max")
    assert 'column "pool" holds max, blur: which rows are seeds of one recipe?' in refused("nette.csv", unit="fraction")


def test_the_imported_values_are_arrays() -> None:
    assert only(write("a.txt", "79\n80\n")).values.dtype == np.float64


def test_a_loss_beside_accuracies_has_no_unit() -> None:
    write("summary.csv", "epoch,train_loss,eval_loss,eval_top1\n0,6.9,0.8,0.5\n")
    assert (only("summary.csv").values.tolist(), only("summary.csv").unit) == ([0.5], "pp")  # timm writes percent
    assert (only("summary.csv", metric="eval_loss").values.tolist()) == [0.8]
    assert only("summary.csv", metric="eval_loss").unit is None


def test_the_number_of_images_gives_the_step_and_tells_rounded_values_from_counts() -> None:
    printed = only(write("printed.csv", "seed,top1,n_examples\n0,79.8,50000\n1,79.7,50000\n"))
    counted = only(write("counted.csv", "seed,n_correct,n_examples\n0,39900,50000\n1,39850,50000\n"))
    assert printed.values.tolist() == counted.values.tolist() == [79.8, 79.7]
    assert printed.step == counted.step == 0.002
    assert "open by ±25 of 50,000" in printed.notes[0]
    assert counted.notes == ()
    assert 'no column "top1"' in refused(write("text.csv", "n_correct,n_examples\nmany,9\n8,9\n"))


def test_plain_numbers_of_an_accuracy_are_points_under_any_name() -> None:
    assert group_of_numbers([79.5, 80.0], "A", Request(metric="val_acc")).unit == "pp"
    assert group_of_numbers([0.9, 1.2], "A", Request(metric="loss")).unit is None
    with pytest.raises(SeedstudyError, match="percent or fraction"):
        group_of_numbers([0.79, 0.8], "A", Request(metric="val_acc"))
    with pytest.raises(SeedstudyError, match=r"expected one number per seed, got an array of shape \(1, 2\)"):
        group_of_numbers([[79.5, 80.0]], "A", Request())
    with pytest.raises(SeedstudyError, match='--unit "permille": expected percent or fraction'):
        Request(unit="permille")
