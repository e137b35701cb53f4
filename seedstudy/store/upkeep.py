"""What lies in a study's folder beside its results: what `clean` removes, what was set aside, and how it is put back.

Whoever moves or removes a file of a trial holds the trial's lease, and looks again once it is held: between a look and
an answer of the user a worker may have begun the trial, or another launcher may have trained it again.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from seedstudy.document import fields_of
from seedstudy.errors import DamagedError, MissingError, SeedstudyError, StoreError
from seedstudy.files import TEMPORARY, check_folder, is_there, sync, writing
from seedstudy.store.store import TABLES, WEIGHTS, Store, digests_of, own_name, settle, table_path, weights_digest

_ABANDONED_S = 3600.0
"""A temporary file outside of the trials' folders, which no lease protects, is a killed process's after this time."""

_RECORDS = ("trial.json", "failure.json", "spec.json")
"""In this order they are set aside."""

# --- what is left over ----------------------------------------------------------------------------------


def leftovers(store: Store, *, with_weights: bool = False) -> dict[Path, int]:
    """Return the files that may be removed, with their sizes in bytes; none of them holds a result.

    Checkpoints, progress and leases of trials that ended; leases of trials that nobody holds and that have no
    checkpoint; tables and temporary files of killed processes. ``with_weights``: also the kept weights, without which
    nothing more can be evaluated.
    """
    found: list[Path] = []
    for trial_id in store.trial_ids():
        with suppress(StoreError):  # what cannot be read now is left alone
            if not store.is_running(trial_id):
                found += _leftovers_of(store, trial_id, with_weights=with_weights)
    for folder in (store.root, *(store.root / name for name in ("jobs", "imported", "evaluated", "images"))):
        if folder == store.root or not folder.is_symlink():
            found += [path for path in folder.glob(TEMPORARY) if time.time() - os.lstat(path).st_mtime > _ABANDONED_S]
    return {path: os.lstat(path).st_size for path in found if is_there(path)}


def _leftovers_of(store: Store, trial_id: str, *, with_weights: bool) -> list[Path]:
    folder = store.folder(trial_id)
    found = list(folder.glob(TEMPORARY))
    if store.has_result(trial_id):
        kept = weights_digest(folder / "trial.json")
        own = None if kept is None else folder / own_name(WEIGHTS, kept)
        found += [path for path in folder.glob(own_name(WEIGHTS, "?" * 16)) if with_weights or path != own]
        found += [folder / WEIGHTS] if with_weights else []
        digests = digests_of(folder / "trial.json")
        found += [store.checkpoint(trial_id), folder / "progress.json", folder / "lock"]
        for name in TABLES:
            found += {*folder.glob(own_name(name, "?" * 16))} - {folder / own_name(name, digests[name])}
    elif not store.has_ended(trial_id) and not is_there(store.checkpoint(trial_id)):
        found += [folder / "progress.json", folder / "lock"]
        found += [path for name in (*TABLES, WEIGHTS) for path in folder.glob(own_name(name, "?" * 16))]
    return [path for path in found if is_there(path)]


def clean(store: Store, paths: Iterable[Path]) -> list[Path]:
    """Remove files that :func:`leftovers` named and returns those removed; trials that run by now are left alone."""
    by_folder: dict[Path, set[Path]] = defaultdict(set)
    for path in paths:
        by_folder[path.parent].add(path)
    removed: list[Path] = []
    for trial_id in store.trial_ids():
        wanted = by_folder.pop(store.folder(trial_id), None)
        if wanted is None:
            continue
        with _holding(store, trial_id) as is_held:
            if not is_held:
                continue
            there = _leftovers_of(store, trial_id, with_weights=True)
            present = [path for path in there if path in wanted or path.name == "lock"]
            for path in sorted(present, key=lambda path: path.name == "lock"):  # last: without it, nothing is held
                path.unlink(missing_ok=True)
            removed += [path for path in present if path in wanted]
    still = leftovers(store)
    for path in {path for each in by_folder.values() for path in each} & still.keys():
        with writing(path):
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed


@contextmanager
def _holding(store: Store, trial_id: str) -> Iterator[bool]:
    """Hold a trial's lease, if it is free; a trial that nobody has started remains so, and an error is no death."""
    folder, was_started = store.to_write(trial_id), store.was_started(trial_id)
    with store.claim(trial_id) as held, writing(folder):
        if held is None:
            yield False
            return
        try:
            yield True
        finally:
            if was_started:
                held.release()
            else:
                (folder / "lock").unlink(missing_ok=True)


# --- what was damaged -----------------------------------------------------------------------------------


