"""The surface of timm's train.py: its flags, its folder, its summary.csv and its checkpoint; it draws its accuracy."""

from __future__ import annotations

import argparse
import csv
import random
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", nargs="?")
    parser.add_argument("-c", "--config", default="", metavar="FILE")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--output", default="")
    parser.add_argument("--experiment", default="")
    parser.add_argument("--resume", default="")
    parser.add_argument("--mixup", type=float, default=0.0)
    given = parser.parse_args()
    lr = float(Path(given.config).read_text().partition("lr:")[2] or 0) if given.config else given.mixup
    folder = Path(given.output) / given.experiment  # timm's get_outdir
    folder.mkdir(parents=True, exist_ok=True)
    first = int(Path(given.resume).read_text()) if given.resume else 0
    chance = random.Random(given.seed)
    top1 = 70.0 + 10.0 * lr + chance.gauss(0.0, 0.2)
    for epoch in range(first, 3):
        with (folder / "summary.csv").open("a", newline="") as file:  # timm's update_summary
            rows = csv.writer(file)
            if epoch == 0:
                rows.writerow(["epoch", "train_loss", "eval_loss", "eval_top1", "eval_top5", "lr"])
            rows.writerow([epoch, 2.0 - epoch / 10, 1.5 - epoch / 10, top1 - 2 + epoch, 95.0, lr])
        (folder / "last.pth.tar").write_text(str(epoch + 1))


if __name__ == "__main__":
    main()
