from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.document import document
from seedstudy.errors import StatisticsError, StudyError

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, rows: list[str], head: str) -> str:
    Path(name).write_text(head + "\n" + "\n".join(rows) + "\n")
    return name


def law(cost: float) -> float:
    return 90.0 - 20.0 * cost**-0.35


def test_a_law_that_holds_is_supported_inside_the_margin_and_undecided_without() -> None:
    rng = np.random.default_rng(2)
    rows = [f"{c:g},{s},{law(c) + rng.normal() / 10:.3f}" for c in 2.0 ** np.arange(9) for s in range(3)]
    write("law.csv", rows, "flops,seed,top1")
    (claim,) = ss.scaling("law.csv", margin=0.3).claims
    assert (claim.verdict, claim.claim) == ("supported", "error follows one power law of cost")
    (claim,) = ss.scaling("law.csv").claims
    assert claim.verdict == "undecided"
    assert "a margin would be needed" in claim.reason


def test_a_law_that_breaks_is_not_supported_and_the_place_is_named() -> None:
    rng = np.random.default_rng(2)
    costs = 2.0 ** np.arange(12)
    rows = [f"{c:g},{s},{law(c) - 3 * (c > 50) + rng.normal() / 10:.3f}" for c in costs for s in range(3)]
    answer = ss.scaling(write("broken.csv", rows, "macs,seed,top1"))
    assert answer.claims[0].verdict == "not supported"
    assert answer.laws[0].breaks_at == pytest.approx(np.sqrt(32 * 64))
    assert answer.laws[0].gap_above == pytest.approx(3.0, abs=0.5)
    assert "it breaks near 45.3" in answer.claims[0].reason


def test_strategies_of_a_column_are_compared_at_equal_cost() -> None:
    rng = np.random.default_rng(4)
    rows = [
        f"{family},{c:g},{s},{law(c) + gain + rng.normal() / 10:.3f}"
        for family, gain in (("plain", 0.0), ("new", 1.0))
        for c in 2.0 ** np.arange(6)
        for s in range(2)
    ]
    answer = ss.scaling(write("families.csv", rows, "family,gflops,seed,top1"), by="family")
    pair = answer.strategies[0]
    assert pair.comparison.difference.value == pytest.approx(-1.0, abs=0.15)
    words = {claim.claim: claim.verdict for claim in answer.claims}
    assert words["at equal cost, new has a smaller error than plain"] == "supported"
    equal = ss.scaling("families.csv", by="family", margin=5.0)
    assert equal.claims[-1].verdict == "not supported"
    assert "equal within the margin" in equal.claims[-1].reason


def test_what_is_scaled_alone_is_a_strategy_and_lengths_of_training_are_read_apart() -> None:
    rng = np.random.default_rng(6)
    grid = [(d, w, e) for e in (5, 50) for d in (8, 14, 20, 26) for w in (1, 2, 4)]
    rows = [
        f"{d},{w},{e},{s},{d * w * w},{60 + e / 5 + 3 * np.log(d) + 2 * np.log(w) + rng.normal() / 10:.3f}"
        for d, w, e in grid
        for s in range(2)
    ]
    answer = ss.scaling(write("grid.csv", rows, "depth,width,epochs,seed,flops,top1"))
    assert [(pair.a, pair.b) for pair in answer.strategies] == [
        ("only depth (5 epochs)", "only width (5 epochs)"),
        ("only depth (50 epochs)", "only width (50 epochs)"),
    ]
    assert all(pair.comparison.difference.value > 0 for pair in answer.strategies)  # width pays less for its cost
    assert [(each.shorter, each.longer, each.agreement.n) for each in answer.ranks] == [(5.0, 50.0, 12)]
    assert answer.ranks[0].agreement.value > 0.9
    assert len(answer.cells) == len(grid)


def test_single_runs_need_a_std_and_a_table_a_cost() -> None:
    write("single.csv", [f"{2**i},{law(2.0**i):.2f}" for i in range(8)], "flops,top1")
    with pytest.raises(StudyError, match="the noise is not known: give --sd"):
        ss.scaling("single.csv")
    assert ss.scaling("single.csv", sd=0.1).noise.sd == 0.1
    with pytest.raises(StatisticsError, match="a standard deviation over seeds is a positive number"):
        ss.scaling("single.csv", sd=-1.0)
    write("none.csv", ["one,70", "two,71"], "name,top1")
    with pytest.raises(StudyError, match="no column holds the cost"):
        ss.scaling("none.csv", sd=0.1)
    with pytest.raises(StudyError, match='no column "wat"'):
        ss.scaling("single.csv", sd=0.1, cost="wat")


