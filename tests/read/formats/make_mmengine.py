"""Write an mmengine work folder for each training. Made with mmengine 0.10.7, torch 2.15.0, Python 3.11.

mmengine's Runner trains a network of one weight; its evaluator returns the known numbers. The weights are left out.
"""

from __future__ import annotations

from pathlib import Path

import torch
from making import ARMS, EPOCHS, SEEDS, keep, top1
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.runner import Runner


@MODELS.register_module()
class Weight(BaseModel):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, mode: str) -> object:
        return {"loss": (self.weight * x).mean()} if mode == "loss" else [0]


@DATASETS.register_module()
class Ones(torch.utils.data.Dataset):
    """Four ones."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"x": torch.ones(1)}


@METRICS.register_module()
class Known(BaseMetric):
    """The known numbers, in the order of the epochs."""

    def __init__(self, arm: str, seed: int) -> None:
        super().__init__()
        self.of, self.epoch = (arm, seed), 0

    def process(self, data_batch: object, data_samples: object) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        self.epoch += 1
        return {"accuracy/top1": top1(*self.of, self.epoch - 1), "accuracy/top5": 95.0}


def write(out: Path) -> None:
    """Train six networks."""
    data = {"dataset": {"type": "Ones"}, "batch_size": 2, "num_workers": 0, "sampler": {"type": "DefaultSampler"}}
    data["collate_fn"] = {"type": "default_collate"}
    for arm, lr in ARMS.items():
        for seed in SEEDS:
            config = {
                "model": {"type": "Weight"},
                "work_dir": str(out / "work_dirs" / f"{arm}-{seed}"),
                "train_dataloader": data,
                "val_dataloader": data,
                "train_cfg": {"by_epoch": True, "max_epochs": EPOCHS},
                "val_cfg": {},
                "val_evaluator": {"type": "Known", "arm": arm, "seed": seed},
                "optim_wrapper": {"optimizer": {"type": "SGD", "lr": lr}},
                "randomness": {"seed": seed},
                "default_hooks": {"logger": {"type": "LoggerHook", "interval": 1}},
                "log_level": "ERROR",
            }
            Runner.from_cfg({**config, "experiment_name": f"{arm}{seed}"}).train()
    for path in [*out.rglob("*.pth"), *out.rglob("last_checkpoint")]:
        path.unlink()


if __name__ == "__main__":
    keep(write, "mmengine")
