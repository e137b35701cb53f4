"""Looks that a study remembers, and the command that looks again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.stats.looks import error_of_looks
from seedstudy.store.store import Store

Cli = Callable[..., tuple[int, str, str]]


def write_seeds(n: int, shift: float = 0.1) -> None:
    """Import the first n seeds of two recipes into study main; more seeds are further ones of the same recipes."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(79, 0.3, 40), rng.normal(79 + shift, 0.3, 40)
    rows = [f"{name},{seed},{value:.3f}" for name, arm in (("a3", a), ("a2", b)) for seed, value in enumerate(arm[:n])]
    Path("seeds.csv").write_text("recipe,seed,top1\n" + "\n".join(rows) + "\n")
    shutil.rmtree("results/main/imported", ignore_errors=True)
    ss.import_files("seeds.csv", model="net", data="mine", n_examples=100_000)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_second_look_says_so_and_the_same_numbers_are_no_look() -> None:
    write_seeds(4)
    first = ss.compare("a3", "a2")[0]
    assert first.looks is None
    assert ss.compare("a3", "a2")[0].looks is None
    assert ss.compare("a2", "a3", margin=0.5)[0].looks is None
    write_seeds(7)
    second = ss.compare("a3", "a2")[0]
    assert second.looks is not None
    assert (second.looks.n, second.looks.verdicts) == (((4, 4),), (first.verdict.word,))
    assert second.looks.error == error_of_looks(((4, 4), (7, 7)), 0.05) > 0.05
    turned = ss.compare("a2", "a3")[0].looks
    assert turned is not None
    assert (turned.n, turned.anytime.low) == (second.looks.n, pytest.approx(-second.looks.anytime.high))
    write_seeds(12)
    third = ss.compare("a3", "a2")[0]
    assert third.looks is not None
    assert third.looks.n == ((4, 4), (7, 7))
    entry = third.to_dict()
    assert [look["n_a"] for look in entry["looks"]] == [4, 7]
    assert entry["ci_anytime"][0] < entry["ci"][0] < entry["ci"][1] < entry["ci_anytime"][1]
    write_seeds(7)
    again = ss.compare("a3", "a2")[0].looks
    assert again is not None
    assert again.n == ((4, 4),), "what was seen later with more seeds is no earlier look"


def test_the_second_look_is_shown(cli: Cli) -> None:
    write_seeds(4)
    assert "look 2" not in cli("compare", "a3", "a2")[1]
    write_seeds(9)
    short = " ".join(cli("compare", "a3", "a2")[1].split())
    out = " ".join(cli("compare", "a3", "a2", "--details")[1].split())
    error = error_of_looks(((4, 4), (9, 9)), 0.05)
    assert f"val: look 2 at this question; so many looks at p < 0.05 err in {100 * error:.2g} of 100 cases" in short
    assert "val: look 2, after 4 seeds (inconclusive, 20" in out
    assert f"would show a difference in {100 * error:.2g} of 100 cases, not 5" in out
    assert "95% CI that holds at every look: [" in out


def test_frames_files_and_other_recipes_are_not_remembered() -> None:
    write_seeds(4)
    ss.compare(ss.load_trials("results/main"), "a3", "a2")
    ss.compare("seeds.csv:a3", "seeds.csv:a2")
    assert not Path("results/main/looks").exists()


def test_a_comparison_never_fails_for_its_memory() -> None:
    write_seeds(4)
    folder = Path("results/main/looks")
    ss.compare("a3", "a2")
    (record,) = folder.glob("*.json")
    write_seeds(6)
    for content in ("", "{", "[]", json.dumps({"format": 99, "looks": []}), json.dumps({"format": 1, "looks": [3]})):
        record.write_text(content)
        assert ss.compare("a3", "a2")[0].looks is None
        for other in set(folder.glob("*.json")) - {record}:
            other.unlink()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    assert ss.compare("a3", "a2")[0].verdict.word
    folder.unlink()
    Path("elsewhere").mkdir()
    folder.symlink_to(Path("elsewhere").resolve())
    assert ss.compare("a3", "a2")[0].verdict.word
    assert not list(Path("elsewhere").iterdir()), "no link is followed"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_study_that_cannot_be_written_is_compared() -> None:
    write_seeds(4)
    root = Path("results/main")
    root.chmod(0o555)
    try:
        assert ss.compare("a3", "a2")[0].verdict.word
    finally:
        root.chmod(0o755)


def test_the_race_command_runs_as_it_is_printed(cli: Cli) -> None:
    write_seeds(5, shift=0.0)
    for arguments in (
        ["a3", "a2", "--margin", "0.2"],
        ["a3", "a2"],
        ["seeds.csv:a3", "seeds.csv:a2", "--alpha", "0.01"],
    ):
        answer = json.loads(cli("compare", *arguments, "--json")[1])
        command = shlex.split(answer["race"])
        assert command[0] == "seedstudy"
        code, out, err = cli(*command[1:], "--json")
        assert code == 0, err
        race = json.loads(out)
        assert race["comparisons"][0]["verdict"] == "inconclusive"
        printed = cli("compare", *arguments)[1].replace("\\\n", "")  # the shell joins such lines
        assert command in [shlex.split(line) for line in printed.splitlines() if line.startswith("  seedstudy")]
    assert "--max-seeds" in command


def test_there_is_no_race_where_none_can_be_run(make_store: Callable[..., Store]) -> None:
    assert ss.compare("79.50±0.10 n=3", "79.52±0.10 n=3").race is None
    assert ss.compare([78.01, 78.12, 78.3], [78.03, 78.11, 78.2]).race is None
    make_store(n_seeds=6, a3=0.5, a2=0.9)
    assert ss.compare("a3", "a2").race is None, "it is settled"
