"""The places that trials run at, as the contract needs them: start a launcher, kill a process, kill a machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from seedstudy.store.lease import Holder
from seedstudy.store.store import Store

WAIT_S = 900
COMMAND = ["run", "-r", "a3", "-d", "digits", "--seeds", "2", "--epochs", "6", "--train-limit", "256"]
COMMAND += ["--stack", "1"]  # to the bit the same result, whoever trains beside whom
Results = dict[str, tuple[str, int]]
"""Trial id -> digest of the predictions, right answers on val."""


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def store(folder: Path) -> Store:
    return Store(folder / "results", "main")


def results(folder: Path) -> Results:
    """Return what the study holds; fails where a trial has no result."""
    found = {}
    for trial_id in store(folder).trial_ids():
        record = json.loads((store(folder).folder(trial_id) / "trial.json").read_text())
        found[trial_id] = record["sha256"]["predictions.parquet"], record["evaluations"]["val"]["n_correct"]
    return found


def in_flight(folder: Path) -> tuple[str, Holder] | None:
    """Return a trial that has done an epoch and is being trained, and its holder."""
    for trial_id in store(folder).trial_ids():
        here = store(folder).folder(trial_id)
        holder = store(folder).holder(trial_id)
        if holder and not (here / "trial.json").exists() and (here / "progress.json").exists():
            return trial_id, holder
    return None


def log(folder: Path, trial_id: str) -> str:
    path = store(folder).log(trial_id)
    return path.read_text() if path.exists() else ""


class Local:
    """One machine: the one we are on."""

    name = "local"
    arguments: Sequence[str] = ("--workers", "1")

    def __init__(self, cache: Path) -> None:
        self.folder_of_faults = cache / "fault"
        self.folder_of_faults.mkdir(exist_ok=True)
        path = os.pathsep.join([str(self.folder_of_faults), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        self.environment = {**os.environ, "SEEDSTUDY_CACHE": str(cache), "PYTHONPATH": path}
        self.launchers: list[subprocess.Popen[str]] = []

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "seedstudy", *more]

    def break_trainings(self, how: str | None, *, at: str = ".checkpoint.pt.") -> None:
        """Let every training, wherever it runs, do ``how`` whenever it writes a file named ``at``; None ends that."""
        code = (
            "import os, sys\n"
            "def hook(event, arguments):\n"
            f"    if event == 'open' and {at!r} in str(arguments[0]) and arguments[2] & (os.O_WRONLY | os.O_RDWR):\n"
            f"        {how}\n"
            "sys.addaudithook(hook)\n"
        )
        (self.folder_of_faults / "sitecustomize.py").write_text("" if how is None else code)

    def start(self, folder: Path, *more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command(*COMMAND, *self.arguments, *more),
            cwd=folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.launchers.append(process)
        return process

    def finish(self, folder: Path, *more: str) -> tuple[int, str, str]:
        process = self.start(folder, *more)
        out, err = process.communicate(timeout=WAIT_S)
        return process.returncode, out, err

    def call(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), cwd=folder, env=self.environment, capture_output=True, text=True, timeout=WAIT_S
        )

    def kill_machine(self, folder: Path, holder: Holder) -> None:
        """Kill all that runs for the trial: on one machine, the launcher too."""
        kill(holder.pid)
        for launcher in self.launchers:
            kill(launcher.pid)
            launcher.communicate()

    def mend_machine(self, folder: Path) -> None:
        """Do what an operator would do afterwards: here, give the same command again."""
        code, _, err = self.finish(folder)
        assert code == 0, err

    def close(self) -> None:
        self.break_trainings(None)
        for launcher in self.launchers:
            kill(launcher.pid)
            launcher.communicate()


class Slurm(Local):
    """A Slurm cluster whose nodes are slurmds of this machine; the folder above slurm.conf holds their pid files."""

    name = "slurm"

    def __init__(self, cache: Path, conf: Path, template: Path) -> None:
        super().__init__(cache)
        self.environment["SLURM_CONF"] = str(conf)
        self.home, self.folder = conf.parent.parent, template.parent
        template.write_text("#!/bin/bash\n#SBATCH --partition=low\n#SBATCH --time=20\n")
        self.arguments = ("--engine", "slurm", "--template", str(template))

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def tasks(self, states: str = "PENDING,RUNNING,COMPLETING") -> list[str]:
        """Return our tasks in the queue: those that were submitted in our folder."""
        listed = self.ask("squeue", "-h", "-r", "-t", states, "-o", "%i|%A|%Z").splitlines()
        return [line.split("|")[0] for line in listed if line.split("|")[2].startswith(str(self.folder))]

    def now(self) -> None:
        """Let requeued jobs start at once: Slurm makes them wait for two minutes."""
        for task in self.tasks("PENDING"):
            self.ask("scontrol", "update", f"JobId={task}", "StartTime=now")

    def kill_machine(self, folder: Path, holder: Holder) -> None:
        job = holder.job.partition(":")[2]
        (node,) = self.ask("squeue", "-h", "-r", "-j", job, "-o", "%N").split()
        number = node.removeprefix("n")
        kill(int((self.home / "run" / f"3slurmd{number}.pid").read_text()))
        steps = subprocess.run(["ps", "-o", "ppid=", "-p", str(holder.pid)], capture_output=True, text=True).stdout
        kill(int(steps))  # slurmstepd
        kill(holder.pid)
        self._dead = number

    def mend_machine(self, folder: Path) -> None:
        """Wait until slurmctld has given the node up, then start it again."""
        node = f"n{self._dead}"
        wait_for(lambda: "down" in self.ask("sinfo", "-h", "-n", node, "-o", "%t"), f"{node} to be down")
        start = 'setsid slurmd -D -f "$SLURM_CONF" -N "$0" </dev/null >/dev/null 2>&1 & echo $!'
        pid = self.ask("bash", "-c", start, node).strip()
        (self.home / "run" / f"3slurmd{self._dead}.pid").write_text(pid)
        (launcher,) = self.launchers
        wait_for(lambda: self.now() or launcher.poll() is not None, "the launcher to end")
        assert launcher.returncode == 0, launcher.communicate()[1]

    def close(self) -> None:
        super().close()
        for task in self.tasks():
            self.ask("scancel", task)
        wait_for(lambda: not self.tasks(), "the queue to be empty")


RAY_CLUSTER = """
import sys
from ray.cluster_utils import Cluster

