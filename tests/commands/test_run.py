"""`run --command` and `race --command` with real processes: every way in which a training of somebody may end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import seedstudy as ss
from seedstudy.errors import StudyError
from seedstudy.store.store import Store
from seedstudy.study.study import Study

Cli = Callable[..., tuple[int, str, str]]

COMMAND = f"{sys.executable} train.py --seed {{seed}} --output {{out}} --how {{how}}"
RESULT = "{out}/summary.csv"


@pytest.fixture(autouse=True)
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(Path(__file__).with_name("train.py"), tmp_path))


def study(tmp_path: Path, arms: dict[str, dict[str, object]], command: str = COMMAND, **more: object) -> Path:
    """Write a study file whose arms behave as they say."""
    keys = {"run": command, "result": RESULT, "metric": "eval_top1", **more}
    lines = ["format = 1", 'name = "main"', "[command]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
    for name, values in arms.items():
        lines += [f"[arms.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    path = tmp_path / "study.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(tmp_path: Path) -> pl.DataFrame:
    return Store(tmp_path / "results", "main").scan().trials


def reason(tmp_path: Path, arm: str) -> str:
    (text,) = rows(tmp_path).filter(pl.col("recipe") == arm)["reason"].unique()
    return str(text)


def test_two_arms_are_trained_summarised_and_compared(tmp_path: Path, cli: Cli) -> None:
    for arm in ("a2", "a3"):
        (tmp_path / f"{arm}.json").write_text(f'{{"lr": "{arm}"}}')
    command = f"{sys.executable} train.py --seed {{seed}} --output {{out}} --mean {{arm}}"
    line = ["run", "--command", command, "--arms", "80,78", "--seeds", "3", "--result", RESULT, "--metric", "eval_top1"]
    code, out, err = cli(*line)
    assert code == 0, err
    assert "[6/6]" in err
    assert "80 (n = 3): val eval_top1" in err
    found = rows(tmp_path)
    assert found["status"].to_list() == ["ok"] * 6
    assert found["metric"].unique().to_list() == ["eval_top1"]
    assert found["n_correct"].null_count() == 6
    assert found["train_s"].min() > 0.0
    code, out, err = cli("compare", "80", "78", "--json")
    assert code == 0, err
    (comparison,) = json.loads(out)["comparisons"]
    assert (comparison["n_a"], comparison["unit"], comparison["verdict"]) == (3, "pp", "worse")
    code, _, err = cli(*line)  # nothing is left to do
    assert code == 0
    assert "[" not in err
    log = next((tmp_path / "results/main/trials").glob("80-s1-*/log.txt")).read_text()
    assert log.startswith(f"$ {sys.executable} train.py --seed 1 --output ")
    assert "training 1" in log


ENDS = {
    "crashes": ("failed", "exit status 1: RuntimeError: boom"),
    "is killed": ("failed", "ended by SIGKILL (out of memory?): training"),
    "writes NaN": ("diverged", "eval_top1 is nan"),
    "writes nothing": ("failed", "it ended without an error and wrote no summary.csv in"),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_bad_end_is_a_row_with_its_reason(how: str, tmp_path: Path, cli: Cli) -> None:
    path = study(tmp_path, {"a": {"how": how}, "b": {"how": "ok"}})
    code, _, err = cli("run", str(path), "--seeds", "1")
    status, why = ENDS[how]
    assert code == (0 if status == "diverged" else 1), err
    states = dict(rows(tmp_path).select("recipe", "status").iter_rows())
    assert states == {"a": status, "b": "ok"}
    assert reason(tmp_path, "a").startswith(why)
    code, out, _ = cli("status", "--json")
    assert code == 0
    assert why in out


def test_what_is_printed_is_read_and_two_results_are_none(tmp_path: Path, cli: Cli) -> None:
    hows = ("prints", "prints it on every rank", "prints it twice", "writes nothing", "prints it behind a bar")
    path = study(tmp_path, {f"a{i}": {"how": how} for i, how in enumerate(hows)}, result=None)
    code, _, err = cli("run", str(path), "--seeds", "1")
    assert code == 1, err
    states = dict(rows(tmp_path).select("recipe", "status").iter_rows())
    assert states == {"a0": "ok", "a1": "ok", "a2": "failed", "a3": "failed", "a4": "ok"}
    assert reason(tmp_path, "a2").startswith("its stdout holds 2 results (7")
    assert reason(tmp_path, "a3") == 'it ended without an error and printed no line of JSON with "eval_top1".'


def test_a_command_that_ignores_its_seed_is_named(tmp_path: Path, cli: Cli) -> None:
    path = study(tmp_path, {"a": {"how": "ignores its seed"}, "b": {"how": "ok"}})
    code, out, err = cli("run", str(path), "--seeds", "3")
    assert code == 0, err
    assert " ".join(out.split()).count("all 3 seeds have the same result: does the command use its seed?") == 1
    code, out, _ = cli("compare", "b", "a", "--json")
    assert any("does the command use its seed?" in each for each in json.loads(out)["comparisons"][0]["warnings"])


def test_a_fraction_waits_for_its_unit_and_is_not_run_again(tmp_path: Path, cli: Cli, script: Path) -> None:
    path = study(tmp_path, {"a": {"how": "prints a fraction"}}, result=None)
    code, _, err = cli("run", str(path), "--seeds", "1")
    assert code == 1, err
    assert "percent or fraction?" in reason(tmp_path, "a")
    code, _, err = cli("run", str(path), "--seeds", "1", "--unit", "fraction", "--retry-failed")
    assert code == 0, err
    assert rows(tmp_path)["value"][0] == pytest.approx(78.0, abs=1.0)
    log = next((tmp_path / "results/main/trials").glob("*/log.txt")).read_text()
    assert log.count("training 0") == 1


def test_the_direction_and_unit_of_the_metric_are_remembered(tmp_path: Path, cli: Cli) -> None:
    command = f"{COMMAND.replace('{how}', repr('prints a quality'))} --mean {{arm}}"
    line = ["run", "--command", command, "--arms", "78,80", "--seeds", "3", "--metric", "quality"]
    code, _, err = cli(*line, "--unit", "fraction", "--lower-is-better", "--study", "lower")
    assert code == 0, err
    code, out, err = cli("compare", "lower:78", "lower:80", "--json")
    assert code == 0, err
    (comparison,) = json.loads(out)["comparisons"]
    assert (comparison["unit"], comparison["verdict"]) == ("pp", "worse")
    assert comparison["difference"] == pytest.approx(2.0, abs=0.3)
    code, out, _ = cli("compare", "lower:78", "lower:80", "--json", "--higher-is-better")
    assert json.loads(out)["comparisons"][0]["verdict"] == "better"
    assert cli(*line, "--study", "lower")[0] == 0  # does not say it again, and takes nothing back
    assert json.loads(cli("compare", "lower:78", "lower:80", "--json")[1])["comparisons"][0]["verdict"] == "worse"
    frame = ss.load_trials("results/lower")
    arms = [frame.filter(pl.col("recipe") == arm) for arm in ("78", "80")]
    assert ss.compare(*arms)[0].verdict.word == "worse"
    frame.write_csv("trials.csv")  # and read back
    code, out, err = cli("compare", "trials.csv:78", "trials.csv:80", "--json")
    assert (code, json.loads(out)["comparisons"][0]["verdict"]) == (0, "worse"), err
    assert not ss.gate("lower:80", "lower:78").passes
    assert ss.gate("lower:78", "lower:80").passes
    code, out, err = cli("race", "--replay", "lower:78", "lower:80", "--json")
    assert (code, json.loads(out)["comparisons"][0]["verdict"]) == (0, "worse"), err


def test_failed_seeds_run_again_only_when_asked_for(tmp_path: Path, cli: Cli, script: Path) -> None:
    path = study(tmp_path, {"a": {"how": "crashes sometimes"}}, code=["study.toml"])
    code, _, err = cli("run", str(path), "--seeds", "4")
    assert code == 1, err
    assert rows(tmp_path)["status"].to_list().count("failed") == 2
    code, _, err = cli("run", str(path), "--seeds", "4")
    assert code == 1
    assert "2 of 4 trials failed earlier" in err


def test_status_shows_seeds_that_ended_long_ago_beside_planned_ones(tmp_path: Path, cli: Cli) -> None:
    command = f"{sys.executable} train.py --seed {{seed}} --output {{out}}"
    assert cli("run", "--command", command, "--result", RESULT, "--metric", "eval_top1", "--seeds", "1")[0] == 0
    store = Store(tmp_path / "results", "main")
    (trial_id,) = store.trial_ids()
    time.sleep(1.1)
    store.scan()  # now the ended one comes from the index
    store.plan(Study(recipes=()), [replace(store.read_spec(trial_id), seed=1)])  # type: ignore[type-var]
    code, out, err = cli("status", "--json")
    assert code == 0, err
    (group,) = json.loads(out)["groups"]
    assert (group["ok"], group["planned"]) == (1, 1)


def test_what_is_kept_of_its_output(tmp_path: Path, cli: Cli) -> None:
    path = study(tmp_path, {"a": {"how": "ok"}}, keep=["*.log"])
    code, _, err = cli("run", str(path), "--seeds", "1")
    assert code == 0, err
    kept = [each.name for each in (tmp_path / "results/main/trials").glob("*/out/*")]
    assert kept == ["summary.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["--hang-timeout", "--time-limit"])
def test_a_command_that_hangs_is_ended_with_its_children(limit: str, tmp_path: Path, cli: Cli) -> None:
    path = study(tmp_path, {"a": {"how": "hangs"}, "b": {"how": "ok"}})
    code, _, err = cli("run", str(path), "--seeds", "1", limit, "0.05")
    assert code == 1, err
    why = {"--hang-timeout": "no output and no new file for 0.05 min, 3 times in a row"}
    assert reason(tmp_path, "a") == why.get(limit, "not done within its time limit of 0.05 min")
    assert rows(tmp_path)["status"].to_list() == ["failed", "ok"]
    assert not processes_in(tmp_path)


def processes_in(folder: Path) -> list[int]:
    """Return the processes, other than this one, whose working directory is a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve() == folder and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["launcher", "worker", "Ctrl-C"])
