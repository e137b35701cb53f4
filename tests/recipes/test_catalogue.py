"""What `recipes list`, `show`, `diff` and `models` answer."""

from __future__ import annotations

import pytest

from seedstudy.data import info
from seedstudy.document import document
from seedstudy.errors import RecipeError
from seedstudy.recipes.catalogue import catalogue, describe, differences, networks
from seedstudy.recipes.reader import load_recipe, packaged_names, read_recipe


def test_catalogue_says_what_keeps_a_recipe_from_being_trained() -> None:
    rows = {row["name"]: row for row in document(catalogue())["recipes"]}
    assert tuple(rows) == packaged_names()
    a2 = load_recipe("a2")
    assert rows["a2"] == {
        "name": "a2",
        "recipe_id": a2.recipe_id,
        "title": a2.title,
        "models": 25,
        "missing": [],
        "by_model": [],
    }
    assert (rows["rs00"]["recipe_id"], rows["rs00"]["missing"]) == (None, ["micro_batch"])
    assert rows["efficientnet"]["by_model"] == ["train_size", "test_size", "dropout"]


def test_a_complete_recipe_is_described_with_its_id_and_one_with_gaps_without() -> None:
    answer = document(describe("a2"))
    assert list(answer) == ["name", "title", "values", "missing", "recipe_id", "sources", "models", "differences"]
    assert answer["recipe_id"] == load_recipe("a2").recipe_id
    assert answer["values"]["betas"] == [0.9, 0.999]
    assert answer["sources"]["epochs"] == load_recipe("a2").sources["epochs"]
    gaps = document(describe("rs03"))
    assert (gaps["recipe_id"], gaps["values"]["micro_batch"]) == (None, "missing")
    assert (
        gaps["sources"]["micro_batch"] == gaps["missing"]["micro_batch"] == read_recipe("rs03").missing["micro_batch"]
    )


def test_a_recipe_is_described_as_scaled_and_says_what_each_value_was() -> None:
    answer = describe("a2", data=info("shapes"))
    assert (answer.values["epochs"], answer.sources["epochs"]) == (12, "scaled to shapes from 300")
    assert answer.recipe_id not in (None, load_recipe("a2").recipe_id)
    with pytest.raises(RecipeError, match="no micro_batch"):
        describe("rs03", data=info("shapes"))


def test_differences_of_two_and_of_several() -> None:
    two = differences(["a1", "a2"])
    assert document(two)["differences"][0] == {"key": "epochs", "a": 600, "b": 300}
    assert (document(two)["a"], document(two)["b"]) == ("a1", "a2")
    assert two.updates == (600 * 625, 300 * 625)
    three = document(differences(["a1", "a2", "a3"]))
    assert three["recipes"] == ["a1", "a2", "a3"]
    assert three["differences"][0] == {"key": "epochs", "values": [600, 300, 100]}
    assert differences(["a2", "a2"]).differences == {}
    assert len(differences(["a2", "a2"], everything=True).differences) == len(load_recipe("a2").values())
    assert differences(["a1", "a2"], data=info("shapes")).updates is None
    with pytest.raises(RecipeError, match="needs two recipes or more"):
        differences(["a1"])


def test_networks_have_their_sizes_and_what_else_differs() -> None:
    rows = document(networks(["efficientnet"]))["models"]
    assert [row["model"] for row in rows] == [f"efficientnet_b{i}" for i in range(8)]
    assert (rows[7]["train_size"], rows[7]["values"]) == (600, {"dropout": 0.5})
    assert len(networks().models) == sum(len(read_recipe(name).models) for name in packaged_names())
