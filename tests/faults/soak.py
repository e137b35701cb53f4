"""Hundreds of short trials while a fault strikes every few seconds: nothing may be lost, and no number may change.

One study is trained in peace. The same study is trained again in a small memory file system by two launchers that are
started again whenever they end, while every few seconds one of these happens: kill -9, SIGTERM or SIGSTOP of any
process, a full disk, no more open files for one process, a jump of the processes' clock, a finished trial's file cut
short, one of its bits flipped, or its record of a newer format; the folder of a running trial removed, the study
renamed. Every second launcher has process numbers of its own, as in a container, so that two of them are equal. At the
end a launcher runs undisturbed. Then

- every trial has one result, with the counts and predictions of the study in peace, bit for bit;
- every damaged file was named, and only trials with a damaged file were set aside and trained again;
- a newer format stopped each launcher that met it, and nothing was changed;
- a renamed study ended its launchers, and nothing was made at its old place.

    python tests/faults/soak.py --trials 500 --every 3

Root may mount the small file system and make the numbers equal; without it, both are left out, and said to be. The
clock that jumps is Python's (`time.time`): the kernel's would jump for everybody on the machine, and libfaketime breaks
`time.sleep`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from seedstudy.errors import SeedstudyError
from seedstudy.files import _seal, read_record, to_json, write_atomically
from seedstudy.store.store import Store

N_LAUNCHERS = 2
DISK_MIB = 160
FULL_S = 4.0
STOPPED_S = 6.0
END_S = 300.0
"""Within which a launcher must have ended."""
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
TELL_S = 30.0
JUMPS_S = (-86_400 * 40, -3_600, -30, 30, 3_600, 86_400 * 40)
CONTENT = ("spec.json", "trial.json", "predictions.parquet", "curves.parquet")
CLOCK = """
import os, time
def _late(clock, scale):
    def now():
        with open(os.environ["SOAK_CLOCK"]) as file:
            return clock() + int(file.read() or 0) * scale
    return now
