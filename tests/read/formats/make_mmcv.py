"""Write the `*.log.json` of mmcv 1.x. Made with mmcv 1.7.2 (without operators), torch 2.15.0, Python 3.11.

mmcv's runner trains a network of one weight; a hook puts the known numbers into its log buffer, as its EvalHook does.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from making import ARMS, EPOCHS, SEEDS, keep, top1
from mmcv.runner import EpochBasedRunner, Hook, TextLoggerHook


class Network(torch.nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def train_step(self, batch: torch.Tensor, optimizer: object) -> dict[str, object]:
        loss = (self.weight * batch).mean()
        return {"loss": loss, "log_vars": {"loss": loss.item()}, "num_samples": len(batch)}


class Known(Hook):
    """The known numbers after each epoch."""

    def __init__(self, arm: str, seed: int) -> None:
        self.of = arm, seed

    def after_train_epoch(self, runner: EpochBasedRunner) -> None:
        runner.log_buffer.output["accuracy_top-1"] = top1(*self.of, runner.epoch)
        runner.log_buffer.ready = True


def write(out: Path) -> None:
    """Train six networks."""
    for arm, lr in ARMS.items():
        for seed in SEEDS:
            folder = out / "work_dirs" / arm / f"seed_{seed}"
            network = Network()
            runner = EpochBasedRunner(
                network,
                optimizer=torch.optim.SGD(network.parameters(), lr=lr),
                work_dir=str(folder),
                logger=logging.getLogger("mmcv"),
                meta={"env_info": "Python 3.11", "seed": seed, "exp_name": f"{arm}.py"},
                max_epochs=EPOCHS,
            )
            runner.register_hook(Known(arm, seed), priority="LOW")
            runner.register_training_hooks(
                lr_config={"policy": "fixed"},
                optimizer_config={"grad_clip": None},
                log_config={"interval": 1, "hooks": []},
            )
            runner.register_hook(TextLoggerHook(interval=1), priority="VERY_LOW")
            runner.run([[torch.ones(2), torch.ones(2)]], [("train", 1)])


if __name__ == "__main__":
    keep(write, "mmcv")
