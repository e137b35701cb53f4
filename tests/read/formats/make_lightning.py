"""Write Lightning's CSVLogger folders. Made with lightning 2.6.6, torch 2.15.0, Python 3.11.

Lightning trains a network of one weight; what it logs are the known numbers. One training raised an error in epoch 2,
and one was validated again after `fit`, which adds a row behind the last step.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Network(L.LightningModule):
    """One weight, and the known numbers."""

    def __init__(self, arm: str, lr: float, seed: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        arm, seed = self.hparams["arm"], self.hparams["seed"]
        self.log("train_loss", loss(arm, seed, min(self.current_epoch, EPOCHS - 1)))
        return (self.weight * batch[0]).mean()

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        epoch = min(self.current_epoch, EPOCHS - 1)
        if self.hparams["seed"] == 3 and epoch == 2:
            raise ValueError("diverged")
        again = 0.0 if self.trainer.state.fn == "fit" else 1.0
        self.log("val_acc", (top1(self.hparams["arm"], self.hparams["seed"], epoch) + again) / 100)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])


def write(out: Path) -> None:
    """Train the networks."""
    data = DataLoader(TensorDataset(torch.ones(4, 1)), batch_size=2)
    for arm, lr in ARMS.items():
        for seed in [*SEEDS, 3]:
            trainer = L.Trainer(
                max_epochs=EPOCHS,
                accelerator="cpu",
                logger=CSVLogger(out, name=f"logs_{arm}"),
                log_every_n_steps=1,
                num_sanity_val_steps=0,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            network = Network(arm, lr, seed)
            with contextlib.suppress(ValueError):
                trainer.fit(network, data, data)
            if arm == "large" and seed == 2:
                trainer.validate(network, data, verbose=False)


if __name__ == "__main__":
    keep(write, "lightning")