def test_the_best_column_is_not_guessed_and_percent_and_fractions_are_told_apart() -> None:
    rows = [f"{2**i},{law(2.0**i) / 100:.4f},{law(2.0**i) / 100:.4f}" for i in range(8)]
    write("two.csv", rows, "flops,top1_a,top1_b")
    with pytest.raises(StudyError, match="--metric top1_a or top1_b"):
        ss.scaling("two.csv", sd=0.1)
    with pytest.raises(StatisticsError, match="percent or fraction"):
        ss.scaling("two.csv", sd=0.1, metric="top1_a")
    answer = ss.scaling("two.csv", sd=0.1, metric="top1_a", unit="fraction")
    assert answer.cells[0].error == pytest.approx(100 - law(1.0), abs=0.01)


def test_a_loss_is_an_error_as_it_is() -> None:
    rows = [f"{2**i},{s},{1 + 2.0 ** (-i / 3) + s / 100:.4f}" for i in range(8) for s in range(2)]
    answer = ss.scaling(write("loss.csv", rows, "flops,seed,val_loss"), metric="val_loss")
    assert (answer.unit, answer.cells[0].error) == (None, pytest.approx(2.005))


def test_the_command_prints_verdicts_first_and_a_document(cli: Cli) -> None:
    rows = [f"{2**i},{s},{law(2.0**i) + s / 10:.2f}" for i in range(8) for s in range(2)]
    write("law.csv", rows, "flops,seed,top1")
    code, out, _ = cli("scaling", "law.csv", "--margin", "0.5", "--save", "law.png")
    assert code == 0
    assert "error follows one power law of cost: SUPPORTED" in out.replace("\n", " ")
    assert max(map(len, out.splitlines())) <= 80
    assert Path("law.png").stat().st_size > 5000
    found = json.loads(cli("scaling", "law.csv", "--margin", "0.5", "--json")[1])
    assert found == json.loads(json.dumps(document(ss.scaling("law.csv", margin=0.5))))
    assert found["laws"][0]["exponent_ci"][0] < found["laws"][0]["exponent"] < found["laws"][0]["exponent_ci"][1]
    assert found["read"]["file"] == "law.csv"


def test_a_frame_is_read_as_a_file_is() -> None:
    frame = ss.example("families")
    frame.write_csv("families.csv")
    of_file, of_frame = (document(ss.scaling(x, cost="gmacs", by="family", sd=0.1)) for x in ("families.csv", frame))
    assert of_frame.pop("read") | {"file": "families.csv"} == of_file.pop("read")
    assert of_frame == of_file
    assert document(ss.scaling(frame.to_dicts(), cost="gmacs", sd=0.1))["cost"] == "gmacs"
    for wrong, words in (
        (frame.drop("gmacs", "model"), "the frame: no column holds the cost"),
        (frame.drop("top1"), 'the frame: no column "top1"'),
    ):
        with pytest.raises(StudyError, match=words):
            ss.scaling(wrong, sd=0.1)
    with pytest.raises(StudyError, match='"resnet_rs": all rows of a frame are read'):
        ss.scaling(frame, "resnet_rs", cost="gmacs", sd=0.1)


def test_a_cell_is_named_by_its_network() -> None:
    frame = ss.example("families")
    labels = [cell.label for cell in ss.scaling(frame, cost="gmacs", by="family", sd=0.1).cells]
    assert "resnetrs152, size 256" in labels
    assert "resnetrs200, size 256" in labels
    write("two.csv", [f"{m},{c},7{c}.1" for c in range(1, 7) for m in ("a", "b")], "model,flops,top1")
    assert {cell.label for cell in ss.scaling("two.csv", sd=0.1).cells} == {f"cost {c}" for c in range(1, 7)}


def test_sizes_are_in_english_and_intervals_are_named_where_there_are_any(cli: Cli) -> None:
    write("law.csv", [f"{c:g},0,{law(c) + (c > 8):.3f}" for c in 2.0 ** np.arange(9)], "flops,seed,top1")
    code, out, _ = cli("scaling", "law.csv", "--sd", "0.2")
    assert code == 0
    assert " 1 points" not in out
    table = out[out.index("\nlaw") :]
    head = table[: table.index("error = ")]
    assert ("intervals]" in table[: table.index("\ncell")]) == ("[" in head)
