from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.errors import SeedstudyError

Cli = Callable[..., tuple[int, str, str]]


def study(models: dict[str, float], recipes: dict[str, float], *, data: str = "mine", n: int = 5, seed: int = 1) -> str:
    rng = np.random.default_rng(seed)
    lines = ["recipe,model,data,seed,n_correct,n_examples"]
    for model, at in models.items():
        for recipe, more in recipes.items():
            drawn = np.round(10_000 * (at + more) + rng.normal(0, 20, n)).astype(int)
            lines += [f"{recipe},{model},{data},{trial},{count},10000" for trial, count in enumerate(drawn)]
    return "\n".join(lines) + "\n"


def test_architecture_recipe_and_seed_noise_are_read_from_one_table(cli: Cli) -> None:
    Path("g.csv").write_text(study({"r18": 0.70, "r50": 0.78}, {"a3": 0.0, "a2": 0.016}))
    assert cli("import", "g.csv")[0] == 0
    code, out, err = cli("compare", "--grid")
    assert code == 0, err
    for word in ("architecture difference", "recipe difference", "interaction difference", "seed noise"):
        assert word in out
    (grid,) = json.loads(cli("compare", "--grid", "--json")[1])["grids"]
    sizes = {source["source"]: source["size"] for source in grid["sources"]}
    # Half the distance of two levels is the root mean square: 4 and 0.8 points; seeds scatter by 0.2.
    assert sizes["architecture"] == pytest.approx(4.0, abs=0.15)
    assert sizes["recipe"] == pytest.approx(0.8, abs=0.15)
    assert grid["seed_noise"]["std"] == pytest.approx(0.2, abs=0.1)
    by_factor = {found["factor"]: found for found in grid["differences"]}
    assert (by_factor["recipe"]["a"], by_factor["recipe"]["b"]) == ("a2", "a3")
    assert by_factor["recipe"]["difference"] == pytest.approx(-1.6, abs=0.2)
    (answer,) = ss.grid(ss.load_trials("results/main"), "a2", "a3")
    assert answer.to_dict() == grid


def test_several_data_sets_are_compared_one_by_one_and_pooled(cli: Cli) -> None:
    for k, data in enumerate(("d1", "d2", "d3", "d4")):
        Path(f"{data}.csv").write_text(study({"net": 0.7 + k / 20}, {"a3": 0.0, "a2": 0.02}, data=data, seed=k))
        assert cli("import", f"{data}.csv")[0] == 0
    code, out, err = cli("compare", "a3", "a2", "--json")
    assert (code, [entry["data"] for entry in json.loads(out)["comparisons"]]) == (0, ["d1", "d2", "d3", "d4"])
    code, out, err = cli("compare", "a3", "a2", "--across-data")
    assert code == 0, err
    text = " ".join(out.split())
    assert "4 data sets: the true difference varies between data sets with a std of" in text
    assert text.index("on one more such data set") < text.index("Mean over these data sets +2.0")
    assert "without one of them between +" in text
    document = json.loads(cli("compare", "a3", "a2", "--across-data", "--json")[1])
    assert [entry["data"] for entry in document["comparisons"]] == ["d1", "d2", "d3", "d4"]
    assert {entry["family_size"] for entry in document["comparisons"]} == {4}
    (pooled,) = document["across_data"]
    assert pooled["difference"] == pytest.approx(2.0, abs=0.1)
    assert [entry["without"] for entry in pooled["leave_one_out"]] == ["d1", "d2", "d3", "d4"]
    assert pooled["tau_ci"][0] <= pooled["tau"] <= pooled["tau_ci"][1]
    assert pooled["new_data_set"][0] < pooled["ci"][0] < pooled["ci"][1] < pooled["new_data_set"][1]
    assert "mean rank over 4 data sets (1 is best): a2 1, a3 2" in out
    (ranks,) = document["ranks"]
    assert ranks["mean_ranks"] == {"a3": 2.0, "a2": 1.0}
    (pair,) = ranks["pairs"]
    assert (pair["a"], pair["b"], pair["p_value"], ranks["floor"]) == ("a3", "a2", 0.125, 0.125)
    assert pair["median_difference"] == pytest.approx(2.0, abs=0.1)
    assert "smallest attainable p of Wilcoxon" in out


