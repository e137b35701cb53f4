"""lm-evaluation-harness: results_….json, the tasks of one evaluation of one model.

A row per task; metrics lose the name of the filter ``none`` (``acc,none`` -> ``acc``). Standard errors are over the
questions of a task and not over seeds: left out. Of the four seeds those that differ between evaluations count.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seedstudy.errors import StudyError
from seedstudy.read.formats.format import Format
from seedstudy.read.formats.head import head_of
from seedstudy.read.formats.tracked import Run, flat_settings, table_of_runs, word_set
from seedstudy.read.table import Role, Table
from seedstudy.read.tables import parse_json, text_of

_SEEDS = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_NO_SETTINGS = word_set("device batch_sizes use_cache bootstrap_iters model_num_parameters")
_ALWAYS, _EITHER = (b'"results"', b'"configs"', b'"versions"'), (b'"group_subtasks"', b'"n-shot"', b'"lm_eval_version"')
_LARGEST = 50_000_000


def _is_mine(path: Path) -> bool:
    if not head_of(path, ".json").lstrip().startswith(b"{"):
        return False
    content = path.read_bytes() if path.stat().st_size < _LARGEST else b""
    return all(key in content for key in _ALWAYS) and any(key in content for key in _EITHER)


def _read(path: Path) -> Table:
    document = parse_json(path, text_of(path))
    if not isinstance(document, dict) or not isinstance(document.get("results"), dict):
        raise StudyError(f'{path}: expected "results" by task, as lm-eval writes them.')
    config, shots = _dict(document.get("config")), _dict(document.get("n-shot"))
    settings = dict(flat_settings({k: v for k, v in config.items() if k not in (*_SEEDS, *_NO_SETTINGS)}))
    settings["model"] = document.get("model_name") or _model(config)
    runs = []
    for task, record in document["results"].items():
        metrics = {
            _metric(name): float(value)
            for name, value in (record.items() if isinstance(record, dict) else ())
            if isinstance(value, int | float) and not isinstance(value, bool) and "," in name and "_stderr," not in name
        }
        of_task = {**settings, "num_fewshot": shots.get(task), "seed": _seed(config)}
        points = [metrics] if metrics else []
        runs.append(Run(identity={}, points=points, settings=of_task, labels={"task": task}))
    notes = ["standard errors are over questions, not seeds: left out"]
    table = table_of_runs(runs, path, unit="fraction", notes=notes)
    return Table(frame=table.frame, roles={**table.roles, "task": Role.DATA}, unit=table.unit, notes=table.notes)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _metric(name: str) -> str:
    return name.removesuffix(",none")


def _model(config: dict[str, Any]) -> Any:
    """Return the weights that were evaluated, or else the kind of model."""
    arguments = config.get("model_args")
    if isinstance(arguments, dict):
        return arguments.get("pretrained") or arguments.get("model") or config.get("model")
    named = [part.partition("=")[2] for part in str(arguments).split(",") if part.startswith(("pretrained=", "model="))]
    return named[0] if named else config.get("model")


def _seed(config: dict[str, Any]) -> Any:
    """Return the seed; all four in one word where they are not the defaults of which one was changed."""
    defaults = {"random_seed": 0, "numpy_seed": 1234, "torch_seed": 1234, "fewshot_seed": 1234}
    given = {name: config.get(name) for name in _SEEDS if config.get(name) is not None}
    seeds = {name: value if isinstance(value, int | float | str) else str(value) for name, value in given.items()}
    values = set(seeds.values())
    if len(values) <= 1:
        return next(iter(values), None)
    changed = {name: value for name, value in seeds.items() if value != defaults[name]}
    if not changed:
        return seeds["random_seed"]
    if len(set(changed.values())) == 1:
        return next(iter(changed.values()))
    return "/".join(str(seeds.get(name)) for name in _SEEDS)


LM_EVAL = Format(name="lm-eval results", is_mine=_is_mine, read=_read, run="file")
