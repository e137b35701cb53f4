"""Write a Sacred FileStorageObserver folder. Made with sacred 0.8.7 (with setuptools < 81), Python 3.11.

Six runs completed, one failed, one was interrupted.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import sacred
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1
from sacred.observers import FileStorageObserver

sacred.SETTINGS.CAPTURE_MODE = "no"
sacred.SETTINGS.HOST_INFO.INCLUDE_GPU_INFO = False


def write(out: Path) -> None:
    """Run the experiment eight times."""
    experiment = sacred.Experiment("lr", save_git_info=False)
    experiment.observers.append(FileStorageObserver(out / "runs", copy_sources=False))

    @experiment.config
    def config() -> None:
        optimizer = {"name": "sgd", "lr": 0.1}  # noqa: F841  # Sacred takes the local variables
        ends_after = EPOCHS  # noqa: F841

    @experiment.main
    def main(_run: sacred.run.Run, seed: int, optimizer: dict[str, object], ends_after: int) -> float:
        arm = next(arm for arm, rate in ARMS.items() if rate == optimizer["lr"])
        for epoch in range(ends_after):
            _run.log_scalar("train.loss", loss(arm, seed, epoch), epoch)
            _run.log_scalar("val.acc", top1(arm, seed, epoch), epoch)
        if ends_after == 1:
            raise KeyboardInterrupt
        if ends_after < EPOCHS:
            raise ValueError("diverged")
        return top1(arm, seed, EPOCHS - 1)

    for rate in ARMS.values():
        for seed in SEEDS:
            experiment.run(config_updates={"seed": seed, "optimizer": {"lr": rate}})
    for seed, ends_after in ((2, 2), (3, 1)):
        with contextlib.suppress(ValueError, KeyboardInterrupt):
            experiment.run(config_updates={"seed": seed, "optimizer": {"lr": 0.3}, "ends_after": ends_after})


if __name__ == "__main__":
    keep(write, "sacred")
