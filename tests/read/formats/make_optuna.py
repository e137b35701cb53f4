"""Write an Optuna study as `trials_dataframe()`, SQLite storage and journal. Made with optuna 5.0.0, Python 3.11.

Two values of lr times three seeds complete; one trial was pruned, one failed, one still runs.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
from making import ARMS, EPOCHS, SEEDS, keep, top1

optuna.logging.set_verbosity(optuna.logging.ERROR)


def train(trial: optuna.Trial) -> float:
    """Report the accuracies of one training."""
    lr = trial.suggest_categorical("lr", list(ARMS.values()))
    seed = trial.suggest_int("seed", 0, 9)
    trial.suggest_categorical("optimizer", ["sgd"])
    arm = next(arm for arm, rate in ARMS.items() if rate == lr)
    trial.set_user_attr("arm", arm)
    for epoch in range(EPOCHS):
        trial.report(top1(arm, min(seed, 3), epoch), epoch)
        if seed == 3 and epoch == 1:
            raise optuna.TrialPruned
        if seed == 4 and epoch == 1:
            raise ValueError
    return top1(arm, seed, EPOCHS - 1)


def fill(storage: str | optuna.storages.BaseStorage) -> optuna.Study:
    """Run the study."""
    study = optuna.create_study(study_name="lr", storage=storage, direction="maximize")
    seeds = [(rate, seed) for rate in ARMS.values() for seed in SEEDS] + [(ARMS["small"], 3), (ARMS["large"], 4)]
    for rate, seed in seeds:
        study.enqueue_trial({"lr": rate, "seed": seed, "optimizer": "sgd"})
    study.optimize(train, n_trials=len(seeds), catch=(ValueError,))
    study.enqueue_trial({"lr": ARMS["large"]})
    running = study.ask()
    running.suggest_categorical("lr", list(ARMS.values()))
    running.report(50.0, 0)
    return study


def write(out: Path) -> None:
    """Write the three files."""
    study = fill(f"sqlite:///{out}/optuna.db")
    study.trials_dataframe().to_csv(out / "trials.csv")
    database = sqlite3.connect(out / "optuna.db")
    database.execute("VACUUM")
    database.close()
    fill(optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(out / "journal.log"))))


if __name__ == "__main__":
    keep(write, "optuna")
