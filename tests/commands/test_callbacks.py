"""The callbacks on the real libraries: a fit is one row, and an exception is one with a reason."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from seedstudy.store.store import Store

pytestmark = [pytest.mark.train, pytest.mark.slow]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py"])


def row() -> dict[str, Any]:
    (found,) = Store(Path("results"), "main").scan().trials.iter_rows(named=True)
    return dict(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["ends", "raises", "logs another name"])
def test_lightning(how: str) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from seedstudy.callbacks.lightning import SeedstudyCallback

    class Net(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def training_step(self, batch: Any, _: int) -> Any:
            if how == "raises" and self.current_epoch == 1:
                raise RuntimeError("boom")
            return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val_acc", (self.layer(batch[0]).argmax(1) == batch[1]).float().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    x = torch.randn(64, 2)
    loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=64)
    callback = SeedstudyCallback(arm="a2", seed=3, metric="val_acc" if how != "logs another name" else "acc", n=64)
    trainer = lightning.Trainer(
        max_epochs=2, callbacks=[callback], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    if how == "raises":
        with pytest.raises(RuntimeError, match="boom"):
            trainer.fit(Net(), loader, loader)
    else:
        trainer.fit(Net(), loader, loader)
    found = row()
    assert (found["recipe"], found["seed"]) == ("a2", 3)
    match how:
        case "ends":
            assert (found["status"], found["metric"]) == ("ok", "val_acc")
            assert found["value"] == pytest.approx(100.0 * float(trainer.callback_metrics["val_acc"]), abs=1e-4)
        case "raises":
            assert (found["status"], found["reason"]) == ("failed", "RuntimeError: boom")
        case _:
            assert found["reason"] == '"acc" was not logged; there is val_acc'


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("evaluates", ["while it trains", "afterwards"])
def test_transformers(evaluates: str) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    from seedstudy.callbacks.transformers import SeedstudyCallback

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, x: Any, labels: Any) -> dict[str, Any]:
            logits = self.layer(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    x = torch.randn(32, 2)
    data = [{"x": each, "labels": int(each[0] > 0)} for each in x]
    strategy = "epoch" if evaluates == "while it trains" else "no"
    args = transformers.TrainingArguments(
        "out", num_train_epochs=2, eval_strategy=strategy, save_strategy="no", report_to=[], use_cpu=True
    )
    trainer = transformers.Trainer(
        model=Net(),
        args=args,
        train_dataset=data,
        eval_dataset=data,
        compute_metrics=lambda p: {"accuracy": float((p.predictions.argmax(1) == p.label_ids).mean())},
        callbacks=[SeedstudyCallback(arm="a2", seed=args.seed, metric="eval_accuracy", n=32)],
    )
    trainer.train()
    metrics = trainer.evaluate()
    found = row()
    assert (found["status"], found["metric"], found["seed"]) == ("ok", "eval_accuracy", 42)
    assert found["value"] == pytest.approx(100.0 * metrics["eval_accuracy"])


def test_accelerate() -> None:
    accelerate = pytest.importorskip("accelerate")
    from seedstudy.callbacks.accelerate import SeedstudyTracker

    tracker = SeedstudyTracker(arm="a2", seed=1, metric="val_loss", study="main")
    accelerator = accelerate.Accelerator(log_with=tracker, cpu=True)
    accelerator.init_trackers("project", config={"lr": 0.1})
    for epoch in range(3):
        accelerator.log({"train_loss": 1.0}, step=epoch)
        accelerator.log({"val_loss": 2.0 - epoch / 2}, step=epoch)
    accelerator.end_training()
    found = row()
    assert (found["status"], found["metric"], found["value"]) == ("ok", "val_loss", 1.0)
