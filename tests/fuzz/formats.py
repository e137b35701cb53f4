"""Targets for files of other programs: one file is replaced by the bytes, the others are as the program wrote them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from seedstudy.read.formats import FORMATS
from seedstudy.read.groups import read_groups
from seedstudy.read.request import Request

FILES = Path(__file__).parents[1] / "read" / "formats" / "files"

_MMENGINE = "work_dirs/:val_evaluator.arm=small"
PLACES = {
    "mlflow metric": ("mlflow", "mlruns/*/*/metrics/val_acc", "mlruns/:arm=small", "val_acc"),
    "mlflow meta.yaml": ("mlflow", "mlruns/*/*/meta.yaml", "mlruns/:arm=small", "val_acc"),
    "mlflow.db": ("mlflow", "mlflow.db", "mlflow.db:arm=small", "val_acc"),
    "trackio": ("trackio", "sweep.db", "sweep.db:arm=small", "val/acc"),
    "optuna.db": ("optuna", "optuna.db", "optuna.db:lr=0.1", "value"),
    "optuna journal": ("optuna", "journal.log", "journal.log:lr=0.1", "value"),
    "ray result": ("ray", "sweep/*/result.json", "sweep/:arm=small", "val_acc"),
    "sacred metrics": ("sacred", "runs/*/metrics.json", "runs/:optimizer.lr=0.1", "val.acc"),
    "sacred run": ("sacred", "runs/*/run.json", "runs/:optimizer.lr=0.1", "val.acc"),
    "mmengine scalars": ("mmengine", "work_dirs/*/*/vis_data/scalars.json", _MMENGINE, "top1"),
    "mmengine config": ("mmengine", "work_dirs/*/*/vis_data/config.py", _MMENGINE, "top1"),
    "mlperf": ("mllog", "results/*/*/result_0.txt", "results/machine_large/", "eval_accuracy"),
    "nanogpt": ("text_logs", "nanogpt/small/*.txt", "nanogpt/small/", "val_loss"),
    "log.txt": ("text_logs", "deit/small/seed0/log.txt", "deit/small/", "top1"),
    "submission": ("text_logs", "submissions/small/*.json", "submissions/small/submission.json", "val_bpb"),
    "keras": ("keras", "runs/*/*/training.log", "runs/large/", "top1"),
    "ultralytics": ("ultralytics_8.0.200", "runs/small0/results.csv", "runs/small*/results.csv", "top1"),
    "evaluations.npz": ("sb3", "logs/ppo_far/*/evaluations.npz", "logs/ppo_far/*/evaluations.npz", "mean_reward"),
    "hydra config": ("hydra", "multirun/*/.hydra/config.yaml", "multirun/:optimizer.name=small", "top1"),
    "args.yaml": ("timm", "output/train/*/args.yaml", "output/:config/lr=0.1", "top1"),
    "lm_eval": ("lm_eval", "results/small/small/*.json", "results/small/", "acc"),
    "inspect json": ("inspect", "json/*.json", "json/:prompt=small", "accuracy"),
    "inspect eval": ("inspect", "eval/*.eval", "eval/:prompt=small", "accuracy"),
    "aim": ("aim", "metrics.csv", "metrics.csv:hparams.lr=0.1", "acc"),
}
"""Target -> the program's kept files, which of them is replaced, what is read afterwards, and its metric."""
if find_spec("zstandard") is None:
    del PLACES["inspect eval"]  # unpacked by the extra


def _first(program: str, pattern: str) -> tuple[str, bytes]:
    """Return the first kept file that a pattern names, and its content."""
    with zipfile.ZipFile(FILES / f"{program}.zip") as archive:
        name = next(each for each in sorted(archive.namelist()) if PurePosixPath(each).match(pattern))
        return name, archive.read(name)


def right(name: str) -> Callable[[], bytes]:
    """Return what returns the file that a program wrote."""
    program, pattern, _, _ = PLACES[name]
    return lambda: _first(program, pattern)[1]


def read_format(name: str) -> Callable[[bytes, Path], None]:
    """Return the target that replaces one file of a program and reads them all."""
    program, pattern, selector, metric = PLACES[name]

    def read(content: bytes, folder: Path) -> None:
        replaced = _first(program, pattern)[0]
        top = selector.partition("/")[0] + "/"
        with zipfile.ZipFile(FILES / f"{program}.zip") as archive:
            archive.extractall(folder, [each for each in archive.namelist() if each.startswith(top)])
        path = folder / replaced
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for each in FORMATS:
            each.is_mine(path)
        read_groups(f"{folder}/{selector}", Request(metric=metric))

    return read