@pytest.mark.slow
def test_several_recipes_are_ranked_over_the_data_sets_that_all_of_them_have(cli: Cli) -> None:
    from scipy import stats

    recipes = {"a3": 0.0, "a2": 0.02, "a1": 0.004}
    for k in range(7):
        text = study({"net": 0.7 + k / 40}, recipes, data=f"d{k}", seed=k)
        if k == 6:  # no a1 there
            text = "\n".join(line for line in text.splitlines() if not line.startswith("a1,"))
        Path(f"d{k}.csv").write_text(text)
        assert cli("import", f"d{k}.csv")[0] == 0
    code, out, err = cli("compare", "a3", "a2", "a1", "--across-data", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert [(entry["b"], entry["a"]) for entry in document["across_data"]] == [("a2", "a3"), ("a1", "a3")]
    assert len(document["comparisons"]) == 2 * 6
    means: dict[str, list[float]] = {}
    for entry in document["comparisons"]:
        means.setdefault(entry["b"].split("@")[0], []).append(entry["mean_b"])
        if entry["b"].startswith("a2"):
            means.setdefault("a3", []).append(entry["mean_a"])
    (ranks,) = document["ranks"]
    assert ranks["data"] == [f"d{k}" for k in range(6)]
    pairs = {(pair["a"], pair["b"]): pair for pair in ranks["pairs"]}
    assert set(pairs) == {("a3", "a2"), ("a3", "a1"), ("a2", "a1")}
    for (a, b), pair in pairs.items():
        gaps = np.subtract(means[b], means[a])
        assert pair["p_value"] == pytest.approx(stats.wilcoxon(gaps).pvalue)
        assert pair["median_difference"] == pytest.approx(np.median(gaps))
    rows = np.array([means[recipe] for recipe in ("a3", "a2", "a1")])
    expected = stats.rankdata(-rows, axis=0).mean(axis=1)
    assert list(ranks["mean_ranks"].values()) == pytest.approx(expected)
    assert "read them one by one" not in cli("compare", "a3", "a2", "a1", "--across-data")[1]
    code, _, err = cli("compare", "a3", "a2", "a2", "--across-data")
    assert (code, "a2@net is named twice" in err) == (2, True)


def test_two_data_sets_are_neither_pooled_nor_ranked(cli: Cli) -> None:
    for k in range(2):
        Path(f"d{k}.csv").write_text(study({"net": 0.7}, {"a3": 0.0, "a2": 0.02}, data=f"d{k}", seed=k))
        assert cli("import", f"d{k}.csv")[0] == 0
    out = cli("compare", "a3", "a2", "--across-data")[1]
    assert "fewer than three cannot be pooled; read them one by one" in " ".join(out.split())
    assert "mean rank" not in out


def test_one_recipe_of_two_studies_is_called_by_its_study(cli: Cli) -> None:
    for k, name in enumerate(("old", "new")):
        Path("g.csv").write_text(study({"net": 0.7 + k / 50}, {"a2": 0.0}, seed=k))
        assert cli("import", "g.csv", "--study", name)[0] == 0
    code, out, err = cli("compare", "old:a2", "new:a2", "--json")
    assert code == 0, err
    (entry,) = json.loads(out)["comparisons"]
    assert (entry["a"], entry["b"]) == ("old:a2@net", "new:a2@net")
    assert entry["difference"] == pytest.approx(2.0, abs=0.3)
    assert "new:a2 is BETTER than old:a2 on val: " in cli("compare", "old:a2", "new:a2")[1]
    # One study alone needs no such name.
    Path("g.csv").write_text(study({"net": 0.7}, {"a3": 0.0}))
    assert cli("import", "g.csv", "--study", "old")[0] == 0
    assert "INCONCLUSIVE on val: a3 - a2 = " in cli("compare", "old:a2", "old:a3")[1]


def test_status_of_imported_trials_says_where_they_are(cli: Cli) -> None:
    Path("g.csv").write_text(study({"net": 0.7}, {"a3": 0.0, "a2": 0.0}, n=3))
    assert cli("import", "g.csv")[0] == 0
    assert cli("status")[1] == "6 imported trials, trained elsewhere: `seedstudy summary` shows them.\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--grid"], "at least 2 x 2 needed"),
        (["--grid", "one.csv"], "a grid needs the model"),
        (["--grid", "--paired"], "--grid is a table of its own"),
        (["a3", "a2", "--across-data"], "1 data sets in common"),
        (["a3", "a2", "a3", "--across-data"], "a3@net is named twice"),
        (["a3", "a2", "--across-data", "--paired"], "compares with A, unpaired"),
    ],
    ids=range(6),
)
def test_wrong_questions_are_one_line(arguments: list[str], expected: str, cli: Cli) -> None:
    Path("g.csv").write_text(study({"net": 0.7}, {"a3": 0.0, "a2": 0.02}))
    Path("one.csv").write_text("top1\n79.6\n79.7\n")
    assert cli("import", "g.csv")[0] == 0
    code, out, err = cli("compare", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert expected in err


def test_a_missing_cell_is_named(cli: Cli) -> None:
    Path("g.csv").write_text(study({"net": 0.7}, {"a3": 0.0, "a2": 0.02}) + "a3,other,mine,0,7000,10000\n")
    assert cli("import", "g.csv")[0] == 0
    with pytest.raises(SeedstudyError, match="no seeds for a2@other"):
        ss.grid(ss.load_trials("results/main"))
