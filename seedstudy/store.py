"""The only reader and writer of results/.

A study is a folder; each of its trials is a folder under ``trials/``, and these files are all the state there is::

    study.json            question and rule of the latest plan
    trials/<trial_id>/
        spec.json         what to train; written when the trial is planned
        lock              held (flock) by the process that trains it; freed by the kernel when that process dies
        predictions.parquet, curves.parquet
        trial.json        the result with the digests of the two tables; written last, once
        failure.json      an exception, instead of a result

A trial is done exactly when ``trial.json`` is there. Whatever a killed process leaves behind before that is
written over by the next attempt.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from seedstudy.datasets import EVAL_SET_ORDER
from seedstudy.errors import SeedstudyError, StoreError, suggest
from seedstudy.schema import CURVES, PREDICTIONS, TRIALS, validate
from seedstudy.study import Study, Trial, TrialResult, check_name

FORMAT = 1
_POOL_KEYS = ("training_version", "device_type", "n_processes", "precision", "augment")
"""Provenance that must agree before trials pool, beside recipe, model, data, streams and torch/timm versions."""

State = Literal["planned", "running", "ok", "diverged", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What a study's folder holds."""

    trials: pl.DataFrame
    """TRIALS rows of every attempted trial."""
    states: Mapping[str, State]
    """Trial id -> where it stands, planned ones too."""
    damaged: Mapping[str, str]
    """Trial id -> one line that names the file that cannot be read and why; such a trial has no rows."""


