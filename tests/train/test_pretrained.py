"""`evaluate` and `cost` from the command line, on real parts: a timm model, a weights file, JPEGs on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import timm
import torch

from seedstudy.store.schema import PREDICTIONS, validate
from tests.imagenet_tree import make_tree

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEDSTUDY_LOADERS", "0")
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    return make_tree(tmp_path / "imagenet")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("test_resnet")
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


def test_a_weights_file_is_judged_on_every_eval_set(cli: Cli, tree: Path, weights: Path, tmp_path: Path) -> None:
    table = tmp_path / "published"
    table.mkdir()
    (table / "results-imagenet.csv").write_text(
        "model,img_size,top1,crop_pct\ntest_resnet,160,1.0,0.950\ntest_resnet,96,2.5,0.950\n"
    )
    for name in ("results-imagenet-real.csv", "results-imagenetv2-matched-frequency.csv"):
        (table / name).write_text("model,img_size,top1,crop_pct\n")
    arguments = ["evaluate", "test_resnet", "--weights", weights, "--data-dir", tree, "--seed", "7", "--json"]
    arguments += ["--size", "96", "--crop", "0.95", "--published", table]
    code, out, err = cli(*arguments)
    assert code == 0, err
    document = json.loads(out)
    assert (document["model"], document["recipe"]) == ("test_resnet", "mine")
    assert (document["preprocessing"]["size"], document["preprocessing"]["crop"]) == (96, 0.95)
    assert [(row["eval_set"], row["n_examples"]) for row in document["evaluations"]] == [
        ("val", 10),
        ("real", 10),
        ("v2", 5),
    ]
    assert [row["published_top1"] for row in document["evaluations"]] == [2.5, None, None]
    assert "no v2_top" in err
    assert "added to" in err
    # The same again changes nothing, and the study reads like any other.
    assert "already in" in cli(*arguments)[2]
    code, out, _ = cli("summary", "mine@test_resnet", "--study", "evaluated", "--json")
    assert code == 0
    groups = json.loads(out)["groups"]
    assert [(group["eval_set"], group["n"]) for group in groups] == [("val", 1), ("real", 1), ("v2", 1)]
    assert groups[0]["mean"] == document["evaluations"][0]["top1"]
    (path,) = Path("results/evaluated/evaluated").glob("*.parquet")
    predictions = validate(pl.read_parquet(path), PREDICTIONS, where=str(path))
    right = predictions.filter(pl.col("labels").list.contains(pl.col("predicted")))
    assert right.filter(pl.col("eval_set") == "val").height == round(document["evaluations"][0]["top1"] / 10)


@pytest.mark.slow
def test_a_recipe_tests_at_the_size_that_it_trains_at_on_the_data(cli: Cli, tmp_path: Path) -> None:
    """A2 tests photographs at 224 px; on the shapes `run` scales it, and `pseudolabel` too."""
    assert cli("run", "-r", "a2", "--seeds", "1", "--epochs", "1", "--keep-weights")[0] == 0
    (weights,) = Path("results/main/trials").glob("*/weights*")
    code, out, err = cli("evaluate", "resnet8_patch", "--weights", weights, "-d", "shapes", "-r", "a2", "--json")
    assert code == 0, err
    again = json.loads(out)
    assert again["preprocessing"]["size"] == 32
    trained = {group["eval_set"]: group["mean"] for group in json.loads(cli("summary", "a2", "--json")[1])["groups"]}
    assert {each["eval_set"]: each["top1"] for each in again["evaluations"]} == trained


def test_wrong_weights_are_one_line(cli: Cli, tree: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    for arguments, message in (
        (("resnet5O",), 'unknown model "resnet5O"'),
        (("resnet50.a9_in1k",), 'timm has no weights "resnet50.a9_in1k"'),
        (("test_resnet", "--weights", "nowhere.pth"), "nowhere.pth: no such file"),
        (("test_resnet", "--weights", tmp_path / "broken.pth"), "cannot be loaded"),
        (("test_vit", "--weights", weights), "cannot be loaded"),
        (("resnet8_nano",), "timm has no weights for it; name a file of this model with --weights"),
        (("vit_small_resnet26d_224",), "timm has no weights"),
    ):
        code, out, err = cli("evaluate", *arguments, "--data-dir", tree)
        assert code == 2
        assert out == ""
        assert message in err.splitlines()[-1]
    assert not Path("results").exists()


def test_cost_counts_without_training(cli: Cli) -> None:
    code, out, err = cli("cost", "resnet18", "test_resnet", "--counts-only", "--size", "64", "--json")
    assert code == 0, err
    rows = json.loads(out)["costs"]
    assert [(row["model"], row["image_size"]) for row in rows] == [("resnet18", 64), ("test_resnet", 64)]
    assert rows[0]["n_params"] == 11_689_512
    assert cli("cost", "resnet5O")[0] == 2


def test_a_network_of_fixed_size_takes_another_size_or_refuses_it(cli: Cli, tree: Path, tmp_path: Path) -> None:
    for name in ("test_vit", "levit_128s"):
        torch.save(timm.create_model(name).state_dict(), tmp_path / f"{name}.pth")
    arguments = ["--data-dir", tree, "--eval", "val", "--size", "96"]
    code, out, err = cli("evaluate", "test_vit", "--weights", tmp_path / "test_vit.pth", *arguments)
    assert code == 0, err
    assert "tested at 96 px" in " ".join(out.lower().split())
    code, _, err = cli("evaluate", "levit_128s", "--weights", tmp_path / "levit_128s.pth", *arguments)
    assert code == 2
    assert "takes images of 224 px alone" in err


def test_no_network_is_built_without_the_weights_or_arguments_that_were_asked_for() -> None:
    with pytest.raises(RuntimeError, match="resnet8 has no published weights"):
        timm.create_model("resnet8", pretrained=True)
    with pytest.raises(TypeError, match="no_such_argument"):
        timm.create_model("resnet8", no_such_argument=1)