def test_whoever_is_killed_takes_the_command_along_and_it_resumes(victim: str, tmp_path: Path, cli: Cli) -> None:
    more = {"resume": COMMAND + " --epochs 12 --resume"}
    path = study(tmp_path, {"a": {"how": "ok"}}, command=COMMAND + " --epochs 12", **more)
    launcher = subprocess.Popen([sys.executable, "-m", "seedstudy", "run", str(path), "--seeds", "1"], cwd=tmp_path)
    trials = tmp_path / "results/main/trials"
    wait_for(lambda: any("epoch 2" in log.read_text() for log in trials.glob("*/log.txt")))
    store = Store(tmp_path / "results", "main")
    (trial_id,) = store.trial_ids()
    holder = store.holder(trial_id)
    assert holder is not None
    match victim:
        case "launcher":
            launcher.kill()
        case "worker":
            os.kill(holder.pid, signal.SIGKILL)
        case _:
            launcher.send_signal(signal.SIGINT)
    if victim == "worker":  # another one goes on at once
        assert launcher.wait(120) == 0
    else:
        launcher.wait(120)
        wait_for(lambda: not processes_in(tmp_path))
        assert store.read_trial(trial_id)[0] == "interrupted"
        code, _, err = cli("run", str(path), "--seeds", "1")
        assert code == 0, err
    lines = store.log(trial_id).read_text().splitlines()
    done = [int(line.removeprefix("epoch ")) for line in lines if line.startswith("epoch ")]
    assert list(dict.fromkeys(done)) == list(range(12))
    assert len(done) <= 13  # at most the epoch that was cut short was trained twice
    assert any(line.startswith("$ ") and line.endswith("--resume") for line in lines)
    assert rows(tmp_path)["status"].to_list() == ["ok"]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_command_killed_before_its_first_checkpoint_begins_anew(is_there: bool, tmp_path: Path, cli: Cli) -> None:
    path = study(tmp_path, {"a": {"how": "ok"}}, resume=COMMAND + " --resume --from {out}/last.ckpt")
    assert cli("run", str(path), "--seeds", "1", "--dry-run")[0] == 0
    assert cli("run", str(path), "--seeds", "1")[0] == 0
    (trial,) = (tmp_path / "results/main/trials").iterdir()
    (trial / "trial.json").unlink()  # as if it had been killed
    (trial / "out").mkdir(exist_ok=True)
    (trial / "out" / ("last.ckpt" if is_there else "half-written.txt")).write_text("state")
    (trial / "log.txt").unlink()
    code, _, err = cli("run", str(path), "--seeds", "1")
    log = (trial / "log.txt").read_text()
    assert ("last.ckpt: not there yet; the command begins anew" in log) != is_there
    (start,) = [line for line in log.splitlines() if line.startswith("$ ")]
    assert ("--resume" in start) == is_there
    assert code == (1 if is_there else 0), err  # this script has no option --from


