from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from seedstudy.errors import SeedstudyError
from seedstudy.read.counts import trials_of_files
from seedstudy.read.request import Request
from tests.read.reading import write


def read(*files: str, metric: str = "top1", **given: Any) -> tuple[pl.DataFrame, tuple[str, ...]]:
    return trials_of_files(files, Request(metric=metric), study="main", **given)[:2]


def test_a_folder_of_timm_logs_becomes_trials_that_keep_their_identity() -> None:
    for seed, top1 in ((3, 79.82), (5, 79.71)):
        write(f"out/a2/{seed}/summary.csv", f"epoch,train_loss,eval_loss,eval_top1\n0,1,1,80.0\n1,1,1,{top1}\n")
        write(f"out/a2/{seed}/args.yaml", f"model: resnet50\nseed: {seed}\n")
    trials, notes = read("out/a2/", data="imagenet")
    assert trials.select("recipe", "model", "seed", "n_correct", "n_examples", "trial_id").rows() == [
        ("a2", "resnet50", 3, 39_910, 50_000, "imported-e1191a096e"),
        ("a2", "resnet50", 5, 39_855, 50_000, "imported-7250423f36"),
    ]
    assert notes == ("a2, val: rounded values leave the number of correct images open by ±3 of 50,000",)


def test_plain_numbers_have_no_seed() -> None:
    trials, notes = read(write("a2.txt", "79.8\n79.7\n"), model="resnet50", data="imagenet", recipe="mine")
    assert trials.select("recipe", "seed").rows() == [("mine", None), ("mine", None)]
    assert trials["trial_id"].n_unique() == 2
    assert notes == ("mine, val: rounded values leave the number of correct images open by ±25 of 50,000",)


def test_counts_are_taken_as_they_are() -> None:
    write("c.csv", "recipe,model,data,seed,n_correct,n_examples\nx,net,mine,0,7,9\nx,net,mine,1,8,9\n")
    write("d.csv", "recipe,model,data,seed,n_correct,n_examples\ny,net,mine,0,39750,50000\n")
    trials, notes = read("c.csv", "d.csv")
    assert trials.select("n_correct", "n_examples").rows() == [(7, 9), (8, 9), (39_750, 50_000)]
    assert notes == ()  # 79.5 % by count, not by rounding


@pytest.mark.parametrize("n_examples", [2000, "2000", "val=2000, v2=10", {"val": 2000}], ids=repr)
def test_the_number_of_images_is_given_in_several_ways(n_examples: Any) -> None:
    trials, notes = read(write("t.csv", "seed,top1\n0,79.65\n"), model="net", data="mine", n_examples=n_examples)
    assert (trials["n_correct"].to_list(), notes) == ([1593], ())


def test_unfinished_trials_have_a_note() -> None:
    write("wandb.csv", "Name,State,seed,val/acc1\nsun-1,finished,0,79.862\nsea-2,crashed,1,12.0\n")
    trials, notes = read("wandb.csv", model="resnet50", data="imagenet")
    assert (trials.height, notes) == (1, ("wandb, val: 1 unfinished trial left out",))


@pytest.mark.parametrize(
    ("file", "given", "expected"),
    [
        ("t.csv", {}, "t.csv: does not say which model; give --model"),
        ("t.csv", {"model": "net"}, "t.csv: does not say which data; give --data"),
        ("t.csv", {"model": "net", "data": "mine"}, "how many images has val of mine?"),
        ("t.csv", {"model": "net", "data": "mine", "n_examples": "x"}, '--n-examples "x": expected a number of images'),
        ("t.csv", {"model": "net", "data": "mine", "n_examples": {"val": -1}}, '--n-examples "val=-1": expected'),
        ("t.csv", {"model": "net", "data": "mine", "n_examples": "9" * 5000}, "expected a number of images"),
        ("t.csv", {"model": "net", "data": "mine", "n_examples": 7}, "is not a whole number of 7 images"),
        ("t.csv", {"model": "../net", "data": "mine", "n_examples": 1000}, 'model "../net": use letters'),
        ("t.csv", {"recipe": "a b", "model": "n", "data": "m", "n_examples": 1000}, 'recipe "a b": use letters'),
        ("l.csv", {"metric": "loss", "model": "n", "data": "m"}, 'l.csv: "loss" is not an accuracy'),
        ("nowhere", {}, "nowhere: cannot be read (no such file)"),
        ("folder", {}, "a folder is written with a slash"),
    ],
    ids=range(12),
)
def test_what_cannot_be_imported_is_refused_in_one_line(file: str, given: dict[str, Any], expected: str) -> None:
    write("t.csv", "seed,top1\n0,79.6\n1,79.7\n")
    write("l.csv", "seed,loss\n0,0.9\n")
    Path("folder").mkdir()
    with pytest.raises(SeedstudyError) as caught:
        read(file, **given)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
