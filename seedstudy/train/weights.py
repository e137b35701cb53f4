"""Weights in safetensors files: what is kept of a finished trial."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from seedstudy.document import fields_of
from seedstudy.errors import StudyError, first_line, printable
from seedstudy.train.preprocessing import Channels

State = Mapping[str, Tensor]
"""Name of a parameter or buffer -> its values."""

_KEY = "seedstudy"
"""One entry of the file's metadata, so that equal weights are equal files: safetensors gives several no order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What else must be known of weights to use them."""

    model: str
    """timm name."""
    classes: tuple[str, ...]
    """Names of the head's outputs, in order."""
    mean: Channels
    """By which the images were normalised, on the 0-1 scale."""
    std: Channels
    origin: str
    """The trial that trained them."""


def to_bytes(network: nn.Module, about: About) -> bytes:
    """Return a network's parameters and buffers as the content of a safetensors file, in float32."""
    state = {
        # Cloned: safetensors refuses tensors that share memory.
        name: (value.float() if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in network.state_dict().items()
    }
    return save(state, {_KEY: json.dumps(fields_of(about), sort_keys=True)})


def from_bytes(content: bytes, *, where: str) -> tuple[State, About | None]:
    """Return the tensors of a safetensors file, and what we wrote about them; None for a file of another program."""
    try:
        state = load(content)
        # An 8-byte length, then a JSON header, whose metadata `load` drops.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, ValueError, RecursionError) as error:
        raise StudyError(f"{where}: not a safetensors file ({first_line(error)}).") from error
    return state, _about(header.get("__metadata__", {}))


def _about(metadata: Mapping[str, Any]) -> About | None:
    try:
        values = json.loads(metadata[_KEY])
        (r, g, b), (sr, sg, sb) = ([float(x) for x in values[key]] for key in ("mean", "std"))
        return About(
            model=str(values["model"]),
            classes=tuple(map(str, values["classes"])),
            mean=(r, g, b),
            std=(sr, sg, sb),
            origin=str(values["origin"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def why_not(error: Exception) -> str:
    """Say in words why a file of weights cannot be loaded: torch and pickle raise whatever they meet."""
    is_pickle = isinstance(error, pickle.UnpicklingError) or isinstance(error.__cause__, pickle.UnpicklingError)
    if is_pickle and "global" in f"{error} {error.__cause__}".lower().replace("non-allowlisted pickle globals", ""):
        return "it holds objects beside tensors, whose loading would run code: save the state_dict alone"
    if is_pickle or isinstance(error, LookupError | EOFError | UnicodeError | AttributeError | AssertionError):
        return "no weights by name, as torch.save(model.state_dict(), …) writes them"
    if "PytorchStreamReader" in str(error):
        return "damaged, or cut short"
    return first_line(error)


def load_into(network: nn.Module, state: State, *, where: str) -> None:
    """Set a network's parameters and buffers to those of a state; StudyError where they are not of this network."""
    wrong = f"{where}: not the weights of this network"
    try:
        found = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        detail = " ".join(line.strip() for line in str(error).splitlines()[1:2]) or first_line(error)
        raise StudyError(f"{wrong}: {detail}") from error
    for what, names in (("they lack", found.missing_keys), ("it has no", found.unexpected_keys)):
        if names:
            others = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
            raise StudyError(f"{wrong}: {what} {printable(names[0])}{others}.")