def set_aside(store: Store, trial_id: str, *, kinds: tuple[type[StoreError], ...] = (DamagedError,)) -> Path | None:
    """Move a damaged trial's files to ``damaged-<time>`` inside its folder, so that it is trained again.

    Returns None where another process trains the trial, or it is not damaged (any more); ``kinds`` are the errors that
    count as damage. At every moment each file is in one of the two folders or in both, and a result that another
    process has published meanwhile stays. Tables under the names of their writers are not touched: they may be those of
    a training that ends at this moment.
    """
    folder = store.to_write(trial_id)
    with _holding(store, trial_id) as is_held:
        if not is_held:
            return None
        seen = {name: _identity(folder / name) for name in _RECORDS if is_there(folder / name)}
        try:
            store.read_trial(trial_id)
        except kinds:
            pass
        else:
            return None
        try:
            store.read_spec(trial_id)
            seen.pop("spec.json", None)
        except kinds:
            pass  # the next plan writes it again
        aside = folder / f"damaged-{time.time_ns()}"
        aside.mkdir()
        for name in (*TABLES, WEIGHTS):  # they keep their names, too, until the next result replaces them
            _link(folder / name, aside / name)
        sync(aside)
        for name, identity in seen.items():
            # The one step that takes a file away. What was moved must be what was found damaged.
            (folder / name).rename(aside / name)
            if _identity(aside / name) != identity:
                _link(aside / name, folder / name)
                return None
        sync(aside)
        sync(folder)
    return aside


@dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """What `restore` did with the results that were set aside as damaged."""

    study: str
    restored: tuple[str, ...]
    """Trials whose result is in its place again."""
    left: Mapping[str, str]
    """Folder of a set-aside result that stays where it is -> one line that says why."""

    def to_dict(self) -> dict[str, object]:
        """Return the document of ``restore --json``."""
        return fields_of(self)


def restore(store: Store) -> Restored:
    """Put results back that were set aside and are good: a disk, a copy or an older version was at fault.

    A trial that was trained again keeps its new result.
    """
    restored, left = list[str](), dict[str, str]()
    for trial_id in store.trial_ids():
        for aside in sorted(store.folder(trial_id).glob("damaged-*"), reverse=True):
            try:
                left[str(aside)] = _put_back(store, trial_id, aside)
            except SeedstudyError as error:
                left[str(aside)] = str(error)
            if not left[str(aside)]:
                del left[str(aside)]
                restored.append(trial_id)
    return Restored(study=store.study, restored=tuple(restored), left=left)


def _put_back(store: Store, trial_id: str, aside: Path) -> str:
    """Put one set-aside result back and return nothing, or return why it stays where it is.

    It has two names for a moment. A process that is killed then leaves the rest to the next one.
    """
    check_folder(aside)
    digests = digests_of(aside / "trial.json")
    folder = store.to_write(trial_id)
    found = {name: _table_of(name, digests[name], (aside, folder)) for name in TABLES}
    kept = weights_digest(aside / "trial.json")
    with _holding(store, trial_id) as is_held:
        if not is_held:
            return f"{trial_id} is being trained."
        result = folder / "trial.json"
        if not store.has_result(trial_id):
            for name, path in found.items():
                _link(path, folder / own_name(name, digests[name]))
            if kept is not None:
                _link(aside / WEIGHTS, folder / own_name(WEIGHTS, kept))
            sync(folder)
            _link(aside / "trial.json", result)  # the one step that makes it the result
        elif not os.path.samestat(os.lstat(result), os.lstat(aside / "trial.json")):
            is_equal = digests_of(result)["predictions.parquet"] == digests["predictions.parquet"]
            return f"{trial_id} was trained again, with {'equal' if is_equal else 'other'} predictions."
        settle(folder, digests if kept is None else {**digests, WEIGHTS: kept})
        (folder / "failure.json").unlink(missing_ok=True)
        for path in (*(aside / name for name in (*TABLES, WEIGHTS)), aside / "trial.json"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # other files of the damaged trial stay
            aside.rmdir()
        sync(folder)
    return ""


def _identity(path: Path) -> tuple[int, ...]:
    """Return what tells a file from one that replaced it; the number of a removed file may be given again."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _table_of(name: str, digest: str, folders: tuple[Path, Path]) -> Path:
    """Return a table of a set-aside result, from its folder or, where its writer was killed, from that of the trial."""
    try:
        return table_path(folders[0], name, digest)
    except MissingError:
        return table_path(folders[1], name, digest)


def _link(path: Path, new: Path) -> bool:
    """Give a file a second name, unless it is gone or the name is taken; returns whether it has that name now."""
    with suppress(FileNotFoundError, FileExistsError):
        os.link(path, new, follow_symlinks=False)
        return True
    return False