@pytest.mark.slow
def test_every_arm_of_a_race_that_was_killed_is_resumed(tmp_path: Path, cli: Cli) -> None:
    command = f"{sys.executable} train.py --seed {{seed}} --output {{out}} --mean {{arm}} --epochs 12"
    line = ["race", "60", "80", "--command", command, "--result", RESULT, "--metric", "eval_top1", "--max-seeds", "3"]
    line += ["--resume", f"{command} --resume", "--workers", "2"]
    launcher = subprocess.Popen([sys.executable, "-m", "seedstudy", *line], cwd=tmp_path)
    trials = tmp_path / "results/main/trials"

    def both_are_on_their_way() -> bool:
        logs = [log.read_text() for arm in ("60", "80") for log in trials.glob(f"{arm}-s0-*/log.txt")]
        return len(logs) == 2 and all("epoch 2" in log for log in logs)

    wait_for(both_are_on_their_way)
    launcher.kill()
    launcher.wait(120)
    wait_for(lambda: not processes_in(tmp_path))
    code, _, err = cli(*line)
    assert code == 0, err
    for arm in ("60", "80"):
        (log,) = trials.glob(f"{arm}-s0-*/log.txt")
        starts = [text for text in log.read_text().splitlines() if text.startswith("$ ")]
        assert [text.endswith("--resume") for text in starts] == [False, True], arm


