"""How big may a study grow? Makes one and measures `summary`, `compare` and a scan of every prediction.

Two studies are written through the store itself: ``grid``, 100 arms of 100 seeds on three eval sets, and ``pair``, two
arms of 100 seeds with 50,000 predictions each. Accuracies are drawn around A2's ("ResNet strikes back", Wightman et al.
2021: val 79.72 +- 0.10, real 85.37 +- 0.08, v2 67.99 +- 0.23); nothing is trained. Each measure is a process of its
own: seconds from the end of its imports to its last line, of the clock and of the cores (a busy machine stretches these
less), and the peak of its resident memory::

    python benchmarks/scale.py --folder big --trials 10000 --images 3334    # 10^8 predictions, 1 GB

"first" is a reader that finds no derived table and checks every digest; "again" is every later one.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from seedstudy.data.base import EvalSet
from seedstudy.recipes import reader as recipes
from seedstudy.store import index
from seedstudy.store.store import Store
from seedstudy.study.seeds import PURPOSES
from seedstudy.study.study import Study
from seedstudy.study.trial import Evaluation, Trial, TrialResult

ACCURACY = {"val": (0.7972, 0.0010), "real": (0.8537, 0.0008), "v2": (0.6799, 0.0023)}
"""Mean and std over seeds."""
N_SEEDS, N_MODELS, N_CLASSES = 100, 10, 1000

MEASURE = """
import sys, time
from seedstudy.decide import summary as analysis, verdict
from seedstudy import machine
from seedstudy.store import store
from seedstudy.show import compare, summary
from seedstudy.cli import main
import numpy, polars
started, started_cpu = time.perf_counter(), time.process_time()
{work}
seconds, cpu = time.perf_counter() - started, time.process_time() - started_cpu
print(seconds, cpu, machine.peak_memory() / 2**20, file=sys.stderr)
"""
COMMAND = """
try: main({arguments!r})
except SystemExit as end: assert not end.code, end.code
"""
COUNT = """
study = store.open_study(__import__("pathlib").Path({folder!r}), "grid")
right = polars.col("labels").list.contains(polars.col("predicted"))
counts = (
    study.scan_predictions(study.trial_ids()).group_by("trial_id", "eval_set")
    .agg(n=polars.len(), n_correct=right.sum()).collect(engine="streaming")
)
stored = study.scan().trials.select("trial_id", "eval_set", "n_correct")
both = counts.join(stored, on=["trial_id", "eval_set"])
assert both.height == stored.height and (both["n_correct"] == both["n_correct_right"]).all()
print(f"{{counts['n'].sum():,}} predictions", file=sys.stdout)
"""


def eval_set(name: str, n_images: int) -> EvalSet:
    """Return an eval set with one label an image, two for every tenth of ``real``."""
    rng = np.random.default_rng(0)
    n_labels = np.where((np.arange(n_images) % 10 == 0) & (name == "real"), 2, 1)
    return EvalSet(
        name=name,
        images=name,
        rows=np.arange(n_images),
        example_ids=np.array([f"ILSVRC2012_{name}_{row:08d}" for row in range(n_images)]),
        label_offsets=np.concatenate([[0], np.cumsum(n_labels)]),
        label_values=rng.integers(0, N_CLASSES, int(n_labels.sum())).astype(np.int32),
    )


def drawn(sets: dict[str, EvalSet], shift: float, rng: np.random.Generator) -> TrialResult:
    """Return the result of a trial that was never trained."""
    evaluations = {}
    for name, each in sets.items():
        mean, sd = ACCURACY[name]
        first = each.label_values[each.label_offsets[:-1]]
        is_right = rng.random(len(each)) < mean + shift + rng.normal(0, sd)
        predicted = np.where(is_right, first, (first + rng.integers(1, N_CLASSES, len(each))) % N_CLASSES)
        predicted = predicted.astype(np.int32)
        evaluations[name] = Evaluation(
            n_examples=len(each),
            n_correct=int(each.is_correct(predicted).sum()),
            n_correct_top5=len(each),
            loss=1.0,
            predicted=predicted,
            confidence=rng.random(len(each), dtype=np.float32),
            label_probability=rng.random(len(each), dtype=np.float32),
        )
    return TrialResult(
        status="ok",
        reason="",
        epochs=300,
        evaluations=evaluations,
        best_epoch=300,
        best_n_correct=evaluations["val"].n_correct,
        train_s=1.0,
        images_per_s=1.0,
        n_params=25_557_032,
        provenance={
            "training_version": 1,
            "device_type": "cuda",
            "device": "drawn",
            "host": "drawn",
            "threads": 1,
            "n_processes": 4,
            "precision": "bfloat16",
            "augment": "pil",
            "peak_mem_bytes": 1,
            "versions": {"torch": "2.9.0", "timm": "1.0.20"},
        },
    )


def make(folder: Path, study: str, n_arms: int, sets: dict[str, EvalSet]) -> None:
    """Write a study of drawn trials, unless it is there."""
    store = Store(folder, study)
    recipe = recipes.load_recipe("a2")
    arms = [(replace(recipe, name=f"r{arm // N_MODELS}"), f"m{arm % N_MODELS}", 0.001 * arm) for arm in range(n_arms)]
    if n_arms <= N_MODELS:
        arms = [(replace(recipe, name=f"r{arm}"), "resnet50", 0.001 * arm) for arm in range(n_arms)]
    rng = np.random.default_rng(0)
    started, n_done = time.monotonic(), 0
    for arm_recipe, model, shift in arms:
        trials = [
            Trial(
                recipe=arm_recipe,
                model=model,
                data="imagenet",
                data_fingerprint="0" * 16,
                train_limit=None,
                vary=PURPOSES,
                seed=seed,
            )
            for seed in range(N_SEEDS)
        ]
        if not all(store.has_result(trial.trial_id) for trial in trials):
            store.plan(Study(recipes=(arm_recipe.name,)), trials)
        for trial in trials:
            if not store.has_result(trial.trial_id):
                store.publish(trial, drawn(sets, shift, rng), sets, "2026-01-01T00:00:00+00:00")
        n_done += N_SEEDS
        print(f"\r{study}: {n_done} trials, {time.monotonic() - started:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)


def measure(name: str, work: str, rounds: int) -> None:
    """Print the median seconds and the largest peak of some processes that do the same work."""
    seconds, cpus, peaks = [], [], []
    for _ in range(rounds):
        ended = subprocess.run([sys.executable, "-c", MEASURE.format(work=work)], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        took, cpu, peak = map(float, ended.stderr.splitlines()[-1].split())
        seconds.append(took)
        cpus.append(cpu)
        peaks.append(peak)
    spread = f" ({min(seconds):.2f} to {max(seconds):.2f}, n = {rounds})" if rounds > 1 else ""
    cores = f"{statistics.median(cpus):.2f} s of the cores"
    print(f"{name}: {statistics.median(seconds):.2f} s{spread}, {cores}, peak {max(peaks):.0f} MiB", flush=True)


def main() -> None:
    """Make the studies, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="results folder to make and to read")
    parser.add_argument("--trials", type=int, default=1_000, help="trials of the grid, in hundreds")
    parser.add_argument("--images", type=int, default=1_000, help="images per eval set of the grid")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.fsync = lambda descriptor: None  # writing the studies is not measured
    make(options.folder, "grid", options.trials // N_SEEDS, {name: eval_set(name, options.images) for name in ACCURACY})
    make(options.folder, "pair", 2, {"val": eval_set("val", 50_000)})
    time.sleep(1.5)  # until every file is old enough to be kept in the derived table
    size = sum(file.stat().st_size for file in (options.folder / "grid").rglob("predictions.parquet"))
    n_rows = options.trials * options.images * len(ACCURACY)
    print(f"grid: {options.trials:,} trials, {n_rows:.3g} predictions, {size / n_rows:.1f} bytes each")
    measure("imports alone", "", options.rounds)
    for study, arguments in (
        ("grid", ["summary", "--study", "grid", "--json"]),
        ("pair", ["summary", "--study", "pair", "--json"]),
        ("pair", ["compare", "r0", "r1", "--study", "pair", "--json"]),
        ("grid", ["status", "grid", "--json"]),
    ):
        work = COMMAND.format(arguments=[*arguments, "--results", str(options.folder)])
        for name in (index.TABLE, index.RECORD):
            (options.folder / study / name).unlink(missing_ok=True)
        measure(f"{' '.join(arguments)}, first", work, 1)
        measure(f"{' '.join(arguments)}, again", work, options.rounds)
    measure("counting every prediction of the grid", COUNT.format(folder=str(options.folder)), 1)
    print(json.dumps({"table_bytes": (options.folder / "grid" / index.TABLE).stat().st_size}))


if __name__ == "__main__":
    main()
