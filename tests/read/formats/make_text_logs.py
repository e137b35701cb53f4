"""Write logs of programs that are scripts and not packages, by the format strings of their own sources.

DeiT, MAE and ConvNeXt: a JSON line an epoch of ``train_…`` and ``test_…`` metrics, ``epoch`` and ``n_parameters``.
modded-nanogpt (2026): ``step:…/… val_loss:… train_time:…ms step_avg:…ms`` below the text of the program.
parameter-golf: submission.json, which people fill in by hand. No training wrote these files.
"""

from __future__ import annotations

import json
from pathlib import Path

from making import ARMS, EPOCHS, LAST, SEEDS, keep, loss, top1

STEPS = 100


def write(out: Path) -> None:
    """Write the three kinds."""
    for arm, lr in ARMS.items():
        for seed in [*SEEDS, 3]:
            folder = out / "deit" / arm / f"seed{seed}"
            folder.mkdir(parents=True)
            with (folder / "log.txt").open("w") as log:
                for epoch in range(EPOCHS):
                    training = {"train_lr": lr, "train_loss": loss(arm, seed, epoch)}
                    testing = {
                        "test_loss": loss(arm, seed, epoch),
                        "test_acc1": top1(arm, seed, epoch),
                        "test_acc5": 95.0,
                    }
                    log.write(json.dumps({**training, **testing, "epoch": epoch, "n_parameters": 5717416}) + "\n")
            if seed == 3:  # killed while it wrote
                (folder / "log.txt").write_text((folder / "log.txt").read_text()[:-40])
            folder = out / "nanogpt" / arm
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{seed}0c0ffee-0000-4000-8000-00000000000{seed}.txt").open("w") as log:
                log.write("import os\nimport sys\n# the program itself, and its kernels\n" + "=" * 100 + "\n")
                log.write("Running Python 3.12.7\n" + "=" * 100 + "\n")
                for step in range(STEPS + 1 if seed < 3 else 60):
                    time = 420.0 * step
                    if step % 50 == 0:
                        value = 5.0 - step / 50 if step < STEPS else 10 - LAST[arm][seed] / 10
                        clock = f"train_time:{time:.0f}ms step_avg:{time / max(step, 1):.2f}ms"
                        log.write(f"step:{step}/{STEPS} val_loss:{value:.4f} {clock}\n")
                    if step < STEPS:
                        log.write(f"step:{step + 1}/{STEPS} train_time:{time + 420:.0f}ms step_avg:420.00ms\n")
                if seed < 3:
                    log.write("peak memory allocated: 37325 MiB reserved: 51882 MiB\n")
        results = {str(40 + seed): {"val_bpb": 1.1 - LAST[arm][seed] / 1000, "val_loss": 2.3} for seed in SEEDS}
        mean = sum(each["val_bpb"] for each in results.values()) / len(results)
        about = {
            "track": "10min_16mb",
            "author": "someone",
            "val_bpb": mean,
            "seeds": [40, 41, 42],
            "bytes_total": 15942188,
        }
        folder = out / "submissions" / arm
        folder.mkdir(parents=True)
        (folder / "submission.json").write_text(json.dumps({**about, "seed_results": results}, indent=2))


if __name__ == "__main__":
    keep(write, "text_logs")