@pytest.mark.slow
def test_a_race_is_resumed_and_decided(tmp_path: Path, cli: Cli) -> None:
    command = f"{sys.executable} train.py --seed {{seed}} --output {{out}} --mean {{arm}}"
    line = ["race", "78", "80", "--command", command, "--result", RESULT, "--metric", "eval_top1", "--max-seeds", "6"]
    code, out, err = cli(*line, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["is_over"]
    assert answer["comparisons"][0]["verdict"] == "better"
    assert answer["rule"]["metric"] == "eval_top1"
    code, again, err = cli(*line, "--json")
    assert (code, json.loads(again)["seeds_used"]) == (0, answer["seeds_used"])
    code, _, err = cli(*line[:4], command.replace("--seed", "--epochs 3 --seed"), *line[5:])
    assert code == 2
    assert "its race was declared with" in err
    code, _, err = cli("race", "78", "80")
    assert code == 2
    assert "study main trains 78 and 80 by a command. On the results that are there: add --replay." in err


def test_other_code_is_not_pooled(tmp_path: Path, cli: Cli, script: Path) -> None:
    path = study(tmp_path, {"a": {"how": "ok"}})
    assert cli("run", str(path), "--seeds", "2")[0] == 0
    script.write_text(script.read_text() + "\n# another learning rate\n")
    code, _, err = cli("run", str(path), "--seeds", "2")
    assert "a: 2 earlier trials of other code" in err
    assert rows(tmp_path)["pool_key"].n_unique() == 2
    code, _, err = cli("compare", "a", "a.txt")
    assert code == 2


@pytest.mark.slow
def test_a_commit_and_its_changes_are_code(tmp_path: Path, cli: Cli, script: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True)

    path = study(tmp_path, {"a": {"how": "ok"}})
    (tmp_path / "model.txt").write_text("a")
    git("init")
    git("add", "-A")
    git("commit", "-m", "a")
    assert cli("run", str(path), "--seeds", "1")[0] == 0
    assert cli("run", str(path), "--seeds", "1")[0] == 0
    assert rows(tmp_path)["trial_id"].n_unique() == 1
    (tmp_path / "model.txt").write_text("b")
    assert cli("run", str(path), "--seeds", "1")[0] == 0
    assert rows(tmp_path)["trial_id"].n_unique() == 2
    record = json.loads(next((tmp_path / "results/main/trials").glob("*/trial.json")).read_text())
    assert len(record["provenance"]["git_commit"]) == 40


WRONG = {
    "no seed": (["--command", "python train.py --output {out}"], "does not say {seed}"),
    "unknown placeholder": (["--command", "python train.py {seed} {out} {how} {lr}"], "gives no value for {lr}"),
    "no such arm": (["--arms", "a,c"], 'unknown arm "c"'),
    "outside": (["--result", "summary.csv"], "lies outside {out}"),
    "outside by dots": (["--result", "{out}/../summary.csv"], "lies outside {out}"),
    "no out": (["--command", "python train.py {seed} {how}"], "does not say {out}"),
    "a single brace": (["--command", "python train.py {seed} {out} { "], "single brace"),
    "quotes": (["--command", "python 'train.py {seed}"], "cannot be split into words"),
    "no program": (["--command", "no-such-program {seed} {out} {how}"], 'no program "no-such-program"'),
    "no code": (["--code", "model.py"], "no such file"),
    "no folder": (["--folder", "nowhere"], "no such folder"),
    "unit": (["--unit", "points"], "expected percent or fraction"),
    "time limit": (["--time-limit", "0"], "more than 0 minutes"),
    "recipe too": (["-r", "a2"], "--recipe means nothing to a command"),
    "epochs": (["--epochs", "3"], "--epochs means nothing to a command"),
    "data": (["-d", "digits"], "--data means nothing to a command"),
    "processes": (["--processes", "2"], "--processes means nothing to a command"),
    "environment": (["--env", "A B=1"], "not the name of a variable"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=list(WRONG))
def test_wrong_input_is_one_line(options: list[str], message: str, tmp_path: Path, cli: Cli) -> None:
    path = study(tmp_path, {"a": {"how": "ok"}, "b": {"how": "prints"}})
    code, out, err = cli("run", str(path), *options)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert not (tmp_path / "results").exists()


def test_from_python_the_same(tmp_path: Path) -> None:
    answer = ss.run(
        command={"run": COMMAND.replace("how", "mean"), "result": RESULT},
        arms={"a": {"mean": 77}, "b": {"mean": 78}},
        seeds=2,
        say=lambda line: None,
    )
    assert answer.counts["ok"] == 4
    assert answer.summaries is not None
    assert [group.group.label for group in answer.summaries] == ["a", "b"]
    with pytest.raises(StudyError, match="arms"):
        ss.run(recipes="a2", arms=["a"], say=lambda line: None)
