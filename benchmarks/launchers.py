"""Do two launchers share a study? Trials per second of two against one, each with a core and one worker of its own.

Wall time of `seedstudy run` from its start to the last result, alternately, in fresh folders; each launcher is bound to
one core. It needs two idle cores: on a busy machine two processes get twice the share of one, whatever they do::

    python benchmarks/launchers.py --rounds 3 --seeds 12
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(folder: Path, cores: list[int], options: argparse.Namespace) -> float:
    """Return the wall seconds of as many launchers as there are cores on one study."""
    folder.mkdir()
    command = [sys.executable, "-m", "seedstudy", "run", "-r", "a3", "-d", "digits", "--workers", "1"]
    command += ["--seeds", str(options.seeds), "--epochs", str(options.epochs)]
    started = time.perf_counter()
    launchers = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            cwd=folder,
            env={**os.environ, "SEEDSTUDY_CACHE": str(folder.parent / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for core in cores
    ]
    codes = [launcher.wait() for launcher in launchers]
    wall_s = time.perf_counter() - started
    n_done = len(list(folder.glob("results/main/trials/*/trial.json")))
    assert codes == [0] * len(cores), codes
    assert n_done == options.seeds, n_done
    return wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))[:2]
    ratios = []
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(options.rounds):
            one = seconds(Path(temporary) / f"one-{number}", cores[:1], options)
            two = seconds(Path(temporary) / f"two-{number}", cores, options)
            ratios.append(one / two)
            load = os.getloadavg()[0]
            print(
                f"one {one:.1f} s, two {two:.1f} s: {ratios[-1]:.2f} times the throughput (load {load:.1f})", flush=True
            )
    print(f"median of {len(ratios)}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
