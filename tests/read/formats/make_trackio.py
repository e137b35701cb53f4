"""Write a Trackio project. Made with trackio 0.43.0, Python 3.11.

Six runs that finished, and one that logged two epochs only. Trackio keeps no status.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

STORE = Path(tempfile.mkdtemp())
os.environ["TRACKIO_DIR"] = str(STORE)
os.environ["HF_HUB_OFFLINE"] = "1"

import trackio  # noqa: E402
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1  # noqa: E402


def log(arm: str, seed: int, epochs: int = EPOCHS) -> None:
    """Log one training, nested metrics among its numbers."""
    config = {"lr": ARMS[arm], "arm": arm, "training": {"seed": seed, "epochs": EPOCHS}, "betas": [0.9, 0.999]}
    trackio.init("sweep", name=f"{arm}-s{seed}" + ("" if epochs == EPOCHS else "-again"), config=config, embed=False)
    for epoch in range(epochs):
        trackio.log({"epoch": epoch, "train/loss": loss(arm, seed, epoch), "val": {"acc": top1(arm, seed, epoch)}})
    trackio.finish()


def write(out: Path) -> None:
    """Write the project's database."""
    for arm in ARMS:
        for seed in SEEDS:
            log(arm, seed)
    log("small", 3, epochs=2)
    for path in STORE.rglob("*.db"):
        database = sqlite3.connect(path)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("VACUUM")
        database.close()
        shutil.copy(path, out)


if __name__ == "__main__":
    keep(write, "trackio")
