"""A small ImageNet on disk: ILSVRC names, five declared classes, generated JPEGs or those of the optional sample."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seedstudy.data import imagenet

CLASSES = ("n01440764", "n01443537", "n02102040", "n03000684", "n15075141")
"""Labels 0, 1, 217, 491 and 999."""
SHARED = Path(os.environ.get("SEEDSTUDY_SHARED", Path(__file__).parents[2] / "shared"))
"""Optional data beside the checkout: tests that need it skip where it is absent."""
SAMPLE = SHARED / "data" / "imagenet_sample"


def jpeg(level: int = 90, *, mode: str = "RGB", size: tuple[int, int] = (48, 36)) -> bytes:
    rng = np.random.default_rng(level)
    pixels = np.clip(level + rng.normal(0, 20, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG")
    return stream.getvalue()


def val_numbers(label: int, n: int) -> list[int]:
    """Return the numbers of ILSVRC validation images that ReaL gives this label alone."""
    return [i + 1 for i, labels in enumerate(imagenet.real_labels()) if labels == (label,)][:n]


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def make_tree(root: Path, *, classes: tuple[str, ...] = CLASSES, n_train: int = 4, n_val: int = 2) -> Path:
    """Lay out train, val and V2 (matched frequency, as numbered folders) and declare the classes."""
    for place, synset in enumerate(classes):
        label, level = imagenet.synsets().index(synset), 40 + 170 * place // len(classes)
        for n in range(n_train):
            write(root / "train" / synset / f"{synset}_{n + 10}.JPEG", jpeg(level + n))
        for n, number in enumerate(val_numbers(label, n_val)):
            write(root / "val" / synset / f"ILSVRC2012_val_{number:08d}.JPEG", jpeg(level + n))
        write(root / "imagenetv2-matched-frequency-format-val" / str(label) / f"{place:x}a.jpeg", jpeg(level))
    (root / "classes.txt").write_text("\n".join(classes) + "\n")
    return root


def pack(folder: Path, target: Path) -> None:
    """Pack a folder (``with`` its own name) into a tar, gzipped where the name says so, and remove the folder."""
    with tarfile.open(target, "w:gz" if target.suffix == ".gz" else "w") as tar:
        tar.add(folder, arcname=folder.name)
    remove(folder)


def remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def make_sample_tree(root: Path, *, n_classes: int, copies: int = 2) -> Path:
    """Lay out real ImageNet JPEGs: each class has one, under several names in train and once in val."""
    if not SAMPLE.is_dir():
        pytest.skip("needs the optional ImageNet sample beside the checkout")
    chosen = sorted(folder.name for folder in SAMPLE.iterdir())[:n_classes]
    for synset in chosen:
        content = next((SAMPLE / synset).iterdir()).read_bytes()
        label = imagenet.synsets().index(synset)
        for n in range(copies):
            write(root / "train" / synset / f"{synset}_{n + 1}.JPEG", content)
        write(root / "val" / synset / f"ILSVRC2012_val_{val_numbers(label, 1)[0]:08d}.JPEG", content)
        write(root / "imagenetv2-matched-frequency-format-val" / str(label) / "0123abcd.jpeg", content)
    (root / "classes.txt").write_text("\n".join(chosen) + "\n")
    return root