def ancestors(pid):
    while pid > 1:
        yield pid
        pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for pid in sys.stdin:
    above = set(ancestors(int(pid)))
    dead = next(n for n in nodes for infos in n.all_processes.values() for i in infos if i.process.pid in above)
    cluster.remove_node(dead, allow_graceful=False)
    nodes.remove(dead)
    nodes.append(cluster.add_node(num_cpus=1))
    print("killed", flush=True)
cluster.shutdown()
"""
"""Starts a head and two nodes; kills the node above a process that is named on stdin, and starts another."""


class RayCluster:
    """Two nodes and a head in a network namespace that has nothing but loopback."""

    def __init__(self, environment: dict[str, str]) -> None:
        namespace = ["unshare", "-n", "bash", "-c", 'ip link set lo up; exec "$0" -c "$1"']
        self._process = subprocess.Popen(
            [*namespace, sys.executable, RAY_CLUSTER],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.enter = ["nsenter", "-t", str(self._process.pid), "-n"]
        self.address = self._answer(":")

    def kill_node_of(self, pid: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{pid}\n")
        self._process.stdin.flush()
        self._answer("killed")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        self._process.stdout.close()

    def _answer(self, sign: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if sign in line and " " not in line.strip():
                return line.strip()
        raise AssertionError("the Ray cluster ended")


class Ray(Local):
    """A Ray cluster of several nodes."""

    name = "ray"
    arguments = ("--engine", "ray")

    def __init__(self, cache: Path, cluster: RayCluster | None) -> None:
        super().__init__(cache)
        self.environment |= {
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        self.cluster = cluster or RayCluster(self.environment)
        self.environment["RAY_ADDRESS"] = self.cluster.address

    def command(self, *more: str) -> list[str]:
        return [*self.cluster.enter, *super().command(*more)]

    def kill_machine(self, folder: Path, holder: Holder) -> None:
        self.cluster.kill_node_of(holder.pid)
        kill(holder.pid)

    def mend_machine(self, folder: Path) -> None:
        """Do nothing: Ray restarts the task on another node."""
        (launcher,) = self.launchers
        _, err = launcher.communicate(timeout=WAIT_S)
        assert launcher.returncode == 0, err
