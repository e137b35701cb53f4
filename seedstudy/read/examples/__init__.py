"""Small frames of real results that come with the package: copies of those in `studies/`, which a test compares."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable

EXAMPLES: Mapping[str, str] = {
    "a2_a3": "race_a2_a3/trials.csv",
    "a2_100_seeds": "a2_100_seeds/trials.csv",
    "cells": "variance_sources/cells.csv",
    "rsb_table3": "rsb_table3/table3.csv",
    "families": "resnet_rs_scaling/families.csv",
}
"""Name -> the file in `studies/` that it is a copy of."""


def example_file(name: str) -> Traversable:
    """Return the file of an example."""
    return resources.files(__name__).joinpath(f"{name}.csv")
