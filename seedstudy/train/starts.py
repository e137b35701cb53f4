"""The weights that a training starts from: read, known by their content, and put into a network with its own head."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import timm
from safetensors.torch import save
from torch import Tensor, nn

from seedstudy.data.base import Dataset
from seedstudy.errors import StudyError, suggest
from seedstudy.recipes.recipe import Recipe
from seedstudy.study.network import flat_name
from seedstudy.study.trial import Trial
from seedstudy.train import weights
from seedstudy.train.inflate import inflated_state
from seedstudy.train.layers import head_names
from seedstudy.train.models import build_model
from seedstudy.train.preprocessing import Channels
from seedstudy.train.weights import State


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Weights to start from."""

    content: bytes
    """The tensors as a safetensors file without anything else: equal weights, equal bytes."""
    where: str
    """For errors."""
    classes: tuple[str, ...] | None
    """Of the head; None where the file does not say."""
    mean: Channels | None
    std: Channels | None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def of_kept(content: bytes, *, where: str) -> Source:
    """Return the kept weights of a trial."""
    state, about = weights.from_bytes(content, where=where)
    return _source(state, where, about)


def of_name(init: str, model: str, *, what: str = "init") -> Source:
    """Return timm's weights (``timm:NAME``), or those in a file, for a model.

    ``what`` they are for begins an error. StudyError for an unknown name, a file that is not there or holds no weights.
    """
    if init.startswith("timm:"):
        return _of_timm(init.removeprefix("timm:"), model, what)
    path = Path(init)
    if not path.is_file():
        raise StudyError(f"{what}: {init}: no such file.")
    if path.suffix == ".safetensors":
        state, about = weights.from_bytes(path.read_bytes(), where=init)
        return _source(state, init, about, cfg=_cfg(model))
    try:
        state = timm.models.load_state_dict(str(path), weights_only=True)
        if not state or not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError("no tensors by name")
    except Exception as error:  # torch and pickle raise whatever they meet
        raise StudyError(f"{what}: {init}: cannot be loaded ({weights.why_not(error)}).") from error
    return _source(state, init, None, cfg=_cfg(model))


def _of_timm(name: str, model: str, what: str) -> Source:
    if not timm.is_model(name):
        raise StudyError(f'{what}: timm has no model "{name}".{suggest(name, timm.list_pretrained())}')
    if name.partition(".")[0] != flat_name(model.partition(".")[0]):
        raise StudyError(f'{what} = "timm:{name}": these are weights of {name.partition(".")[0]}, not of {model}.')
    try:
        network: Any = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub, the file system and load_state_dict each have their own
        raise StudyError(
            f"{what}: the weights of timm:{name} cannot be loaded ({weights.why_not(error)}): name a file instead."
        ) from error
    return _source(network.state_dict(), f"timm:{name}", None, cfg=network.pretrained_cfg)


def _cfg(model: str) -> Any:
    found = timm.get_pretrained_cfg(model)
    return {} if found is None else found.to_dict()


def _source(state: State, where: str, about: weights.About | None, *, cfg: Any = None) -> Source:
    mean, std = (about.mean, about.std) if about is not None else ((cfg or {}).get(key) for key in ("mean", "std"))
    plain = {
        name: (value.float() if value.is_floating_point() else value).contiguous() for name, value in state.items()
    }
    return Source(
        content=save({name: plain[name].clone() for name in sorted(plain)}),
        where=where,
        classes=None if about is None else about.classes,
        mean=mean and (float(mean[0]), float(mean[1]), float(mean[2])),
        std=std and (float(std[0]), float(std[1]), float(std[2])),
    )


# --- into a network -------------------------------------------------------------------------------------


def check(source: Source, model: str, recipe: Recipe, classes: Sequence[str]) -> None:
    """Raise StudyError where the weights are not of this model, or a head that is kept has other classes."""
    if recipe.init_head == "kept" and source.classes is not None and source.classes != tuple(classes):
        raise StudyError(
            f"{source.where}: its head has other classes ({len(source.classes)}: {', '.join(source.classes[:3])}, …) "
            f'than the data ({len(classes)}: {", ".join(classes[:3])}, …): set init_head = "new".'
        )
    state, _ = weights.from_bytes(source.content, where=source.where)
    try:
        network = build_model(model, recipe, len(classes), seed=0, like=state)
    except (RuntimeError, AssertionError, TypeError, ValueError):
        return  # of the model and the recipe: the check of all models has the words for it
    _load(network, state, recipe, source.where)


def network_of(trial: Trial, data: Dataset, content: bytes | None) -> tuple[nn.Module, Dataset]:
    """Return the network that a trial starts from, and the data normalised as its weights expect.

    ``content`` are the weights that the trial names, if it names any; the head is drawn by the stream ``init``.
    """
    recipe, n_classes, seed = trial.recipe, len(data.classes), trial.streams.of("init")
    if trial.start is None:
        return build_model(trial.model, recipe, n_classes, seed=seed), data
    if content is None or hashlib.sha256(content).hexdigest() != trial.start.digest:
        raise StudyError(f"{trial.trial_id}: the weights that it starts from are not there: `seedstudy run` gets them.")
    state, _ = weights.from_bytes(content, where=trial.trial_id)
    network = build_model(trial.model, recipe, n_classes, seed=seed, like=state)
    _load(network, state, recipe, trial.trial_id)
    return network, as_normalised(data, trial)


def as_normalised(data: Dataset, trial: Trial) -> Dataset:
    """Return the data, normalised as the weights were trained that a trial starts from."""
    if trial.start is None or trial.start.mean is None or trial.start.std is None:
        return data
    return replace(data, mean=trial.start.mean, std=trial.start.std)


def _load(network: nn.Module, state: State, recipe: Recipe, where: str) -> None:
    """Put weights into a network, all but the head where the recipe has it new."""
    state = converted(network, state)
    head, own = head_names(network), network.state_dict()
    if recipe.init_head == "kept":
        for name in head & state.keys():
            if state[name].shape != own[name].shape:
                raise StudyError(
                    f"{where}: its head has {state[name].shape[0]} classes, the data {own[name].shape[0]}: "
                    'set init_head = "new".'
                )
        weights.load_into(network, state, where=where)
        return
    body = {name: value for name, value in state.items() if name not in head}
    weights.load_into(network, {**body, **{name: own[name] for name in head}}, where=where)


def converted(network: nn.Module, state: State) -> State:
    """Return weights as timm's own loading would: names of older files, position embeddings of another size.

    A network for clips gets those of the 2D network inflated.
    """
    state = inflated_state(network, state)
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        converted: State = convert(dict(state), network)
    except Exception:  # made for files of this network; those of another are found when they are loaded
        return state
    return converted
