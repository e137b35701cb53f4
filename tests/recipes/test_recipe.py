from __future__ import annotations

import dataclasses

from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.recipe import KEYS, OPTIONAL, TABLE_2, upgraded
from tests.recipes import key_table


def test_recipe_id_follows_values_not_words() -> None:
    a2 = load_recipe("a2")
    assert dataclasses.replace(a2, title="another title", sources={}).recipe_id == a2.recipe_id
    assert with_values(a2, ["lr=0.0051"]).recipe_id != a2.recipe_id
    assert a2.recipe_id.startswith("a2-")


def test_documented_keys_are_the_declared_ones() -> None:
    _, documented, _ = key_table.parts()
    assert documented == key_table.table(), "python -m tests.recipes.key_table rewrites the table"


def test_every_key_says_what_it_means_and_a_later_one_what_was_before() -> None:
    values = load_recipe("a2").values()
    assert all(key.meaning.endswith(".") for key in KEYS.values())
    later = [name for name, key in KEYS.items() if key.since > 1]
    assert len(later) == 14 + len(OPTIONAL)
    old = {name: value for name, value in values.items() if name not in {*later, "decay_norm", "decay_bias"}}
    assert upgraded({**old, "decay_bias_and_norm": True}).keys() == values.keys()
    assert upgraded({**old, "decay_bias_and_norm": True})["decay_norm"] is True
    assert upgraded(old)["ema_every"] == 1


def test_the_rows_of_table_2_are_in_the_order_of_the_paper() -> None:
    assert list(TABLE_2.values())[:5] == ["train res", "test res", "epochs", "# of forward pass", "batch size"]
    assert len(TABLE_2) == 27
    assert TABLE_2.keys() - KEYS.keys() == {"updates"}
