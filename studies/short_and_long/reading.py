"""What `trials.csv` and `images.csv` say, by the rule of README.md.

``python -m studies.short_and_long.reading FOLDER_OF_STUDY…`` writes images.csv: what needs the predictions of each
image, which results have and frames of counts have not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import stats

import seedstudy as ss
from seedstudy.stats.result import format_p

HERE = Path(__file__).parent
LENGTHS = (1, 3, 10, 30)
N_SEEDS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """One length of training; stds over seeds in points, with 95 % intervals."""

    epochs: int
    values: np.ndarray
    """Top-1 on val."""
    std: tuple[float, float, float]
    endless: tuple[float, float, float]
    """On endless images like these: the distribution-wise std."""

    @property
    def share(self) -> float:
        """Return the distribution-wise variance divided by that on the test set."""
        return (self.endless[0] / self.std[0]) ** 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The lengths with all their seeds, and the two verdicts of the rule."""

    lengths: tuple[Length, ...]
    p_value: float
    """Of equal stds on the test set after the shortest and the longest training (Brown-Forsythe)."""

    @property
    def falls(self) -> str:
        """Return the verdict of rule 1."""
        shortest, longest = self.lengths[0], self.lengths[-1]
        if self.p_value >= 0.05:
            return "undecided"
        return "supported" if longest.std[0] < shortest.std[0] else "not supported"

    @property
    def falls_beyond(self) -> str:
        """Return the verdict of rule 2."""
        (_, low_1, high_1), (_, low_n, high_n) = self.lengths[0].endless, self.lengths[-1].endless
        return "supported" if high_n < low_1 else "not supported" if low_n > high_1 else "undecided"


def read(folder: Path = HERE) -> Reading | None:
    """Read the frames; None where fewer than two lengths, or not the shortest, have all of their seeds."""
    if not (folder / "images.csv").exists():
        return None
    val = pl.read_csv(folder / "trials.csv").filter(pl.col("eval_set") == "val").sort("seed")
    images = {row["epochs"]: row for row in pl.read_csv(folder / "images.csv").iter_rows(named=True)}
    found = []
    for epochs in LENGTHS:
        rows = val.filter(pl.col("epochs") == epochs)
        if len(rows) < N_SEEDS or epochs not in images:
            continue
        values = (100.0 * rows["n_correct"] / rows["n_examples"]).to_numpy()
        d = ss.summary(list(values))[0].to_dict()
        endless = tuple(images[epochs][name] for name in ("endless_std", "low", "high"))
        found.append(Length(epochs=epochs, values=values, std=(d["std"], *d["std_ci"]), endless=endless))
    if len(found) < 2 or found[0].epochs != LENGTHS[0]:
        return None
    p = float(stats.levene(found[0].values, found[-1].values, center="median").pvalue)
    return Reading(lengths=tuple(found), p_value=p)


def table(found: Reading) -> list[str]:
    """Return the rows of README.md's table."""

    def ends(of: tuple[float, float, float]) -> str:
        return f"{of[0]:.2f} [{of[1]:.2f}, {of[2]:.2f}]"

    return [
        f"| {each.epochs} | {each.values.size} | {each.values.mean():.2f} | {ends(each.std)} | {ends(each.endless)} | "
        f"{each.share:.2f} |"
        for each in found.lengths
    ]


def sentences(found: Reading) -> tuple[str, str]:
    """Return the two answers with their numbers."""
    shown = ", ".join(f"{each.epochs} epochs {each.std[0]:.2f}" for each in found.lengths)
    first, last = found.lengths[0], found.lengths[-1]
    beyond = (f"{each.endless[0]:.2f} [{each.endless[1]:.2f}, {each.endless[2]:.2f}]" for each in (first, last))
    return (
        f"std on val after {shown}; Brown-Forsythe of {first.epochs} and {last.epochs}: p = {format_p(found.p_value)}",
        f"distribution-wise std after {first.epochs} and {last.epochs} epochs {' and '.join(beyond)}, "
        f"{100 * first.share:.0f} and {100 * last.share:.0f} % of the variance on the test set",
    )


def main(folders: list[str]) -> None:
    """Write images.csv from the results."""
    rows = []
    for folder in folders:
        path = Path(folder)
        (group,) = ss.variance(f"{path.name}:a2", results=path.parent, eval_sets="val").to_dict()["groups"]
        low, high = group["std_on_endless_images_ci"]
        epochs = int(path.name.rpartition("_")[2])
        rows.append({"epochs": epochs, "endless_std": group["std_on_endless_images"], "low": low, "high": high})
    pl.DataFrame(rows).sort("epochs").write_csv(HERE / "images.csv", float_precision=4)


if __name__ == "__main__":
    main(sys.argv[1:])
