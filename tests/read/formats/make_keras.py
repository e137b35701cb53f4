"""Write a log of Keras' CSVLogger for each training. Made with keras 3.15.1 (backend torch 2.15.0), Python 3.11.

Keras trains; what is logged is replaced by the known numbers just before CSVLogger writes it.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1


class Known(keras.callbacks.CSVLogger):
    """CSVLogger with the known numbers in place of the measured ones."""

    def __init__(self, path: Path, arm: str, seed: int) -> None:
        super().__init__(str(path))
        self.of = arm, seed

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        known = {"val_accuracy": top1(*self.of, epoch) / 100, "val_loss": loss(*self.of, epoch)}
        super().on_epoch_end(epoch, {**(logs or {}), **known})


def write(out: Path) -> None:
    """Train six networks of one layer."""
    images, labels = np.zeros((8, 4), np.float32), np.zeros(8)
    for arm in ARMS:
        for seed in SEEDS:
            keras.utils.set_random_seed(seed)
            network = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
            network.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
            folder = out / "runs" / arm / f"seed{seed}"
            folder.mkdir(parents=True)
            log = Known(folder / "training.log", arm, seed)
            known = {"epochs": EPOCHS, "verbose": 0, "callbacks": [log], "validation_data": (images, labels)}
            network.fit(images, labels, **known)


if __name__ == "__main__":
    keep(write, "keras")
