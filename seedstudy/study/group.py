"""One recipe's results over its seeds: what every statistic starts from, wherever the numbers came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


def label_of(recipe: object, model: object, data: object = None) -> str:
    """Return the name of a recipe (or a command's arm) on a model and data set, as far as they are known."""
    return "@".join(str(part) for part in (recipe, model, data) if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """A published mean and standard deviation, without the seeds behind them."""

    mean: float
    sd: float
    """Standard deviation over seeds, with n - 1."""
    n: int
    mean_step: float = 0.0
    """Unit of the last digit that was printed; 0 where it is exact."""
    sd_step: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was read from one file, and what was assumed: said before every answer."""

    file: str
    n_runs: int
    """Finished runs that count in the answer."""
    metric: str
    """The column, as the file names it."""
    clock: str | None = None
    """Column that counts within a run; None where each row is a run."""
    n_points: int | None = None
    """Measured points of the longest run along the clock."""
    arms_by: tuple[str, ...] = ()
    """Columns whose values are the arms."""
    seeds_by: str | None = None
    """Column that numbers the seeds; None where the file does not say."""
    is_of_means: bool = False
    """Whether the file holds means ± std in place of runs."""
    is_published: bool = False
    """Whether each number of the file is judged by itself, as `audit` does; a single run unless more is known."""
    notes: tuple[str, ...] = ()
    """What was left out or assumed, one sentence each."""

    def line(self) -> str:
        """Return one sentence: ``runs.csv: 6 runs, metric val_acc (last of 90 by `epoch`), seeds by `seed`.``"""
        last = "" if self.clock is None else f" (last of {self.n_points} by `{self.clock}`)"
        arms = "" if not self.arms_by else ", arms by " + " and ".join(f"`{name}`" for name in self.arms_by)
        assumed = ", no seed column: each run counts as a seed" if self.n_runs > 1 else ""
        seeds = assumed if self.seeds_by is None else f", seeds by `{self.seeds_by}`"
        runs = f"{self.n_runs} run{'' if self.n_runs == 1 else 's'}"
        if self.is_published:
            return f"{self.file}: {self.n_runs} published numbers, metric {self.metric}{arms}"
        if self.is_of_means:
            return f"{self.file}: means and stds of {runs}, metric {self.metric}"
        return f"{self.file}: {runs}, metric {self.metric}{last}{arms}{seeds}"

    def with_arm(self, other: Reading) -> Reading:
        """Return what was read with another arm of the same file."""
        return replace(
            self,
            n_runs=self.n_runs + other.n_runs,
            clock=self.clock or other.clock,
            n_points=max(self.n_points or 0, other.n_points or 0) or None,
            arms_by=tuple(dict.fromkeys((*self.arms_by, *other.arms_by))),
            seeds_by=self.seeds_by or other.seeds_by,
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
        )


class Readings(tuple[Reading, ...]):
    """What was read from each file of an answer."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any] | None:
        """Return what `--json` has under ``read``: of one file, of all files together and each, or nothing."""
        if not self:
            return None
        each = [asdict(reading) for reading in self]
        if len(each) == 1:
            return each[0]
        together = asdict(reduce(Reading.with_arm, self))
        return {**together, "file": ", ".join(reading.file for reading in self), "files": each}


NOTHING_READ = Readings()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """Every trial of a design in which some share random streams; seeds as such are a part of them."""

    seeds: Mapping[str, npt.NDArray[np.int64]]
    """Stream that varies -> its seed in each trial, (n_trials,)."""
    replicates: npt.NDArray[np.int64]
    """(n_trials,) number of the repetition."""
    values: Values
    """(n_trials,), in the group's unit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """The seeds of one recipe on one model and data set, by one eval set."""

    label: str
    """Its name in tables."""
    recipe: str
    model: str | None
    data: str | None
    eval_set: str
    metric: str
    unit: str | None
    """``pp`` (percentage points) for accuracies; None for any other metric."""
    seeds: tuple[int, ...] | None
    """Seed of each value; None where the file does not say."""
    values: Values
    """One number per finished trial, shape (n_seeds,), in ``unit``."""
    n_left_out: int = 0
    """Trials that ended without a result (diverged, failed or interrupted)."""
    recipe_id: str = ""
    pool_key: str = ""
    """Equal for trials whose provenance agrees."""
    notes: tuple[str, ...] = ()
    """What the files left unclear."""
    origin: str = ""
    """The files it was read from, or the study; may be empty."""
    step: float | None = None
    """Distance between possible values, in ``unit``: one image; None where the number of images is not known."""
    declared_margin: float | None = None
    """Smallest difference of interest that the study declared, in ``unit``; None for files."""
    declared_images: Literal["these", "new"] | None = None
    """What the study declared its verdicts to be about; None where it declared nothing, and for files."""
    declared_lower: bool | None = None
    """Whether lower is better, as the study of a command declared; None where it declared nothing, and for files."""
    trial_ids: tuple[str, ...] = ()
    """The trial of each value; empty for files."""
    train_s: float | None = None
    """Mean seconds of training one seed; None where it was not measured."""
    device: str | None = None
    """Where that was, by the device's product name; None where it was not measured, or on several kinds."""
    moments: Moments | None = None
    """All that is known where `values` is empty: a published mean and std."""
    read: Reading | None = None
    """How it was read from a file; None for studies and plain numbers."""
    vary: tuple[str, ...] = ()
    """Random streams that differ between its trials; empty where unknown."""
    cells: Cells | None = None
    """All trials, where some were left out of `values` because they share streams; None where none does."""

    @property
    def n(self) -> int:
        return len(self.values) if self.moments is None else self.moments.n

    def to_dict(self) -> dict[str, str | None]:
        """Return what identifies a group in every JSON document."""
        return {key: getattr(self, key) for key in ("recipe", "model", "data", "eval_set", "metric", "unit")}

    @property
    def seed0(self) -> float | None:
        """Result of seed 0, the one most papers would have reported."""
        return float(self.values[self.seeds.index(0)]) if self.seeds and 0 in self.seeds else None
