"""What is true of this machine alone, beside the contract: Ctrl-C, a damaged result, input that is wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from seedstudy import machine
from seedstudy.engines import local
from seedstudy.engines.local import slot_environments
from seedstudy.errors import StudyError
from seedstudy.study.placement import Placement
from tests.engines.places import WAIT_S, Local, Results, in_flight, kill, log, results, store, wait_for


@pytest.fixture
def place(cache: Path) -> Iterator[Local]:
    place = Local(cache)
    yield place
    place.close()


def workers_of(launcher: subprocess.Popen[str]) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(launcher.pid), "-f", "seedstudy trial"], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


@pytest.mark.slow
def test_interrupted_and_given_again_it_goes_on(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    process = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, _ = in_flight(tmp_path) or pytest.fail("nothing in flight")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "finished and safe; the same command resumes" in err
    code, _, err = place.finish(tmp_path)
    assert code == 0, err
    assert results(tmp_path) == undisturbed
    assert "stopped on request" in log(tmp_path, trial_id)
    assert "resumed at epoch" in log(tmp_path, trial_id)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.long)])
def test_the_command_alone_stops_in_order_with_75_and_goes_on(
    number: signal.Signals, place: Local, tmp_path: Path, cache: Path, undisturbed: Results
) -> None:
    _planned(tmp_path, undisturbed, cache)
    trial_id = min(undisturbed)
    (prepared,) = cache.glob("digits-*")
    arguments = ("trial", "results/main", trial_id, "--prepared", str(prepared))
    environment = {**place.environment, **local.cpu_environment(1)}
    process = subprocess.Popen(place.command(*arguments), cwd=tmp_path, env=environment)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    process.send_signal(number)
    assert process.wait(WAIT_S) == 75
    assert store(tmp_path).checkpoint(trial_id).exists()
    place.environment = environment
    assert place.call(tmp_path, *arguments).returncode == 0
    assert "resumed at epoch" in log(tmp_path, trial_id)
    record = json.loads((store(tmp_path).folder(trial_id) / "trial.json").read_text())
    assert record["sha256"]["predictions.parquet"] == undisturbed[trial_id][0]


def _planned(folder: Path, undisturbed: Results, cache: Path) -> None:
    """Plan the study that `undisturbed` has done, in another folder."""
    from seedstudy.engines.launch import resolve
    from seedstudy.study.study import Study

    study = Study(recipes=("a3",), data="digits", seeds=(0, 1), epochs=6, train_limit=256)
    grid = resolve(study, results=folder / "results", data_dir=None, cache_dir=cache, say=lambda text: None)
    assert {trial.trial_id for trial in grid.trials} == set(undisturbed)
    store(folder).plan(study, grid.trials)


@pytest.mark.slow
def test_a_killed_launcher_takes_its_workers_along(place: Local, tmp_path: Path) -> None:
    process = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, _ = in_flight(tmp_path) or pytest.fail("nothing in flight")
    workers = workers_of(process)
    assert workers
    kill(process.pid)
    process.communicate(timeout=60)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers to end")
    assert "stopped on request" in log(tmp_path, trial_id)
    assert place.call(tmp_path, "status").stdout.count("interrupted on") == 1


@pytest.mark.slow
@pytest.mark.long
def test_a_trial_whose_process_dies_without_getting_on_is_given_up(place: Local, tmp_path: Path) -> None:
    place.break_trainings("os.kill(os.getpid(), 9)")
    code, _, err = place.finish(tmp_path, "--seeds", "1")
    assert code == 1
    assert err.count("its worker died (exit status -9") == 3
    (trial_id,) = store(tmp_path).trial_ids()
    assert store(tmp_path).failure(trial_id)["reason"] == "its process died 3 times in a row without progress"


@pytest.mark.slow
def test_two_processes_train_one_trial(place: Local, tmp_path: Path) -> None:
    code, _, err = place.finish(tmp_path, "--seeds", "1", "--processes", "2", "--set", "micro_batch=64")
    assert code == 0, err
    (record,) = tmp_path.glob("results/main/trials/*/trial.json")
    assert json.loads(record.read_text())["provenance"]["n_processes"] == 2


@pytest.mark.slow
def test_a_killed_rank_is_replaced_with_all_the_others(place: Local, tmp_path: Path) -> None:
    """Torchrun ends the other ranks, and itself with 1, which is no failed trial."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    arguments = ("--seeds", "1", "--processes", "2", "--set", "micro_batch=64")
    assert place.finish(one, *arguments)[0] == 0
    launcher = place.start(other, *arguments)
    wait_for(lambda: in_flight(other), "a trial in flight")
    _, holder = in_flight(other) or pytest.fail("nothing in flight")
    (torchrun,) = workers_of(launcher)
    ranks = subprocess.run(["pgrep", "-P", str(torchrun)], capture_output=True, text=True, check=True).stdout.split()
    kill(next(int(pid) for pid in ranks if int(pid) != holder.pid))
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 0, err
    assert results(other) == results(one)
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)


