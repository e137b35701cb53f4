"""A trial on the number of processes torchrun started: `torchrun … layout_trial.py OUT MICRO_BATCH SYNC [TREE CACHE]`.

Saves what must not depend on the layout: predictions, counts, losses and the batch-norm statistics' effect on both.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from seedstudy import data as datasets
from seedstudy.recipes.reader import load_recipe, with_values
from seedstudy.recipes.scaling import DataFacts, scale
from seedstudy.study.trial import Trial
from seedstudy.train.trial import train_trial
from tests.conftest import make_dataset


def main() -> None:
    out, micro_batch, sync, *tree = sys.argv[1:]
    torch.set_num_threads(1)
    values = ["batch_size=16", f"micro_batch={micro_batch}", f"batch_norm_sync={sync}", "drop_path=0.3", "lr=0.02"]
    if tree:
        data = datasets.load(datasets.prepare("imagenet", data_dir=Path(tree[0]), cache_dir=Path(tree[1])))
        small = ["epochs=2", "warmup_epochs=0.5", "train_size=32", "test_size=32"]
        recipe, model = with_values(load_recipe("a2"), [*values, *small]), "test_resnet"
    else:
        data = make_dataset(n_val=41)  # odd: no two processes can share it equally
        facts = DataFacts(name="tiny", n_train=64, image_size=16, epoch_ratio=0.04)
        whole = scale(load_recipe("a2"), facts, epochs=2)
        recipe, model = with_values(whole, values), "resnet8_nano"
    trial = Trial(
        recipe=recipe,
        model=model,
        data=data.name,
        data_fingerprint=data.fingerprint,
        train_limit=None,
        vary=("init", "order", "augment", "mix", "drop"),
        seed=3,
    )
    result = train_trial(trial, data)
    if PartialState().is_main_process:
        np.savez(
            out,
            n_processes=result.provenance["n_processes"],
            train_loss=[report.train_loss for report in result.curves],
            **{f"{name}.predicted": each.predicted for name, each in result.evaluations.items()},
            **{f"{name}.confidence": each.confidence for name, each in result.evaluations.items()},
            **{f"{name}.counts": [each.n_examples, each.n_correct] for name, each in result.evaluations.items()},
            **{f"{name}.loss": each.loss for name, each in result.evaluations.items()},
        )


if __name__ == "__main__":
    main()
