"""Studies keep their promise: question, rule, frames that commands read, and pages with the frames' numbers."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedstudy as ss
from studies import findings
from studies.resnet_rs_scaling import small, speed
from studies.rsb_recipes import reading as rsb_recipes
from studies.short_and_long import reading as short_and_long

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(
    path for path in (ROOT / "studies").iterdir() if path.is_dir() and path.name not in ("calibration", "__pycache__")
)
FRAMES = sorted((ROOT / "studies").glob("*/trials.csv"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_folder_has_a_question_a_page_and_a_study_that_loads(folder: Path) -> None:
    assert (folder / "README.md").stat().st_size > 200
    files = [file for file in sorted(folder.glob("*.toml")) if "question = " in file.read_text(encoding="utf-8")]
    assert files  # the others are recipes
    assert all(ss.load_study(file).question for file in files)


def _lengths(frame: Path) -> str | None:
    """Return the column that tells trainings of one recipe apart, where there are several."""
    table = pl.read_csv(frame)
    if "epochs" not in table.columns:
        return None
    return "epochs" if table.group_by("recipe").agg(pl.col("epochs").n_unique())["epochs"].max() != 1 else None


@pytest.mark.parametrize("frame", FRAMES, ids=lambda path: path.parent.name)
def test_a_frame_of_counts_is_read_by_the_commands(frame: Path) -> None:
    answers = ss.summary(frame, by=_lengths(frame))
    assert {answer.to_dict()["eval_set"] for answer in answers} >= {"val"}
    assert sum(answer.to_dict()["n"] for answer in answers) > 10


def test_trials_that_share_streams_are_read_from_their_table() -> None:
    cells = ROOT / "studies" / "variance_sources" / "cells.csv"
    designs = ss.variance(pl.read_csv(cells), "a3", eval_sets="val").designs
    (answer,) = (each for each in designs if each.total is not None)
    page = (cells.parent / "README.md").read_text(encoding="utf-8")
    for part in answer.parts:
        std = f"{part.std.value:.2f} [{part.std.low:.2f}, {part.std.high:.2f}]"
        assert f"| {' x '.join(part.sources)} | {std} |" in page


@pytest.mark.parametrize("frame", FRAMES, ids=lambda path: path.parent.name)
def test_recipes_of_a_frame_are_compared(frame: Path) -> None:
    recipes = pl.read_csv(frame)["recipe"].unique().sort().to_list()
    if len(recipes) == 1:
        seeds = ss.summary(frame, by=_lengths(frame), eval_sets="val")[0].group.values
        half = seeds.size // 2
        assert ss.compare(first=list(seeds[:half]), second=list(seeds[half:]))[0].comparison.n_a == half
        return
    for model in pl.read_csv(frame)["model"].unique().sort():
        arms = (f"{frame}:recipe={recipe}" for recipe in recipes)
        answer = ss.compare(*arms, model=model, eval_sets="val", margin=1.0)
        assert [each.b.recipe for each in answer] == recipes[1:]


def test_the_equivalence_study_is_compared_from_its_frame() -> None:
    frame = ROOT / "studies" / "fast_path_equivalence" / "results.csv"
    page = (frame.parent / "README.md").read_text()
    (answer,) = ss.compare(f"{frame}:recipe=pil", f"{frame}:recipe=stacked", eval_sets="val", margin=0.5)
    d = answer.to_dict()
    assert d["verdict"] == "equivalent"
    assert f"| {d['difference']:.2f} | [{d['ci'][0]:.2f}, {d['ci'][1]:.2f}]" in page


def test_the_page_of_findings_is_what_the_frames_say() -> None:
    assert (ROOT / "docs" / "findings.md").read_text(encoding="utf-8") == findings.page()


def test_readmes_have_the_numbers_of_the_frames() -> None:
    rows = findings.seed_table("a2_100_seeds")
    page = (ROOT / "studies" / "a2_100_seeds" / "README.md").read_text(encoding="utf-8")
    assert len(rows) == 3
    assert all(row in page for row in rows)
    val = findings.accuracies("a2_100_seeds")["val"]
    why = (ROOT / "docs" / "why.md").read_text(encoding="utf-8").replace("\n", " ")
    assert f"from {val.min():.2f} to {val.max():.2f} %; seed 0 is {val[0]:.2f}, the best seed {val.max():.2f}" in why
    assert f"The mean is {val.mean():.2f} and the standard deviation {val.std(ddof=1):.2f} points" in why
    assert f"The best seed is {val.max() - val.mean():.1f} points above the mean" in why


def _in_one_line(page: Path) -> str:
    return " ".join(page.read_text(encoding="utf-8").split())


def test_the_page_of_recipes_and_architectures_has_the_numbers_of_its_frame() -> None:
    found = rsb_recipes.read()
    assert found is not None
    page = _in_one_line(ROOT / "studies" / "rsb_recipes" / "README.md")
    assert all(sentence in page for sentence in rsb_recipes.sentences(found))
    assert f"*Interaction:* {found.verdict}." in page
    assert all(pair.difference > 0 and pair.p_adjusted < 0.05 for pair in found.order)  # "All twelve are decided"
    assert all(set(found.best(model)) == {"a1", "torchvision2"} for model in rsb_recipes.ARCHITECTURES)


def test_recipes_are_not_read_before_every_cell_has_its_seeds(tmp_path: Path) -> None:
    frame = pl.read_csv(ROOT / "studies" / "rsb_recipes" / "trials.csv")
    frame.filter(pl.col("seed") < 7).write_csv(tmp_path / "trials.csv")
    assert rsb_recipes.read(tmp_path / "trials.csv") is None


def test_recipes_that_change_places_with_the_architecture_are_seen(tmp_path: Path) -> None:
    frame = pl.read_csv(ROOT / "studies" / "rsb_recipes" / "trials.csv")
    is_swapped = (pl.col("model") == "resnet_d8_w1_s2") & pl.col("recipe").is_in(["a1", "a3"])
    other = pl.when(pl.col("recipe") == "a1").then(pl.lit("a3")).otherwise(pl.lit("a1"))
    frame.with_columns(recipe=pl.when(is_swapped).then(other).otherwise("recipe")).write_csv(tmp_path / "trials.csv")
    found = rsb_recipes.read(tmp_path / "trials.csv")
    assert found is not None
    assert found.verdict == "supported"
    assert ("a1", "a3") in found.opposite


def test_the_page_of_short_and_long_trainings_has_the_numbers_of_its_frames() -> None:
    found = short_and_long.read()
    assert found is not None
    page = _in_one_line(ROOT / "studies" / "short_and_long" / "README.md")
    assert all(row in page for row in short_and_long.table(found))
    assert all(sentence in page for sentence in short_and_long.sentences(found))
    assert f"from 1 to {found.lengths[-1].epochs} epochs: {found.falls} (" in page
    assert f"*The distribution-wise std:* {found.falls_beyond} (" in page
    assert f"{found.lengths[0].values.size * len(found.lengths)} trials" in page


@pytest.mark.parametrize(("factor", "word"), [(0.3, "supported"), (10.0, "not supported")])
def test_a_spread_that_changes_with_the_length_is_seen(tmp_path: Path, factor: float, word: str) -> None:
    folder = tmp_path / "short_and_long"
    shutil.copytree(ROOT / "studies" / "short_and_long", folder)
    frame, images = pl.read_csv(folder / "trials.csv"), pl.read_csv(folder / "images.csv")
    is_longest = pl.col("epochs") == pl.col("epochs").max()
    middle = pl.col("n_correct").mean().over("epochs", "eval_set")
    moved = (middle + factor * (pl.col("n_correct") - middle)).round().cast(pl.Int64)
    frame = frame.with_columns(n_correct=pl.when(is_longest).then(moved).otherwise("n_correct"))
    frame.write_csv(folder / "trials.csv")
    std = pl.when(is_longest).then(factor * pl.col("endless_std")).otherwise("endless_std")
    images.with_columns(endless_std=std, low=0.9 * std, high=1.1 * std).write_csv(folder / "images.csv")
    found = short_and_long.read(folder)
    assert found is not None
    assert (found.falls, found.falls_beyond) == (word, word)


def test_the_page_of_scaling_has_the_numbers_of_its_frames() -> None:
    found, times = small.read(), speed.read()
    assert found is not None
    assert times is not None
    page = _in_one_line(ROOT / "studies" / "resnet_rs_scaling" / "README.md")
    assert all(sentence in page for sentence in small.sentences(found).values())
    assert all(f"{verdict} ({text})" in page for verdict, text in small.cost_sentences().values())
    assert all(sentence in page for sentence in speed.sentences(times))
    assert all(row in page for row in speed.table(times))
    assert f"*Faster at equal accuracy:* {times.faster} (" in page
    assert f"width better: {found.widths_and_depths[small.SHORT]} (" in page
    assert f"depth better: {found.widths_and_depths[small.LONG]} (" in page


def invented_cells(folder: Path, *, depth: float, width: float, size: float) -> Path:
    """Write cells whose error falls by so many points per doubling of the cost."""
    table = pl.read_csv(ROOT / "studies" / "resnet_rs_scaling" / "cells.csv")
    at = {"depth": pl.col("depth").cast(pl.Float64) - 2, "width": pl.col("width") ** 2, "size": pl.col("size") ** 2}
    doublings = {name: (value / value.min()).log(2) for name, value in at.items()}
    fall = depth * doublings["depth"] + width * doublings["width"] + size * doublings["size"]
    noise = pl.Series(np.random.default_rng(1).normal(0.0, 0.2, len(table)))
    macs = (2e5 * 2 ** (doublings["depth"] + doublings["width"] + doublings["size"])).round()
    table.with_columns(top1=(20 + fall + noise).round(2), macs=macs).write_csv(folder / "cells.csv")
    return folder / "cells.csv"


def test_slopes_that_are_known_are_found(tmp_path: Path) -> None:
    found = small.read(invented_cells(tmp_path, depth=2.0, width=1.0, size=0.5))
    assert found is not None
    assert set(found.lengths) == {3, 10, 30}
    for length in found.lengths.values():
        slopes = {name: -slope.value for name, slope in length.slopes.items()}
        assert slopes == pytest.approx({"depth": 2.0, "width": 1.0, "size": 0.5}, abs=0.2)
        assert length.depth_minus_width.low < -1.0 < length.depth_minus_width.high
    assert found.widths_and_depths == {small.SHORT: "not supported", small.LONG: "supported"}
    assert found.resolution is not None
    assert small.diminishes(found.resolution) == "undecided"  # it brings the same at every size
    assert found.agreement is not None
    assert small.agrees(found.agreement) == "not supported"  # the order is the same after 3 and after 30 epochs


def test_a_length_without_its_cells_does_not_count(tmp_path: Path) -> None:
    table = pl.read_csv(ROOT / "studies" / "resnet_rs_scaling" / "cells.csv")
    is_left = (pl.col("epochs") == small.LONG) & (pl.col("size") == 32)
    table.filter(~is_left).write_csv(tmp_path / "cells.csv")
    found = small.read(tmp_path / "cells.csv")
    assert found is not None
    assert set(found.lengths) == {3, 10}
    assert found.resolution is None
    assert found.agreement is None


def test_networks_that_are_twice_as_fast_are_found_twice_as_fast(tmp_path: Path) -> None:
    folder = ROOT / "studies" / "resnet_rs_scaling"
    for name in ("families.csv", "memory.csv"):
        shutil.copy(folder / name, tmp_path)
    families = pl.read_csv(folder / "families.csv")
    speed_up = pl.when(pl.col("family") == "resnet_rs").then(0.5).otherwise(1.0)
    seconds = families.select("model", "size", cpu_s=speed_up * 0.01 * 2 ** (pl.col("top1") - 75))  # one law for both
    rounds = [seconds.with_columns(round=pl.lit(number)) for number in (0, 1)]
    pl.concat(rounds).write_csv(tmp_path / "cpu.csv")
    found = speed.read(tmp_path)
    assert found is not None
    assert found.ratios == pytest.approx(2.0)
    assert (found.faster, found.as_published) == ("supported", "supported")


def test_the_time_of_make_studies_is_the_sum_of_the_trials() -> None:
    said = f"bout {round(findings.hours_of_training())} hours of one process"
    assert said in _in_one_line(ROOT / "Makefile")
    assert said in _in_one_line(ROOT / "studies" / "README.md")


def test_the_first_picture_has_the_numbers_of_mlperf() -> None:
    folder = ROOT / "studies" / "mlperf_resnet50"
    (group,) = pl.read_csv(folder / "groups.csv").sort("n").tail(1).to_dicts()
    facts = dict(pl.read_csv(folder / "facts.csv").select("fact", "value").iter_rows())
    pairs = facts["pairs_that_differ_by_more_than_0.2"]
    span = (
        f"from {group['min']:.2f} to {group['max']:.2f} %; {100 * pairs:.0f} % of pairs differ by more than 0.2 points"
    )
    for page in ("README.md", "docs/index.md"):
        assert f"{group['n']} trainings" in (text := (ROOT / page).read_text(encoding="utf-8")), page
        assert span in text, page


def test_a_changed_frame_changes_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [finding.result for finding in findings.spread("a2_100_seeds", "A2")], findings.seed_table("a2_100_seeds")
    shutil.copytree(ROOT / "studies" / "a2_100_seeds", tmp_path / "a2_100_seeds")
    frame = tmp_path / "a2_100_seeds" / "trials.csv"
    text = frame.read_text()
    assert "val,4206,5000" in text
    frame.write_text(text.replace("val,4206,5000", "val,4506,5000", 1))
    monkeypatch.setattr(findings, "HERE", tmp_path)
    findings.clear()
    try:
        after = (
            [finding.result for finding in findings.spread("a2_100_seeds", "A2")],
            findings.seed_table("a2_100_seeds"),
        )
    finally:
        findings.clear()
    assert before[0][:4] != after[0][:4]
    assert before[1][0] != after[1][0]
    assert before[1][1:] == after[1][1:]


def _reading_commands() -> list[str]:
    """Return the commands of the studies' pages that read what is kept in `studies/` and train nothing."""
    pages = [re.sub(r"\\\n +", "", page.read_text()) for page in sorted((ROOT / "studies").glob("**/README.md"))]
    lines = [line for page in pages for line in page.splitlines()]
    commands = [line.strip() for line in lines if line.startswith("    seedstudy ")]
    return [
        each
        for each in commands
        if "studies/" in each and not each.startswith(("seedstudy run ", "seedstudy pseudolabel "))
    ]


@pytest.mark.parametrize("command", _reading_commands())
def test_the_commands_that_show_the_numbers_run(
    command: str, cli: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    code, out, err = cli(*shlex.split(command)[1:])
    assert code == 0, err
    assert out


def test_every_study_is_listed_with_its_answer() -> None:
    index = (ROOT / "studies" / "README.md").read_text(encoding="utf-8")
    for folder in FOLDERS:
        assert f"[{folder.name}]({folder.name}/README.md)" in index
        page = (folder / "README.md").read_text(encoding="utf-8")
        assert page.index("**Answer.**") < page.index("**Question") < page.index("Rule")