@pytest.mark.slow
def test_a_training_whose_launcher_is_gone_ends_though_it_hangs(place: Local, tmp_path: Path) -> None:
    place.break_trainings(
        "import time; from seedstudy.engines import attempts; attempts.ORPHAN_WAIT_S = 2.0; time.sleep(3600)"
    )
    launcher = place.start(tmp_path, "--seeds", "1", "--set", "epochs=2")
    wait_for(lambda: any(store(tmp_path).is_running(each) for each in store(tmp_path).trial_ids()), "a training")
    (worker,) = workers_of(launcher)
    wait_for(lambda: _is_idle(worker), "the hang")
    kill(launcher.pid)
    wait_for(lambda: not Path(f"/proc/{worker}").exists(), "the worker to end")
    (trial_id,) = store(tmp_path).trial_ids()
    assert "Timeout (" in log(tmp_path, trial_id)  # and where each thread hangs


def _is_idle(pid: int) -> bool:
    """Say whether a process has used no time for some seconds."""

    def ticks() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]

    before = ticks()
    time.sleep(4)
    return ticks() == before


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a small disk")
def test_a_training_survives_a_full_disk(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False).returncode:
        pytest.skip("mount refused")
    try:
        launcher = place.start(disk)
        wait_for(lambda: in_flight(disk), "a trial in flight")
        trial_id, _ = in_flight(disk) or pytest.fail("nothing in flight")
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        (worker,) = workers_of(launcher)
        wait_for(lambda: _is_idle(worker), "the end of the training, whose result has no room")
        assert launcher.poll() is None
        (disk / "filler").unlink()
        _, err = launcher.communicate(timeout=WAIT_S)
        assert launcher.returncode == 0, err
        assert results(disk) == undisturbed
        assert "resumed" not in log(disk, trial_id)
    finally:
        place.close()
        subprocess.run(["umount", "-l", disk], check=False)


@pytest.mark.slow
def test_a_removed_trial_is_not_made_again(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    launcher = place.start(tmp_path, "--epochs", "60")
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    trial_id, _ = in_flight(tmp_path) or pytest.fail("nothing in flight")
    shutil.rmtree(store(tmp_path).folder(trial_id))
    wait_for(lambda: len(store(tmp_path).trial_ids()) == 1 and in_flight(tmp_path), "the other trial")
    assert not store(tmp_path).folder(trial_id).exists()
    launcher.send_signal(signal.SIGINT)
    _, err = launcher.communicate(timeout=WAIT_S)
    assert f"{trial_id}: was removed while the study was trained" in err


@pytest.mark.slow
@pytest.mark.long
def test_cancelled_while_it_prepares_it_trains_nothing(place: Local, tmp_path: Path) -> None:
    assert place.finish(tmp_path, "--seeds", "1", "--epochs", "1")[0] == 0
    wait = "open('checks', 'w'), [time.sleep(0.05) for _ in iter(lambda: os.path.exists('go on'), True)]"
    (place.folder_of_faults / "sitecustomize.py").write_text(
        "import os, sys, time\n"
        "def hook(event, arguments):\n"
        "    if event == 'import' and arguments[0] == 'seedstudy.train.models':\n"
        f"        {wait}\n"
        "sys.addaudithook(hook)\n"
    )
    launcher = place.start(tmp_path, "--epochs", "1")
    wait_for(lambda: (tmp_path / "checks").exists(), "the worker to check the model")
    done = place.call(tmp_path, "cancel")
    assert done.returncode == 0, done.stderr
    (tmp_path / "go on").touch()
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 130, err
    assert "cancelled: 1 of 2 trials are finished and safe; the same command resumes." in err
    assert len(store(tmp_path).trial_ids()) == 1
    place.break_trainings(None)
    code, _, err = place.finish(tmp_path, "--epochs", "1")
    assert code == 0, err
    assert len(results(tmp_path)) == 2


@pytest.mark.slow
def test_a_renamed_study_is_not_made_again(place: Local, tmp_path: Path, undisturbed: Results) -> None:
    launcher = place.start(tmp_path)
    wait_for(lambda: in_flight(tmp_path), "a trial in flight")
    root = store(tmp_path).root
    root.rename(root.with_name("moved"))
    _, err = launcher.communicate(timeout=WAIT_S)
    assert launcher.returncode == 2
    assert "the study was removed or renamed while it was trained" in err.splitlines()[-1]
    assert not root.exists()
    root.with_name("moved").rename(root)
    assert place.finish(tmp_path)[0] == 0
    assert results(tmp_path) == undisturbed


@pytest.mark.slow
def test_damaged_result_is_named_and_only_it_is_trained_again(
    place: Local, tmp_path: Path, undisturbed: Results
) -> None:
    assert place.finish(tmp_path)[0] == 0
    victim, *others = sorted(tmp_path.glob("results/main/trials/*/trial.json"))
    times = {path: path.stat().st_mtime_ns for path in others}
    (victim.parent / "predictions.parquet").write_bytes(b"PAR1")
    code, _, err = place.finish(tmp_path)
    assert code == 0, err
    assert str(victim.parent.relative_to(tmp_path)) in err
    assert results(tmp_path) == undisturbed
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())


