"""Write a Ray Tune experiment: result.json, progress.csv, params.json of each trial. Made with ray 2.60.0, Python 3.11.

Six trials terminated, two raised an error in their third iteration.
Its pickles are left out.
"""

from __future__ import annotations

from pathlib import Path

import ray
from making import EPOCHS, keep, loss, top1
from ray import tune


def train(config: dict[str, object]) -> None:
    """Report the accuracies of one training, with nested numbers."""
    arm, seed = config["arm"], config["seed"]
    for epoch in range(EPOCHS):
        if seed == 3 and epoch == 2:
            raise ValueError("diverged")
        tune.report({"val_acc": top1(arm, seed, epoch), "losses": {"train": loss(arm, seed, epoch)}})


def write(out: Path) -> None:
    """Run the sweep."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    space = {"arm": tune.grid_search(["small", "large"]), "opt": {"lr": 0.1}, "seed": tune.grid_search([0, 1, 2, 3])}
    run = tune.RunConfig(name="sweep", storage_path=str(out), verbose=0)
    tune.Tuner(train, param_space=space, run_config=run).fit()
    ray.shutdown()
    for path in [*out.rglob("*.pkl"), *out.rglob(".validate*"), *out.rglob("basic-variant-state*")]:
        path.unlink()


if __name__ == "__main__":
    keep(write, "ray")
