"""Do workers share the data? Resident memory of 1 and of 2 workers that train on all 50,000 images of CIFAR-10.

Each worker's resident set (RSS) counts shared pages whole; its proportional share (PSS) counts them by the number of
processes that map them. Were images loaded per worker, their PSS would be their RSS with two workers, too; shared,
it is half. Linux only; read while all workers train, at the moment when they have the most images in memory::

    python benchmarks/memory.py --data-dir CIFAR10
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1024  # smaps_rollup counts KiB


def workers_of(launcher: int) -> list[int]:
    """Return the launcher's child processes."""
    children = Path(f"/proc/{launcher}/task").glob("*/children")
    return [int(pid) for path in children for pid in path.read_text().split()]


def memory_of(pid: int) -> dict[str, float]:
    """Return RSS, PSS and the resident part of the decoded images, in MiB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    values = {line.split()[0].rstrip(":"): int(line.split()[1]) / MIB for line in rollup[1:]}
    images = {"Rss": 0.0, "Pss": 0.0}
    is_images = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name = line.split()[0].rstrip(":")
        if "-" in name:
            is_images = line.endswith(".npy")
        elif is_images and name in images:
            images[name] += int(line.split()[1]) / MIB
    return {"RSS": values["Rss"], "PSS": values["Pss"], "images RSS": images["Rss"], "images PSS": images["Pss"]}


def peaks(command: list[str], folder: Path, n_workers: int) -> list[dict[str, float]]:
    """Return the memory of each worker at the moment when all of them together had the most."""
    launcher = subprocess.Popen(
        [*command, "--workers", str(n_workers), "--study", f"workers-{n_workers}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most: list[dict[str, float]] = []
    while launcher.poll() is None:
        try:
            now = [memory_of(pid) for pid in workers_of(launcher.pid)]
        except (OSError, KeyError):  # it ended meanwhile
            now = []
        if len(now) == n_workers and size_of(now) > size_of(most):
            most = now
        time.sleep(0.5)
    if launcher.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {launcher.returncode}.")
    return most


def size_of(workers: list[dict[str, float]]) -> tuple[float, float]:
    """Return how much of the images, then how much of anything, the workers have in memory."""
    return sum(worker["images RSS"] for worker in workers), sum(worker["PSS"] for worker in workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="CIFAR-10 as the hub lays it out")
    parser.add_argument("--model", default="resnet8_nano")
    options = parser.parse_args()
    command = [sys.executable, "-m", "seedstudy", "run", "-r", "a2", "-m", options.model, "-d", "cifar10"]
    command += ["--data-dir", str(options.data_dir.resolve()), "--seeds", "2", "--epochs", "1", "--eval", "val"]
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["SEEDSTUDY_CACHE"] = f"{temporary}/cache"
        for n_workers in (1, 2):
            found = peaks(command, Path(temporary), n_workers)
            for memory in found:
                print(", ".join(f"{name} {value:.0f} MiB" for name, value in memory.items()))
            total = sum(memory["PSS"] for memory in found)
            print(f"{n_workers} worker(s): {total:.0f} MiB together, shared pages counted once", flush=True)


if __name__ == "__main__":
    main()
