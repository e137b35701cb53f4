"""Write the results.csv and args.yaml of Ultralytics' classification. Made with ultralytics 8.4.190 and 8.0.200.

The networks are trained for two epochs on 32 noise images: measured numbers. Old versions pad names and cells
with blanks. Weights and pictures are left out. `make_ultralytics.py FOLDER` writes ultralytics_<version>.zip.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import ultralytics
from making import keep
from PIL import Image

os.environ["YOLO_OFFLINE"] = "true"


def write(out: Path) -> None:
    """Train six networks."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label in ("a", "b"):
            folder = out / "images" / part / label
            folder.mkdir(parents=True)
            for n in range(8):
                Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    config = "yolov8n-cls.yaml"
    for arm, lr in (("small", 0.001), ("large", 0.1)):
        for seed in (0, 1, 2):
            ultralytics.YOLO(config).train(
                data=str(out / "images"), epochs=2, imgsz=32, batch=8, lr0=lr, seed=seed, optimizer="SGD", device="cpu",
                workers=0, plots=False, save=False, verbose=False, project=str(out / "runs"), name=f"{arm}{seed}",
            )  # fmt: skip
    shutil.rmtree(out / "images")
    for path in out.rglob("*"):
        if path.is_file() and path.name not in ("results.csv", "args.yaml"):
            path.unlink()


if __name__ == "__main__":
    keep(write, f"ultralytics_{ultralytics.__version__}")
