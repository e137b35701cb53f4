"""Write timm's folders of training: summary.csv by `timm.utils.update_summary`, args.yaml as train.py writes it.

Made with timm 1.0.31, Python 3.11. One training was killed in the middle of a line.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import yaml
from making import ARMS, EPOCHS, SEEDS, keep, loss, top1
from timm.utils import get_outdir, update_summary


def write(out: Path) -> None:
    """Write the folders."""
    for arm, lr in ARMS.items():
        for seed in [*SEEDS, 3]:
            folder = Path(get_outdir(str(out / "output" / "train"), f"20260101-12000{seed}-{arm}"))
            (folder / "args.yaml").write_text(yaml.safe_dump({"lr": lr, "model": "resnet18", "seed": seed}))
            for epoch in range(EPOCHS):
                training = OrderedDict(loss=loss(arm, seed, epoch))
                evaluation = OrderedDict(loss=loss(arm, seed, epoch), top1=top1(arm, seed, epoch), top5=95.0)
                log = folder / "summary.csv"
                update_summary(epoch, training, evaluation, str(log), write_header=epoch == 0, lr=lr / 10)
            if seed == 3:
                log.write_text(log.read_text()[:-20])


if __name__ == "__main__":
    keep(write, "timm")