@pytest.mark.slow
def test_wrong_model_leaves_nothing_behind(place: Local, tmp_path: Path) -> None:
    code, out, err = place.finish(tmp_path, "-m", "resnet5O")
    assert code == 2
    assert 'unknown model "resnet5O". Did you mean' in err.splitlines()[-1]
    assert out == ""
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_results_folder_that_cannot_be_written_is_one_line(place: Local, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    code, _, err = place.finish(tmp_path)
    assert code == 2
    assert "results/main/trials: a file is where a folder should be; remove it" in err.splitlines()[-1]


# --- slots ------------------------------------------------------------------------------------------------


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,GPU-7")


def devices(n_slots: int, **values: object) -> list[str]:
    environments = slot_environments(n_slots, Placement(**values))  # type: ignore[arg-type]
    return [environment["CUDA_VISIBLE_DEVICES"] for environment in environments]


@pytest.mark.usefixtures("four_gpus")
def test_slots_take_the_gpus_in_turn() -> None:
    assert devices(4) == ["0", "1", "2", "GPU-7"]
    assert devices(6, gpus=0.5) == ["0", "1", "2", "GPU-7", "0", "1"]
    assert devices(2, processes=2) == ["0,1", "2,GPU-7"]
    assert devices(2, processes=3) == ["0,1,2", "0,1,2"]
    assert devices(1, gpus=0) == [""]
    with pytest.raises(StudyError, match="a trial on 8 GPUs: this machine has 4"):
        devices(1, processes=8)


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("values", "expected"), [({}, 4), ({"gpus": 0.25}, 16), ({"processes": 2}, 2), ({"gpus": 2}, 2)]
)
def test_room_on_gpus(values: dict[str, float], expected: int) -> None:
    assert local.default_slots(Placement(**values)) == expected  # type: ignore[arg-type]


def test_each_slot_has_a_tpu_chip_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PJRT_DEVICE", "TPU")
    monkeypatch.setattr(local, "_DEV", tmp_path)
    for number in range(4):
        (tmp_path / f"accel{number}").touch()
    assert local.default_slots(Placement()) == 4
    chips = slot_environments(4, Placement())
    assert [chip["TPU_VISIBLE_CHIPS"] for chip in chips] == ["0", "1", "2", "3"]
    assert {chip["PJRT_DEVICE"] for chip in chips} == {"TPU"}
    assert len({chip["TPU_PROCESS_PORT"] for chip in chips}) == 4
    for placement in (Placement(gpus=0.5), Placement(processes=2)):
        with pytest.raises(StudyError, match="4 TPU chips, and a trial takes one"):
            slot_environments(1, placement)
    monkeypatch.setenv("TPU_VISIBLE_CHIPS", "2,3")
    assert [chip["TPU_VISIBLE_CHIPS"] for chip in slot_environments(2, Placement())] == ["2", "3"]
    with pytest.raises(StudyError, match="--workers 2"):
        slot_environments(3, Placement())
    (on_cores,) = slot_environments(1, Placement(gpus=0))
    assert "PJRT_DEVICE" not in on_cores
    monkeypatch.setenv("PJRT_DEVICE", "CPU")  # XLA without a chip: the slots are cores
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slot_environments(2, Placement())[1]["PJRT_DEVICE"] == "CPU"


def test_room_on_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(machine, "cores", lambda: 8)
    assert local.default_slots(Placement()) == 8
    assert local.default_slots(Placement(cores=2, processes=2)) == 2
    with pytest.raises(StudyError, match="this machine has no GPU"):
        slot_environments(1, Placement(gpus=1.0))


def test_an_outer_launcher_does_not_reach_our_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("WORLD_SIZE", "RANK", "PMI_SIZE", "SLURM_PROCID"):
        monkeypatch.setenv(name, "3")
    (environment,) = slot_environments(1, Placement(cores=2))
    assert not {"WORLD_SIZE", "RANK", "PMI_SIZE", "SLURM_PROCID"} & set(environment)
    assert environment["OMP_NUM_THREADS"] == "2"