time.time, time.time_ns = _late(time.time, 1), _late(time.time_ns, 10**9)
"""


class Soak:
    """A study in a folder of its own, its launchers, and what was done to them."""

    def __init__(self, folder: Path, cache: Path, n_trials: int, rng: random.Random) -> None:
        self.folder, self.rng, self.n_trials = folder, rng, n_trials
        self.root = folder / "disk" / "results" / "main"
        self.launchers: list[subprocess.Popen[bytes]] = []
        self.logs: dict[int, Path] = {}
        self.faults: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()
        self.damaged: dict[str, set[str]] = {}
        self.results: defaultdict[str, set[int]] = defaultdict(set)
        self.problems: list[str] = []
        self.n_launches = 0
        self.n_results_at_kill = -1
        self.environment = {**os.environ, "SEEDSTUDY_CACHE": str(cache)}
        (folder / "disk").mkdir(parents=True)
        self.has_disk = not _fails(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder / "disk")])
        self.has_containers = not _fails([*CONTAINER, "true"])
        self.clock = folder / "clock"
        self.clock.write_text("0")
        (folder / "sitecustomize.py").write_text(CLOCK)
        self.environment |= {
            "SOAK_CLOCK": str(self.clock),
            "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }

    def launch(self) -> subprocess.Popen[bytes]:
        log = self.folder / f"launcher-{self.n_launches}.log"
        container = CONTAINER if self.has_containers and self.n_launches % 2 else []
        self.n_launches += 1
        with log.open("wb") as stream:
            launcher = subprocess.Popen(
                [*container, *_command(self.n_trials, 1)],
                cwd=self.folder / "disk",
                env=self.environment,
                stdout=stream,
                stderr=stream,
            )
        self.logs[launcher.pid] = log
        return launcher

    def keep_launchers(self) -> None:
        """Start a launcher again where one has ended."""
        for launcher in list(self.launchers):
            if launcher.poll() is not None:
                self.exits[launcher.returncode] += 1
                self.launchers.remove(launcher)
        while len(self.launchers) < N_LAUNCHERS:
            self.launchers.append(self.launch())

    def finished(self) -> list[Path]:
        found = list(self.root.glob("trials/*/trial.json"))
        for path in found:
            with suppress(FileNotFoundError):  # a launcher has found it damaged at this moment
                self.results[path.parent.name].add(path.stat().st_ino)  # a second file: it was trained again
        return found

    def set_aside(self) -> set[str]:
        """Return the trials whose damage a launcher has found: their files were moved, and they were trained again."""
        return {path.parent.name for path in self.root.glob("trials/*/damaged-*")}

    def strike(self) -> None:
        """Do one thing, chosen at random.

        A process is killed, or its disk filled, only when a trial has ended since the last time: on a slow machine,
        where a start takes longer than the time between two faults, nothing would ever get done.
        """
        kinds: dict[str, Callable[[], bool]] = {
            "flip": lambda: self._damage(is_flip=True),
            "cut": lambda: self._damage(is_flip=False),
            "clock": self._jump,
            "stop": self._stop,
            "no open files": self._exhaust_files,
        }
        deadly: dict[str, Callable[[], bool]] = {
            "kill": lambda: self._signal(signal.SIGKILL),
            "term": lambda: self._signal(signal.SIGTERM),
            "remove": self._remove,
            "rename": self._rename,
            "newer format": self._write_newer_format,
        }
        if self.has_disk:
            deadly["full disk"] = self._fill_disk
        self.finished()
        n_results = sum(map(len, self.results.values()))
        if n_results > self.n_results_at_kill:
            kinds |= deadly
        kind = self.rng.choice(list(kinds))
        if kinds[kind]():
            self.faults[kind] += 1
            self.n_results_at_kill = n_results if kind in deadly else self.n_results_at_kill

    def _signal(self, number: signal.Signals) -> bool:
        victims = [pid for launcher in self.launchers for pid in _family(launcher.pid)]
        if not victims:
            return False
        try:
            os.kill(self.rng.choice(victims), number)
        except ProcessLookupError:
            return False
        return True

    def _damage(self, *, is_flip: bool) -> bool:
        done = [path.parent for path in self.finished()]
        if not done:
            return False
        path = self.rng.choice(done) / self.rng.choice(CONTENT)
        try:
            content = bytearray(path.read_bytes())
        except FileNotFoundError:
            return False
        place = self.rng.randrange(len(content))
        harmed = content[:place]
        if is_flip:
            harmed = content.copy()
            harmed[place] ^= 1 << self.rng.randrange(8)
        if path.suffix == ".json" and _says_the_same(content, harmed):
            return False
        try:
            with path.open("r+b") as file:  # in place, as a disk or a careless hand does it
                file.write(harmed)
                file.truncate()
        except FileNotFoundError:
            return False
        self.damaged.setdefault(path.parent.name, set()).add(path.name)
        return True

    def _fill_disk(self) -> bool:
        filler = self.folder / "disk" / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(2**20))
                    file.flush()
            except OSError:
                pass
        time.sleep(FULL_S)
        filler.unlink()
        return True

    def _any_process(self) -> int | None:
        found = [pid for launcher in self.launchers for pid in _family(launcher.pid)]
        return self.rng.choice(found) if found else None

    def _stop(self) -> bool:
        """Let a process sleep, its lease held and its heart not beating."""
        pid = self._any_process()
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(STOPPED_S)
            os.kill(pid, signal.SIGCONT)
        return True

    def _exhaust_files(self) -> bool:
        """Let a process open no more files for a while: what it cannot read then is not damaged.

        It must have begun: Python itself cannot start without opening its modules.
        """
        pid = self._any_process()
        if pid is None or not all(self._has_begun(launcher) for launcher in self.launchers):
            return False
        with suppress(ProcessLookupError, PermissionError):
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
            time.sleep(FULL_S)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        return True

    def _remove(self) -> bool:
        """Remove the folder of a trial that is being trained."""
        begun = [path.parent for path in self.root.glob("trials/*/lock")]
        running = [folder for folder in begun if not (folder / "trial.json").exists()]
        if not running:
            return False
        folder = self.rng.choice(running)
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() and not (folder / "spec.json").exists():  # its worker wrote meanwhile, so it is half removed
            self.damaged.setdefault(folder.name, set()).add("spec.json")
        return True

    def _has_begun(self, launcher: subprocess.Popen[bytes]) -> bool:
        """Say whether a trial has ended since this launcher was started."""
        return "[" in self.logs[launcher.pid].read_text(errors="replace")

    def _rename(self) -> bool:
        """Rename the study, and back once its launchers have noticed; they must have begun, to be past its planning."""
        if not self.launchers or not all(self._has_begun(launcher) for launcher in self.launchers):
            return False
        moved = self.root.with_name("moved")
        self.root.rename(moved)
        for launcher in self.launchers:
            if self._exit_code(launcher) not in (0, 1, 2):
                self.problems.append(
                    f"{self.logs[launcher.pid].name}: {launcher.returncode} after the study was renamed"
                )
        if self.root.exists():
            self.problems.append(f"a renamed study was made again: {sorted(map(str, self.root.rglob('*')))[:5]}")
            shutil.rmtree(self.root)
        moved.rename(self.root)
        return True

    def _write_newer_format(self) -> bool:
        """Have a launcher meet a trial that a later version wrote."""
        done = self.finished()
        if not done:
            return False
        path, kept = self.rng.choice(done), self.folder / "disk" / "kept"
        try:
            record = read_record(path)
            os.link(path, kept)
        except (OSError, SeedstudyError):  # damaged before
            return False
        aside = self.set_aside()
        newer = {key: value for key, value in record.items() if key != "format"}
        content = {"format": 99, **newer}
        write_atomically(path, to_json({**content, "seal": _seal(content)}))
        code = self._exit_code(launcher := self.launch())
        kept.replace(path)  # the very file that was there
        text = self.logs[launcher.pid].read_text(errors="replace")
        if code != 2 or path.parent.name in self.set_aside() - aside:
            self.problems.append(f"newer format of {path.parent.name}: exit {code}, {text.splitlines()[-1:]}")
        return True

    def _exit_code(self, launcher: subprocess.Popen[bytes]) -> int:
        try:
            return launcher.wait(END_S)
        except subprocess.TimeoutExpired:
            self.problems.append(f"{self.logs[launcher.pid].name}: did not end")
            launcher.kill()
            return launcher.wait()

    def _jump(self) -> bool:
        self.clock.write_text(str(self.rng.choice(JUMPS_S)))
        return True

    def end(self) -> None:
        """End every process this soak has started, and give the disk back."""
        for launcher in self.launchers:
            for pid in _family(launcher.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            launcher.wait()
        if self.has_disk:
            _fails(["umount", str(self.folder / "disk")])


def _command(n_trials: int, n_workers: int) -> list[str]:
    grid = ["-r", "a3", "-d", "digits", "--seeds", str(n_trials), "--epochs", "1", "--train-limit", "128"]
    return [sys.executable, "-m", "seedstudy", "run", *grid, "--workers", str(n_workers), "--retry-failed", "--repair"]


def _family(pid: int) -> list[int]:
    """Return a process and all its descendants that are alive."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    family, grown = [pid], True
    while grown:
        more = [int(p) for p, parent, _ in rows if int(parent) in family and int(p) not in family]
        family, grown = family + more, bool(more)
    alive = {int(p) for p, _, state in rows if not state.startswith("Z")}
    return [each for each in family if each in alive]


