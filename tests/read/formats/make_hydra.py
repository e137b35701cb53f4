"""Write a Hydra multirun folder whose job writes a table of its own. Made with hydra-core 1.3.8, Python 3.11.

`python make_hydra.py FOLDER` runs itself again below as a sweep over two optimisers and three seeds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from making import EPOCHS, SEEDS, keep, top1

CONFIG = """\
defaults:
  - optimizer: small
  - _self_
seed: 0
epochs: 4
data:
  name: shapes
  sizes: [32, 64]
"""


def job() -> None:
    """Train once, as Hydra's job: metrics.jsonl in the working folder."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig

    @hydra.main(version_base=None, config_path=sys.argv.pop(), config_name="config")
    def main(config: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        with (folder / "metrics.jsonl").open("w") as log:
            for epoch in range(EPOCHS):
                line = {"epoch": epoch, "val_acc": top1(config.optimizer.name, config.seed, epoch)}
                log.write(json.dumps(line) + "\n")

    main()


def write(out: Path) -> None:
    """Sweep."""
    config = out / "config"
    (config / "optimizer").mkdir(parents=True)
    (config / "config.yaml").write_text(CONFIG)
    for arm, lr in (("small", 0.1), ("large", 0.3)):
        (config / "optimizer" / f"{arm}.yaml").write_text(f"name: {arm}\nlr: {lr}\n")
    sweep = ["-m", "optimizer=small,large", f"seed={','.join(map(str, SEEDS))}", "hydra.sweep.dir=multirun"]
    subprocess.run([sys.executable, __file__, *sweep, str(config)], cwd=out, check=True, env={"HYDRA_JOB": "1"})


if __name__ == "__main__":
    import os

    if os.environ.get("HYDRA_JOB"):
        job()
    else:
        keep(write, "hydra")
