"""Where trials are trained, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from seedstudy.errors import StudyError, require_extra, suggest
from seedstudy.recipes.recipe import Recipe, typed

EngineName = Literal["local", "slurm", "ray"]
Compile = Literal["off", "auto", "on"]

LOADERS = "SEEDSTUDY_LOADERS"
"""Environment variable: worker processes that decode images for one training process; 0 decodes in the process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Engine and resources. Beyond rounding, no result depends on them except through ``processes``."""

    engine: EngineName = "local"
    workers: int | None = None
    """Trials trained at a time; None: as many as there is room for."""
    nodes: int = 1
    """Machines that train one trial together; a queue (Slurm, Ray) gives them."""
    processes: int = 1
    """Processes that train one trial together (torchrun), on each of its machines."""
    cores: int = 1
    """Per process."""
    gpus: float | None = None
    """Per process; a fraction shares a GPU between trials. None: one each where this machine has GPUs."""
    trials_per_job: int = 1
    """Trials that one job of a queue trains one after the other, to pay its start-up once."""
    stack: int | None = 1
    """Seeds of one recipe and model that a process trains side by side, at most; None: as many as a timing says pay."""
    deterministic: bool = False
    """Whether kernels must add in a fixed order, so that the same GPU gives the same bits again. CPUs do so anyway."""
    compile: Compile = "off"
    """Whether a training's forward and backward passes are compiled (torch.compile); ``auto``: where a timing says that
    it pays."""
    eval_every: int | None = None
    """Epochs from one evaluation of the watched set to the next; None: as many as leave no more test than training
    images. The last epoch, which is the result, is evaluated in any case."""
    hang_timeout: float | None = None
    """Minutes; a trial that shows no progress for as long is ended and trained again. None: it is only named."""
    log_to: tuple[str, ...] = ()
    """Trackers that each finished trial is logged to."""
    keep_weights: bool | None = None
    """Whether the weights of finished trials stay in their folders. None: unless the data set is an embedded one."""
    template: Path | None = None
    """Script to put at the top of every Slurm job; never from a study file, because it is code."""

    @property
    def n_processes(self) -> int:
        """Processes that train one trial together, on all of its machines."""
        return self.nodes * self.processes


_HINTS = get_type_hints(Placement)


def placed(placement: Placement, given: Mapping[str, object], *, where: str = "") -> Placement:
    """Return a placement with the given values in place of its own.

    None is not given. ``workers`` and ``stack`` may also be ``"auto"`` or digits, as the command line has them.
    StudyError, with ``where`` before the key, for an unknown key, a wrong type or an impossible value.
    """
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in _HINTS:
            raise StudyError(f'{where}unknown key "{key}".{suggest(key, _HINTS)}')
        if value is None:
            continue
        if key in ("workers", "stack") and isinstance(value, str):
            if value != "auto" and not value.isdecimal():
                raise StudyError(f"{where}{key} = {value}: expected a whole number of at least 1, or auto.")
            value = None if value == "auto" else int(value)
        if key == "log_to":
            values[key] = _trackers(value, where)
        elif key == "template" and isinstance(value, str | Path):
            values[key] = Path(value)
        else:
            values[key] = None if value is None else field_value(_HINTS[key], key, value, where=where)
    changed = replace(placement, **values)
    if changed.hang_timeout is not None and not changed.hang_timeout > 0:
        raise StudyError(f"{where}hang_timeout = {changed.hang_timeout:g}: must be more than 0 minutes.")
    if changed.compile == "on" and (changed.n_processes > 1 or changed.stack != 1):
        raise StudyError(f"{where}compile = on: it takes a trial of one process, and one seed at a time (stack = 1).")
    if (gpus := changed.gpus) is not None:
        if not (gpus >= 0 and (gpus <= 1 or gpus.is_integer())):
            raise StudyError(f"{where}gpus = {gpus:g}: must be a whole number, or a share below 1.")
        if 0 < gpus < 1 and changed.n_processes > 1:
            raise StudyError(f"{where}gpus = {gpus:g}: the processes of one trial need a whole GPU each.")
    return changed


TRACKERS = ("mlflow", "tensorboard", "trackio", "wandb")


def _trackers(value: object, where: str) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise StudyError(f"{where}log_to must be a list of names: {', '.join(TRACKERS)}.")
    names = tuple(name.strip() for name in names if name.strip())
    for name in names:
        if name not in TRACKERS:
            raise StudyError(f'{where}log_to: unknown tracker "{name}".{suggest(name, TRACKERS)}')
        require_extra(name)
    return names


def field_value(hint: Any, key: str, value: object, *, where: str) -> Any:
    """Return a value as the type of its field; StudyError where it has another type, or is a whole number below 1."""
    try:
        converted = typed(hint, value)
    except ValueError as error:
        raise StudyError(f"{where}{key} = {value!r} is wrong: {error}.") from None
    if isinstance(converted, int) and not isinstance(converted, bool) and converted < 1:
        raise StudyError(f"{where}{key} = {value}: must be at least 1.")
    return converted


def check_layout(recipe: Recipe, n_processes: int) -> None:
    """Raise StudyError where the processes of a trial cannot share the micro-batches of an update equally."""
    n_micro = recipe.batch_size // recipe.micro_batch
    if n_micro % n_processes:
        raise StudyError(
            f"recipe {recipe.name}: an update has {n_micro} micro-batches (batch_size = {recipe.batch_size}, "
            f"micro_batch = {recipe.micro_batch}), which {n_processes} processes cannot share equally: choose another "
            "--processes or --nodes, or --set micro_batch=…"
        )
