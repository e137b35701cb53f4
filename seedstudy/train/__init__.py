"""The only home of torch, timm and accelerate: one trial in, integer counts and predictions out."""

from __future__ import annotations

from importlib.util import find_spec

from seedstudy.errors import SeedstudyError

PACKAGES = ("torch", "torchvision", "timm", "accelerate", "datasets", "sklearn", "pyarrow")
"""What the extra ``train`` adds to the core installation, by the names to import."""


def check_extra() -> None:
    """Raise a SeedstudyError where the extra ``train`` is not installed; imports none of its packages."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise SeedstudyError(
            f"training and evaluating networks needs {', '.join(missing)}, not installed here: "
            "pip install 'seedstudy[train]'"
        )
