from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import seedstudy as ss
from seedstudy.errors import SeedstudyError
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]
SWEEP = (79.7 + np.random.default_rng(5).normal(0, 0.1, 40)).tolist()


@pytest.mark.slow
def test_fit_gives_the_contracts_keys(cli: Cli, make_store: Callable[..., Store]) -> None:
    make_store(n_seeds=12, a2=0.8)
    code, out, err = cli("fit", "a2", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert set(document) >= {"n", "families", "normality", "groups"}
    assert set(document["families"][0]) >= {"name", "params", "aicc", "weight", "gof_p"}
    assert set(document["normality"][0]) == {"test", "statistic", "p_value"}
    assert [group["eval_set"] for group in document["groups"]] == ["val", "real"]
    assert document["step"] == pytest.approx(100 / 40)  # one image
    assert sum(family["weight"] for family in document["families"]) == pytest.approx(1.0)
    assert cli("fit", "a2", "--json") == (code, out, err)  # byte for byte


def test_fit_in_words(cli: Cli) -> None:
    Path("a2.txt").write_text("".join(f"{value}\n" for value in SWEEP))
    out = cli("fit", "a2.txt")[1]
    assert "Nothing speaks against normal seeds" in out
    assert "describes; no test is chosen by it" in " ".join(out.split())
    Path("few.txt").write_text("79.6\n79.7\n79.9\n")
    assert "3 seeds hardly show a shape; nothing speaks against" in cli("fit", "few.txt")[1]
    Path("odd.txt").write_text("".join(f"{value}\n" for value in [*SWEEP, 70.0]))
    assert "do not look normal" in cli("fit", "odd.txt")[1]
    Path("same.txt").write_text("79.6\n" * 4)
    assert "there is no shape to describe" in cli("fit", "same.txt")[1]


def test_places_of_seeds_know_the_direction_of_the_metric(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("seed,loss,acc\n0,0.1,79.1\n1,0.3,79.4\n2,0.2,79.3\n")
    assert ss.summary(path, metric="loss")[0].seed0_place == 1
    assert ss.summary(path, metric="acc")[0].seed0_place == 3


def test_an_interval_that_leaves_the_scale_is_remarked() -> None:
    assert any("leaves [0, 100]" in warning for warning in ss.summary([1.5, 40.0, 99.0])[0].warnings)
    assert not any("leaves [0, 100]" in warning for warning in ss.summary([79.1, 79.2, 79.4])[0].warnings)
    assert not any("leaves [0, 100]" in warning for warning in ss.summary([1.0, 400.0], metric="loss")[0].warnings)


def test_from_python_and_the_picture(tmp_path: Path) -> None:
    fits = ss.fit(SWEEP)
    assert len(fits) == 1
    assert fits[0].fit.n == 40
    figure = ss.plot_fits(fits)
    assert isinstance(figure, Figure)
    left, right = figure.axes
    assert len(left.patches) >= 3
    (points,) = [line for line in right.lines if line.get_marker() == "o"]
    assert sorted(SWEEP) == pytest.approx(points.get_ydata())
    ss.save_picture(figure, tmp_path / "fit.png")
    with pytest.raises(SeedstudyError, match="one recipe"):
        ss.fit(SWEEP, SWEEP)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["two.txt"], "at least 3 needed"),
        (["loss.csv", "--metric", "loss", "--n-examples", "10"], "is not an accuracy"),
        (["a.txt", "--n-examples", "7"], "is not a multiple of the step"),
        (["79.5±0.1 n=5"], "gives mean and std already"),
        (["a.txt", "--save", "x.doc"], "name ends in .png, .pdf or .svg"),
        (["a.txt", "--save", "nowhere/x.png"], "no such folder"),
    ],
    ids=range(6),
)
def test_wrong_fits_are_one_line(arguments: list[str], expected: str, cli: Cli) -> None:
    Path("two.txt").write_text("79.6\n79.7\n")
    Path("a.txt").write_text("79.6\n79.7\n79.8\n")
    Path("loss.csv").write_text("loss\n0.6\n0.7\n0.8\n")
    code, out, err = cli("fit", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert expected in err
