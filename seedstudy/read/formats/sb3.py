"""Stable-Baselines3: evaluations.npz of its EvalCallback, the mean over the episodes of each evaluation.

progress.csv is a plain table. monitor.csv holds the episodes of the training, each a line: no result, so it is refused.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seedstudy.errors import StudyError, first_line
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import Run, table_of_runs
from seedstudy.read.table import Table

_STEPS, _RESULTS = "timesteps", "results"
_MEANS = {_RESULTS: "mean_reward", "ep_lengths": "mean_ep_length"}
_LARGEST = 200_000_000


def _is_evaluations(path: Path) -> bool:
    if not head_of(path, ".npz").startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{_STEPS}.npy", f"{_RESULTS}.npy"} <= set(archive.namelist())
    except (zipfile.BadZipFile, ValueError):
        return False


def _read_evaluations(path: Path) -> Table:
    arrays = _arrays(path)
    steps, results = arrays.pop(_STEPS), arrays[_RESULTS]
    is_numeric = all(array.dtype.kind in "fiu" for array in (steps, *arrays.values()))
    alike = all(array.ndim == 2 and len(array) == len(steps) and array.shape[1] for array in arrays.values())
    if steps.ndim != 1 or not is_numeric or not alike:
        raise StudyError(f"{path}: expected timesteps, and results of every episode for each of them.")
    with np.errstate(over="ignore", invalid="ignore"):
        means = {_MEANS[name]: array.astype(np.float64).mean(axis=1) for name, array in arrays.items()}
    points = [
        {_STEPS: int(step), **{name: float(mean[row]) for name, mean in means.items()}}
        for row, step in enumerate(steps)
        if np.isfinite(step)
    ]
    n = results.shape[1]
    run = Run(identity={}, points=points)
    note = f"mean_reward is the mean of {n} episode{'s' if n > 1 else ''} of the last evaluation"
    return table_of_runs([run], path, clocks=(_STEPS,), notes=[note])


def _arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of the file; pickled ones are refused."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            names = [name for name in (_STEPS, *_MEANS) if f"{name}.npy" in sizes]
            if sum(sizes[f"{name}.npy"] for name in names) > _LARGEST:
                raise StudyError(f"{path}: is larger than evaluations are; is it another file?")
            for name in names:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    except StudyError:
        raise
    except Exception as error:  # a damaged archive or header ends in many ways: zlib.error, SyntaxError, ...
        raise StudyError(f"{path}: not a readable npz file ({first_line(error)[:120]}); is it damaged?") from error
    return arrays


def _is_monitor(path: Path) -> bool:
    return head_of(path, ".csv").startswith(b'#{"t_start"')


def _refuse(path: Path) -> Table:
    raise StudyError(
        f"{path}: holds episodes of the training, which are neither seeds nor results: use evaluations.npz or "
        "progress.csv."
    )


SB3_EVALUATIONS = Format(
    name="Stable-Baselines3 evaluations", is_mine=_is_evaluations, read=_read_evaluations, run="folder"
)
SB3_MONITOR = Format(name="Stable-Baselines3 monitor", is_mine=_is_monitor, read=_refuse)
