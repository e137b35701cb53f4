"""Write the folders of Hugging Face's Trainer. Made with transformers 5.24.0, torch 2.15.0, Python 3.11.

The Trainer trains a network of one weight; its metrics are the known numbers. all_results.json, train_results.json,
eval_results.json and trainer_state.json are written by the Trainer's own functions, as its example scripts do.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from making import ARMS, EPOCHS, SEEDS, keep, top1
from transformers import Trainer, TrainingArguments


class Network(torch.nn.Module):
    """One weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.weight * x
        return {"loss": (logits - labels).square().mean(), "logits": logits}


def write(out: Path) -> None:
    """Train the networks."""
    data = [{"x": torch.ones(1), "labels": torch.zeros(1)}] * 4
    for arm, lr in ARMS.items():
        for seed in SEEDS:
            evaluated = iter([*range(EPOCHS), EPOCHS - 1])

            def metrics(_: object, arm: str = arm, seed: int = seed, evaluated: object = evaluated) -> dict[str, float]:
                return {"accuracy": top1(arm, seed, next(evaluated)) / 100}

            arguments = TrainingArguments(
                output_dir=str(out / arm / f"run{seed}"),
                seed=seed,
                learning_rate=lr,
                num_train_epochs=EPOCHS,
                per_device_train_batch_size=2,
                eval_strategy="epoch",
                save_strategy="epoch",
                save_total_limit=1,
                logging_steps=1,
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
            )
            trainer = Trainer(Network(), arguments, train_dataset=data, eval_dataset=data, compute_metrics=metrics)
            trained = trainer.train()
            trainer.log_metrics("train", trained.metrics)
            trainer.save_metrics("train", trained.metrics)
            trainer.save_state()
            trainer.save_metrics("eval", trainer.evaluate())
    for path in out.rglob("*"):
        if path.suffix in (".bin", ".pt", ".pth", ".safetensors"):
            path.unlink()


if __name__ == "__main__":
    keep(write, "transformers")
