"""Write TensorBoard event files with torch.utils.tensorboard. Made with tensorboard 2.21.0, torch 2.15.0, Python 3.11.

The last training was cut off: its file ends within a record.
"""

from __future__ import annotations

from pathlib import Path

from making import ARMS, EPOCHS, SEEDS, keep, loss, top1
from torch.utils.tensorboard import SummaryWriter


def write(out: Path) -> None:
    """Write one folder per training."""
    for arm, lr in ARMS.items():
        for seed in [*SEEDS, 3]:
            folder = out / "runs" / f"{arm}_seed{seed}"
            with SummaryWriter(folder) as writer:
                for epoch in range(EPOCHS):
                    writer.add_scalar("Accuracy/val", top1(arm, seed, epoch), epoch)
                    writer.add_scalar("Loss/train", loss(arm, seed, epoch), epoch)
                writer.add_text("config", f"lr={lr}")
            if seed == 3:
                (events,) = folder.iterdir()
                events.write_bytes(events.read_bytes()[:-150])


if __name__ == "__main__":
    keep(write, "tensorboard")