def _says_the_same(one: bytes, other: bytes) -> bool:
    """Tell whether two JSON texts have one meaning, as 1e-06 and 1E-06 have."""
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


def numbers(root: Path) -> dict[str, object]:
    """Return trial id -> counts and digests, which do not depend on when and where a trial ran."""
    found: dict[str, object] = {}
    for path in sorted(root.glob("trials/*/trial.json")):
        record = json.loads(path.read_text())
        counts = {name: (each["n_correct"], each["loss"]) for name, each in record["evaluations"].items()}
        found[path.parent.name] = (record["status"], counts, record["sha256"]["predictions.parquet"])
    return found


def main() -> None:
    """Train in peace, train under faults, compare; exit 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--every", type=float, default=3.0, help="mean seconds between faults")
    parser.add_argument("--rng-seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds after which faults stop")
    parser.add_argument("--peace", type=Path, help="folder for (or with) the study trained in peace")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    cache, peace = folder / "cache", options.peace or folder / "peace"
    peace.mkdir(exist_ok=True)
    environment = {**os.environ, "SEEDSTUDY_CACHE": str(cache)}
    started = time.monotonic()
    with (folder / "peace.log").open("wb") as log:
        subprocess.run(
            _command(options.trials, N_LAUNCHERS), cwd=peace, env=environment, stdout=log, stderr=log, check=True
        )
    peace_s = time.monotonic() - started
    print(f"in peace: {len(numbers(peace / 'results' / 'main'))} trials, {peace_s:.0f} s", flush=True)
    soak = Soak(folder, cache, options.trials, random.Random(options.rng_seed))
    if not soak.has_disk:
        print("left out: full disk (mount refused)")
    if not soak.has_containers:
        print("left out: equal process numbers (unshare refused)")
    started = told = time.monotonic()
    try:
        while len(soak.finished()) < options.trials and time.monotonic() - started < options.limit:
            soak.keep_launchers()
            time.sleep(soak.rng.expovariate(1 / options.every))
            soak.strike()
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                print(
                    f"{told - started:.0f} s: {len(soak.finished())} trials, {soak.faults.total()} faults", flush=True
                )
        faults_s = time.monotonic() - started
        n_under_faults = len(soak.finished())
        print(f"faults stop: {n_under_faults} trials, {dict(soak.faults)}, {faults_s:.0f} s", flush=True)
        for launcher in soak.launchers:
            launcher.wait()
        last = soak.launch()
        code = last.wait()
        problems, n_again = judge(soak, peace / "results" / "main", code), len(soak.set_aside())
    finally:
        soak.end()
    print(
        json.dumps(
            {
                "trials": options.trials,
                "faults": dict(soak.faults),
                "launches": soak.n_launches,
                "launcher_exits": {str(key): count for key, count in soak.exits.items()},
                "damaged_trials": len(soak.damaged),
                "trained_again": n_again,
                "seconds_in_peace": round(peace_s),
                "seconds_under_faults": round(faults_s),
                "seconds_to_the_end": round(time.monotonic() - started),
                "problems": problems,
            },
            indent=1,
        )
    )
    if problems:
        sys.exit(f"logs are kept in {folder}")
    shutil.rmtree(folder)


def judge(soak: Soak, peace: Path, code: int) -> list[str]:
    """Return what is not as it must be, in words."""
    problems = soak.problems + ([] if code == 0 else [f"the last launcher ended with {code}"])
    truth, found = numbers(peace), numbers(soak.root)
    problems += [f"{trial_id}: no result" for trial_id in truth if trial_id not in found]
    problems += [
        f"{trial_id}: other numbers" for trial_id in truth if found.get(trial_id, truth[trial_id]) != truth[trial_id]
    ]
    problems += [f"{trial_id}: not planned" for trial_id in found if trial_id not in truth]
    problems += [f"still damaged: {line}" for line in Store(soak.root.parent, soak.root.name).scan().damaged.values()]
    set_aside = soak.set_aside()
    for path in soak.finished():
        trial_id = path.parent.name
        is_again = len(soak.results[trial_id]) > 1
        if (is_again or trial_id in set_aside) and trial_id not in soak.damaged:
            problems.append(f"{trial_id}: trained again though nothing was damaged")
    logs = "".join(log.read_text(errors="replace") for log in soak.folder.glob("launcher-*.log"))
    for trial_id, names in soak.damaged.items():
        if not any(f"{trial_id}/{name}" in logs for name in names):
            problems.append(f"{trial_id}: {', '.join(sorted(names))} was damaged and never named")
    if "Traceback" in logs:
        problems.append("a traceback in a launcher's log")
    return problems


if __name__ == "__main__":
    main()