class Store:
    """The folder of one study."""

    def __init__(self, results: Path, study: str) -> None:
        self.study = check_name(study)
        self.root = results / study
        self._trials = self.root / "trials"

    # --- planning ---------------------------------------------------------------------------------------

    def plan(self, study: Study, trials: Iterable[Trial]) -> None:
        """Write what is to be trained; trials that are there already are left as they are."""
        with _writing(self.root):
            rule = {"format": FORMAT, "question": study.question, "margin": study.margin, "baseline": study.baseline}
            _write_atomically(self.root / "study.json", _to_json(rule))
            for trial in trials:
                folder = self.folder(trial.trial_id)
                if not (folder / "spec.json").exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    _write_atomically(folder / "spec.json", _to_json(trial.to_dict()))

    def rule(self) -> dict[str, Any]:
        """Return the question, margin and baseline of the latest plan; empty where the study has none."""
        path = self.root / "study.json"
        return _read_json(path) if path.exists() else {}

    def folder(self, trial_id: str) -> Path:
        return self._trials / check_name(trial_id, "trial")

    def read_spec(self, trial_id: str) -> Trial:
        path = self.folder(trial_id) / "spec.json"
        try:
            return Trial.from_dict(_read_json(path), where=str(path))
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}: a key is missing or of the wrong type ({error}); the file is damaged."
            ) from error

    # --- training ---------------------------------------------------------------------------------------

    @contextmanager
    def claim(self, trial_id: str) -> Iterator[bool]:
        """Hold a trial while it is trained; yields False where another process holds it."""
        path = self.folder(trial_id) / "lock"
        with _writing(path), path.open("ab+") as file:
            is_mine = _try_lock(file.fileno())
            if is_mine:
                file.truncate(0)
                file.write(_to_json({"pid": os.getpid(), "host": os.uname().nodename, "since": _now()}))
                file.flush()
            yield is_mine

    def is_planned(self, trial_id: str) -> bool:
        return (self.folder(trial_id) / "spec.json").exists()

    def is_done(self, trial_id: str) -> bool:
        return (self.folder(trial_id) / "trial.json").exists()

    def publish(self, trial: Trial, result: TrialResult, label_sets: Mapping[str, Any], started_at: str) -> None:
        """Write a finished trial; the first result wins and is never written over.

        Parameters
        ----------
        label_sets
            Eval set -> the data set's :class:`~seedstudy.datasets.EvalSet`: example ids and labels.

        """
        folder = self.folder(trial.trial_id)
        with _writing(folder):
            digests = {
                "predictions.parquet": _write_frame(
                    _predictions(trial, result, label_sets), PREDICTIONS, folder / "predictions.parquet"
                ),
                "curves.parquet": _write_frame(_curves(trial, result), CURVES, folder / "curves.parquet"),
            }
            record = {
                "format": FORMAT,
                "trial_id": trial.trial_id,
                "status": result.status,
                "reason": result.reason,
                "epochs": result.epochs,
                "evaluations": {
                    name: {
                        "n_correct": e.n_correct,
                        "n_examples": e.n_examples,
                        "n_correct_top5": e.n_correct_top5,
                        "loss": e.loss,
                    }
                    for name, e in result.evaluations.items()
                },
                "best_epoch": result.best_epoch,
                "best_n_correct": result.best_n_correct,
                "train_s": result.train_s,
                "images_per_s": result.images_per_s,
                "n_params": result.n_params,
                "provenance": result.provenance,
                "started_at": started_at,
                "sha256": digests,
            }
            _write_atomically(folder / "trial.json", _to_json(record), is_first_only=True)
            (folder / "failure.json").unlink(missing_ok=True)

    def record_failure(self, trial_id: str, reason: str, traceback: str) -> None:
        """Write down why a trial raised; it is not tried again unless asked for."""
        path = self.folder(trial_id) / "failure.json"
        with _writing(path):
            record = {"format": FORMAT, "reason": reason, "traceback": traceback, "at": _now()}
            _write_atomically(path, _to_json(record))

    def forget_failures(self, trial_ids: Iterable[str]) -> None:
        """Let failed trials be trained again."""
        with _writing(self._trials):
            for trial_id in trial_ids:
                (self.folder(trial_id) / "failure.json").unlink(missing_ok=True)

    def set_aside(self, trial_id: str) -> Path:
        """Move a damaged trial's files to ``damaged-<time>`` inside its folder, so that it is trained again."""
        folder = self.folder(trial_id)
        aside = folder / f"damaged-{time.time_ns()}"
        with _writing(folder):
            aside.mkdir()
            for name in ("trial.json", "predictions.parquet", "curves.parquet"):
                with suppress(FileNotFoundError):
                    (folder / name).rename(aside / name)
        return aside

    # --- reading ----------------------------------------------------------------------------------------

    def trial_ids(self) -> tuple[str, ...]:
        """Return every planned trial, in the order of their names."""
        if not self._trials.is_dir():
            return ()
        return tuple(sorted(path.parent.name for path in self._trials.glob("*/spec.json")))

    def label(self, trial_id: str) -> tuple[str, str, str]:
        """Return recipe, model and data of a planned trial; question marks where its spec is damaged."""
        try:
            trial = self.read_spec(trial_id)
        except SeedstudyError:
            return "?", "?", "?"
        return trial.recipe.name, trial.model, trial.data

    def scan(self) -> Scan:
        """Read every trial; a damaged one is named and the others are still read."""
        rows: list[dict[str, Any]] = []
        states: dict[str, State] = {}
        damaged: dict[str, str] = {}
        for trial_id in self.trial_ids():
            try:
                states[trial_id], trial_rows = self.read_trial(trial_id)
            except SeedstudyError as error:
                damaged[trial_id] = str(error)
                continue
            rows.extend(trial_rows)
        frame = pl.DataFrame(rows, schema=dict(TRIALS), orient="row")
        return Scan(trials=validate(frame, TRIALS, where=str(self.root)), states=states, damaged=damaged)

    def predictions(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's PREDICTIONS; a table that differs from its digest is an error."""
        return self._table(trial_id, "predictions.parquet", PREDICTIONS)

    def curves(self, trial_id: str) -> pl.DataFrame:
        """Return a trial's CURVES; a table that differs from its digest is an error."""
        return self._table(trial_id, "curves.parquet", CURVES)

    def _table(self, trial_id: str, name: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        folder = self.folder(trial_id)
        self._check_digest(folder, name, _read_json(folder / "trial.json"))
        return validate(pl.read_parquet(folder / name), schema, where=str(folder / name))

    def _check_digest(self, folder: Path, name: str, record: Mapping[str, Any]) -> None:
        path = folder / name
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise StoreError(f"{path}: cannot be read ({error.strerror}).") from error
        if digest != record["sha256"][name]:
            raise StoreError(
                f"{path}: damaged (its content is not what the trial wrote); "
                "the same `seedstudy run` command trains this trial again."
            )

    def read_trial(self, trial_id: str) -> tuple[State, list[dict[str, Any]]]:
        """Return where a trial stands and its TRIALS rows (none unless it was attempted)."""
        folder = self.folder(trial_id)
        trial = self.read_spec(trial_id)
        if trial.trial_id != trial_id:
            raise StoreError(f"{folder / 'spec.json'}: damaged (its content does not belong to this folder).")
        head = _head(self.study, trial)
        if (folder / "trial.json").exists():
            record = _read_json(folder / "trial.json")
            for name in ("predictions.parquet", "curves.parquet"):
                self._check_digest(folder, name, record)
            try:
                return record["status"], _rows(head, trial, record)
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(f"{folder / 'trial.json'}: damaged ({error!r} is missing or wrong).") from error
        if (folder / "failure.json").exists():
            reason = str(_read_json(folder / "failure.json").get("reason", ""))
            return "failed", [head | {"status": "failed", "reason": reason}]
        if not (folder / "lock").exists():
            return "planned", []
        if _is_locked(folder / "lock"):
            return "running", []
        return "interrupted", [head | {"status": "interrupted", "reason": "the process ended before the result"}]


def open_study(results: Path, study: str) -> Store:
    """Return the store of a study that exists.

    Raises
    ------
    StoreError
        No such folder; names the studies that are there.

    """
    store = Store(results, study)
    if not store.root.is_dir():
        if not results.is_dir():
            raise StoreError(f"{results}: no such results folder; `seedstudy run` makes it, --results names another.")
        known = [path.name for path in results.iterdir() if (path / "trials").is_dir()]
        hint = suggest(study, known) if known else " It holds no study yet: `seedstudy run` makes one."
        raise StoreError(f'{results}: no study "{study}".{hint}')
    return store


# --- frames -------------------------------------------------------------------------------------------


def _head(study: str, trial: Trial) -> dict[str, Any]:
    """Return the columns that are known before training; the rest is null."""
    return {
        **dict.fromkeys(TRIALS),
        "study": study,
        "recipe": trial.recipe.name,
        "recipe_id": trial.recipe.recipe_id,
        "model": trial.model,
        "data": trial.data,
        "seed": trial.seed,
        "trial_id": trial.trial_id,
        "vary": ",".join(trial.vary),
    }


def _rows(head: dict[str, Any], trial: Trial, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    provenance = record["provenance"]
    common = head | {
        "status": record["status"],
        "reason": record["reason"],
        "best_epoch": record["best_epoch"],
        "epochs": record["epochs"],
        "train_s": record["train_s"],
        "images_per_s": record["images_per_s"],
        "n_params": record["n_params"],
        "device": provenance["device"],
        "peak_mem_bytes": provenance["peak_mem_bytes"],
        "pool_key": pool_key(trial, provenance),
        "versions": json.dumps(provenance["versions"], sort_keys=True),
        "started_at": datetime.fromisoformat(record["started_at"]),
    }
    if record["status"] != "ok":
        return [common]
    return [
        common | {"eval_set": name, **counts} | {"best_n_correct": record["best_n_correct"] if name == "val" else None}
        for name, counts in sorted(record["evaluations"].items(), key=lambda item: _place(item[0]))
    ]


def _place(eval_set: str) -> tuple[int, str]:
    """Return the sort key that puts val, real and v2 first, in this order."""
    order = EVAL_SET_ORDER.index(eval_set) if eval_set in EVAL_SET_ORDER else len(EVAL_SET_ORDER)
    return order, eval_set


def pool_key(trial: Trial, provenance: Mapping[str, Any]) -> str:
    """Return a short hash of all that must agree before two trials count as seeds of one thing."""
    versions = provenance["versions"]
    parts = [
        trial.recipe.recipe_id,
        trial.model,
        trial.data_fingerprint,
        list(trial.vary),
        *(provenance[key] for key in _POOL_KEYS),
        # A patch release does not change numbers on purpose; a minor one may.
        *(".".join(versions[name].split(".")[:2]) for name in ("torch", "timm")),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def _predictions(trial: Trial, result: TrialResult, label_sets: Mapping[str, Any]) -> pl.DataFrame:
    frames = []
    for name, evaluation in result.evaluations.items():
        eval_set = label_sets[name]
        labels = pl.DataFrame(
            {"image": _owners(eval_set.label_offsets), "label": eval_set.label_values},
            schema={"image": pl.Int64, "label": pl.Int32},
        )
        frames.append(
            pl.DataFrame(
                {
                    "trial_id": [trial.trial_id] * len(eval_set),
                    "eval_set": [name] * len(eval_set),
                    "example_id": eval_set.example_ids,
                    "labels": labels.group_by("image", maintain_order=True).agg("label")["label"],
                    "predicted": evaluation.predicted,
                    "confidence": evaluation.confidence,
                },
                schema=dict(PREDICTIONS),
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict(PREDICTIONS))


def _owners(offsets: Any) -> list[int]:
    return [image for image in range(len(offsets) - 1) for _ in range(int(offsets[image + 1] - offsets[image]))]


def _curves(trial: Trial, result: TrialResult) -> pl.DataFrame:
    rows = [{"trial_id": trial.trial_id, **asdict(report)} for report in result.curves]
    return pl.DataFrame(rows, schema=dict(CURVES))


# --- files --------------------------------------------------------------------------------------------


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder or a file in the way into one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.filename or path}: cannot write results ({error.strerror or error}); finished trials are safe: "
            "mend it, or choose another folder with --results, and give the same command again."
        ) from error


def _write_atomically(path: Path, content: bytes, *, is_first_only: bool = False) -> None:
    """Write a file so that it is there whole or not at all; ``is_first_only`` keeps one that is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_first_only:
            with suppress(FileExistsError):
                os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_frame(frame: pl.DataFrame, schema: Mapping[str, pl.DataType], path: Path) -> str:
    """Write a table as Parquet and return the digest of the file."""
    buffer = io.BytesIO()
    validate(frame, schema, where=str(path)).write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    _write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: damaged (not valid JSON).") from error
    if not isinstance(document, dict):
        raise StoreError(f"{path}: damaged (not a JSON object).")
    if document.get("format") != FORMAT:
        raise StoreError(
            f"{path}: format {document.get('format', 'none')}, this version of seedstudy reads {FORMAT}: "
            "use the version that wrote it."
        )
    return document


def _to_json(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, indent=1, sort_keys=True) + "\n").encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _try_lock(descriptor: int) -> bool:
    """Take the lock, or say that it is held; a `status` may hold it for an instant, hence the second look."""
    for pause_s in (0.0, 0.05, 0.2):
        time.sleep(pause_s)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
