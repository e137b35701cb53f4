"""The process that runs a user's command: `seedstudy trial STUDY_DIR TRIAL_ID… --command HOW`.

A command runs in a process group of its own, with its output in the trial's log.txt. It is ended, with all that it has
started, on a signal to this process, when its time is up, when it shows no sign of progress, and when this process
dies itself. What it leaves below ``out/`` stays for the next attempt, which either continues from it (by the command
that resumes) or begins in an empty folder. A result is read once the command has ended with 0; everything else
is a row with a reason.
"""

from __future__ import annotations

import fnmatch
import glob
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from seedstudy import machine
from seedstudy.engines.attempts import EXIT_FAILED, EXIT_OK, EXIT_STOPPED, MAX_ATTEMPTS, Attempts, Stop, begin, end
from seedstudy.errors import NotFiniteError, SeedstudyError, StudyError, UnitError, printable
from seedstudy.files import is_there, read_json, to_json, write_atomically, writing
from seedstudy.store.lease import JOB
from seedstudy.store.store import Store
from seedstudy.study.code import changed_since, commit_of
from seedstudy.study.command import CommandTrial, Handling, ReportedNumber, ReportedResult

_STOP_WAIT_S = 20.0
"""Time for a command to end after SIGTERM; shorter than the launcher's for this process."""
_LINGER_S = 5.0
"""Time for processes of a command that has ended itself."""
_PAUSE_S = 0.2
_LOOK_S = 2.0
"""Between two looks for signs of progress."""
_MOST_FILES = 10_000
"""Looked at for signs of progress."""
_MOST_LINES = 100_000
"""Of JSON on stdout."""
_TAIL = 20_000
"""Bytes of the log that a failure keeps."""

# Reads until this process is gone, however it ends, and then ends the command's group.
_GUARD = 'read line; kill -s KILL -- "-$1"'


def main(study_dir: Path, trial_ids: Sequence[str], handling: Handling, *, is_attended: bool) -> int:
    """Run the command of each free trial, one after the other, and return the exit code."""
    _, stop = begin(is_attended=is_attended)
    code = _Runner(Store(study_dir.parent, study_dir.name), stop, handling).run(trial_ids)
    end(stop)
    return code


@dataclass(kw_only=True, slots=True)
class _Ending:
    """How one attempt of a command ended."""

    why: str = ""
    """In words where this process ended it; empty where it ended itself."""
    is_stop: bool = False
    is_hang: bool = False
    code: int = 0
    train_s: float = 0.0
    lines: list[str] = field(default_factory=list)
    """Of JSON on stdout, where the result is expected there."""


class _Runner(Attempts):
    def __init__(self, store: Store, stop: Stop, handling: Handling) -> None:
        super().__init__(store, stop)
        self._handling = handling

    def run(self, trial_ids: Sequence[str]) -> int:
        return self.each(trial_ids, self._attempt)

    def _mark(self, trial_id: str) -> int:
        """Return the time of the latest file of a command that can be resumed; others get on only to their end."""
        if not self._handling.resume:
            return super()._mark(trial_id)
        return max((latest for latest, _ in _signs(self._store.out(trial_id))), default=0)

    def _attempt(self, trial_id: str, later: Iterable[str], leases: ExitStack) -> int:
        trial = self._store.read_spec(trial_id)
        if not isinstance(trial, CommandTrial):
            raise StudyError(f"{trial_id}: a network to train, not a command: `seedstudy trial` without --command.")
        self._check_code(trial)
        out, started_at = self._store.out(trial_id), datetime.now(UTC).isoformat()
        kept = self._kept_reading(trial_id)
        if kept is not None:
            return self._publish(trial, out, kept, kept.pop("started_at", started_at))
        for n_hangs in range(1, MAX_ATTEMPTS + 1):
            ending = self._execute(trial, out)
            if ending.is_stop:
                print(f"stopped {ending.why}", file=sys.stderr)
                return EXIT_OK if ending.why else EXIT_STOPPED
            if not ending.is_hang:
                break
            print(f"{ending.why}, attempt {n_hangs} of {MAX_ATTEMPTS}", file=sys.stderr)
        else:
            return self._fail(trial_id, f"{ending.why}, {MAX_ATTEMPTS} times in a row", ending)
        if ending.why:
            return self._fail(trial_id, ending.why, ending)
        if ending.code != 0:
            return self._fail(trial_id, f"{_how_it_ended(ending.code)}{_last_words(self._store.log(trial_id))}", ending)
        return self._publish(trial, out, {"lines": ending.lines, "train_s": ending.train_s}, started_at)

    # --- one attempt --------------------------------------------------------------------------------------

    def _check_code(self, trial: CommandTrial) -> None:
        """Raise StudyError where the code is no longer what the trial was planned for."""
        if changed := changed_since(self._folder, trial.code, results=self._results):
            raise StudyError(
                f"{trial.trial_id}: its code has changed since it was planned ({', '.join(changed[:3])}): the same "
                "command plans the trials again, with the code as it is now; --code FILES says what matters."
            )

    @property
    def _folder(self) -> Path:
        return Path(self._handling.folder)

    def _execute(self, trial: CommandTrial, out: Path) -> _Ending:
        """Run the command once, until it ends or must end."""
        words, variables = self._words(trial, out)
        outer = machine.outer_variables()
        environment = {name: text for name, text in os.environ.items() if name not in outer}
        environment |= {name: _in_place(text, trial, out) for name, text in trial.environment.items()} | variables
        print(f"$ {shlex.join(words)}", file=sys.stderr, flush=True)
        is_read = trial.result is None
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                words,
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_read else None,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return _Ending(why=f"{words[0]}: cannot be run ({getattr(error, 'strerror', None) or error})")
        lines: list[str] = []
        with _guarded(process.pid):
            reader = threading.Thread(target=_read_lines, args=(process.stdout, lines), daemon=True)
            if is_read:
                reader.start()
            ending = self._wait(process, trial.trial_id, out)
            if is_read:
                reader.join(_LINGER_S)
        return _Ending(
            why=ending.why,
            is_stop=ending.is_stop,
            is_hang=ending.is_hang,
            code=process.returncode,
            train_s=time.monotonic() - began,
            lines=lines,
        )

    def _words(self, trial: CommandTrial, out: Path) -> tuple[list[str], dict[str, str]]:
        """Return what to execute, and make or empty the folder of its output."""
        resume = self._handling.resume.get(trial.recipe_id)
        with writing(out):
            self._store.to_write(trial.trial_id)
            if is_there(out) and (out.is_symlink() or not out.is_dir()):
                raise SeedstudyError(f"{out}: a link or a file is where the command's folder should be: remove it.")
            if out.is_dir() and resume is not None and any(out.iterdir()):
                # Killed before its first checkpoint, a command has nothing to resume from.
                missing = [path for path in trial.needs_to_resume(out, resume) if not is_there(path)]
                if not missing:
                    return trial.arguments(out, resume)
                print(f"{missing[0]}: not there yet; the command begins anew", file=sys.stderr, flush=True)
            if out.is_dir():
                shutil.rmtree(out)  # follows no link
            out.mkdir()
        return trial.arguments(out)

    def _wait(self, process: subprocess.Popen[bytes], trial_id: str, out: Path) -> _Ending:
        """Wait for a command and end it where it must end; its whole group is gone afterwards."""
        lease, log = self._leases.get(trial_id), self._store.log(trial_id)
        limit_s, hang_s = self._handling.time_limit_s, self._handling.hang_timeout_s
        began = moved = looked = told = time.monotonic()
        longest_s, seen = 0.0, None
        ending = _Ending()
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_PAUSE_S)
                    break
                now = time.monotonic()
                if now - looked >= _LOOK_S:
                    looked = now
                    signs = [*_signs(out), *_signs(log)]
                    if signs != seen:
                        seen, longest_s, moved = signs, max(longest_s, now - moved), now
                        if now - told > _LOOK_S:
                            told = now
                            self._note(trial_id, longest_s)
                if self._stop():
                    ending = _Ending(is_stop=True)
                elif lease is not None and lease.is_overtaken:
                    ending = _Ending(is_stop=True, why="because its lease was taken or its folder moved")
                elif limit_s is not None and now - began > limit_s:
                    ending = _Ending(why=f"not done within its time limit of {limit_s / 60:g} min")
                elif hang_s is not None and now - moved > hang_s:
                    ending = _Ending(is_hang=True, why=f"no output and no new file for {hang_s / 60:g} min")
                else:
                    continue
                _terminate(process)
                break
        finally:
            _end_group(process)
        return ending

    def _note(self, trial_id: str, longest_s: float) -> None:
        now = time.time()
        with suppress(SeedstudyError):  # a full disk must not end the trial
            self._store.write_progress(trial_id, at=now, moved_at=now, longest_s=longest_s)

    # --- its result -----------------------------------------------------------------------------------------

    def _publish(self, trial: CommandTrial, out: Path, ended: dict[str, Any], started_at: str) -> int:
        """Read the result of a command that ended with 0, and write it."""
        trial_id = trial.trial_id
        try:
            numbers = result_of(trial, out, ended["lines"], unit=self._handling.unit)
            status, reason = "ok", ""
        except NotFiniteError as error:
            numbers, status, reason = {}, "diverged", f"{trial.metric} is {error.value:g}"
        except UnitError as error:
            path = self._store.folder(trial_id) / _READING
            with writing(path):
                write_atomically(path, to_json({**ended, "started_at": started_at}))
            return self._fail(trial_id, f"{error} With --retry-failed and the unit it is read again, not run.")
        except SeedstudyError as error:
            return self._fail(trial_id, str(error))
        accelerator = machine.accelerator()
        result = ReportedResult(
            status="diverged" if status == "diverged" else "ok",
            reason=reason,
            evaluations=numbers,
            train_s=ended["train_s"],
            provenance={
                "device": accelerator or "cpu",
                "device_type": "cpu" if accelerator is None else "cuda",
                "host": machine.host(),
                **{f"git_{key}": value for key, value in commit_of(self._folder, results=self._results).items()},
            },
        )
        if not self._store.is_planned(trial_id):
            print(f"{trial_id}: removed, or its study renamed, while it ran; no result", file=sys.stderr)
            return EXIT_OK
        published = self._lasting(lambda: self._store.publish_reported(trial, result, started_at), "result")
        if published != "first":
            print(f"another process published this trial first, with {published} numbers", file=sys.stderr)
        with suppress(OSError):
            (self._store.folder(trial_id) / _READING).unlink(missing_ok=True)
            if self._handling.keep is not None:
                _remove_but(out, (*self._handling.keep, *([] if trial.result is None else [_below(trial, out)])))
        return EXIT_OK

    @property
    def _results(self) -> Path:
        return Path(self._handling.results)

    def _kept_reading(self, trial_id: str) -> dict[str, Any] | None:
        """Return how a command ended whose result waited for its unit, where that is given now."""
        path = self._store.folder(trial_id) / _READING
        if self._handling.unit is None or not is_there(path):
            return None
        with suppress(SeedstudyError):
            kept = read_json(path)
            if isinstance(kept.get("lines"), list) and isinstance(kept.get("train_s"), float):
                return kept
        return None

    def _fail(self, trial_id: str, reason: str, ending: _Ending | None = None) -> int:
        if not self._store.is_planned(trial_id):
            print(f"{trial_id}: removed, or its study renamed, while it ran", file=sys.stderr)
            return EXIT_OK
        print(reason, file=sys.stderr)
        sys.stderr.flush()
        holder = self._store.holder(trial_id)
        self._lasting(
            lambda: self._store.record_failure(
                trial_id,
                printable(reason),
                traceback=_tail(self._store.log(trial_id)),
                exit_status=None if ending is None else ending.code,
                host=machine.host(),
                job=os.environ.get(JOB, ""),
                attempt=1 + (holder.n_lost if holder else 0),
            ),
            "failure",
        )
        return EXIT_FAILED


_READING = "unread.json"
"""How a command ended whose result says not whether it is percent or a fraction."""


def result_of(
    trial: CommandTrial, out: Path, lines: Sequence[str], *, unit: str | None = None
) -> dict[str, ReportedNumber]:
    """Return the numbers of a command that ended, by eval set, from its file or from its lines of JSON on stdout.

    SeedstudyError where there is none, or more than one; NotFiniteError where it is nan or infinite.
    """
    import polars as pl

    from seedstudy.read.groups import groups_of_table, read_groups
    from seedstudy.read.request import Request
    from seedstudy.read.table import Table

    request = Request(metric=trial.metric, unit=unit)
    file = trial.result_file(out)
    if file is not None:
        found = [file] if is_there(file) else [Path(name) for name in sorted(glob.glob(str(file)))]  # noqa: PTH207
        if not found:
            raise StudyError(f"it ended without an error and wrote no {_below(trial, out)} in {out}.")
        if any(not each.resolve().is_relative_to(out.resolve()) for each in found):
            raise StudyError(f"{found[0]}: a link that leads out of the trial's folder is not read.")
        where = str(file)
        groups = read_groups(f"{file}/" if file.is_dir() else where, request)
    else:
        where = "its stdout"
        records = [
            dict(record) for record in {json.dumps(each): each for each in _records(lines, trial.metric)}.values()
        ]
        if not records:
            raise StudyError(f'it ended without an error and printed no line of JSON with "{trial.metric}".')
        names = dict.fromkeys(name for record in records for name in record)
        frame = pl.DataFrame({name: [record.get(name) for record in records] for name in names}, strict=False)
        groups = groups_of_table(Table(frame=frame), None, request, where)
    values = {group.eval_set: group for group in groups}
    if len(values) < len(groups) or any(group.n != 1 for group in groups):
        shown = ", ".join(f"{value:g}" for group in groups for value in group.values[:4])
        raise StudyError(f"{where} holds {sum(group.n for group in groups)} results ({shown}): which one counts?")
    return {name: ReportedNumber(metric=group.metric, value=float(group.values[0])) for name, group in values.items()}


def _records(lines: Iterable[str], metric: str) -> Iterator[dict[str, Any]]:
    """Yield the lines that are flat objects of JSON and hold the metric."""
    from seedstudy.read.metrics import DEFAULT_METRIC, is_default, plain

    for line in lines:
        with suppress(ValueError, RecursionError):
            record = json.loads(line)
            if not isinstance(record, dict):
                continue
            if any(plain(name) == plain(metric) or (metric == DEFAULT_METRIC and is_default(name)) for name in record):
                yield {name: value for name, value in record.items() if not isinstance(value, dict | list)}


def _below(trial: CommandTrial, out: Path) -> str:
    file = trial.result_file(out)
    assert file is not None
    return file.relative_to(out).as_posix()


def _in_place(text: str, trial: CommandTrial, out: Path) -> str:
    from seedstudy.study.command import filled

    return filled(text, {"seed": str(trial.seed), "out": str(out), "arm": trial.arm})


# --- processes --------------------------------------------------------------------------------------------


@contextmanager
def _guarded(group: int) -> Iterator[None]:
    """Have a process group end when this process is gone, also where it is killed."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()  # before its stdin is closed
        guard.wait()
        assert guard.stdin is not None
        guard.stdin.close()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Ask a command and all that it has started to end, and wait a while."""
    _signal(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_WAIT_S)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a command's group; a process that has ended itself may leave some a little time."""
    until = time.monotonic() + (_LINGER_S if process.returncode is not None else 0.0)
    while _signal(process.pid, 0) and time.monotonic() < until:
        time.sleep(0.05)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; returns whether it still has a process."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _read_lines(stream: IO[bytes], lines: list[str]) -> None:
    """Pass on what a command prints, and keep the lines that may be objects of JSON."""
    for line in stream:
        with suppress(OSError):
            os.write(1, line)
        text = line.strip().rpartition(b"\r")[2]  # a progress bar may have been there before
        if text[:1] == b"{" and text[-1:] == b"}" and len(lines) < _MOST_LINES:
            lines.append(text.decode(errors="replace"))


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        return f"ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"ended by signal {-code}"


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _last_words(log: Path) -> str:
    """Return the last line that a command printed, for the reason of its failure."""
    own = "\n" + _tail(log)
    lines = [line.strip() for line in own[own.rfind("\n$ ") + 1 :].splitlines()[1:] if line.strip()]
    return f": {lines[-1][:300]}" if lines else ""


# --- files ------------------------------------------------------------------------------------------------


def _signs(path: Path) -> list[tuple[int, int]]:
    """Return time and size of a file, or of the files below a folder: what changes when something is written."""
    signs: list[tuple[int, int]] = []
    todo = [path]
    while todo and len(signs) < _MOST_FILES:
        each = todo.pop()
        with suppress(OSError):
            status = os.lstat(each)
            signs.append((status.st_mtime_ns, status.st_size))
            if each.is_dir() and not each.is_symlink():
                todo += [each / name for name in os.listdir(each)]  # noqa: PTH208  # names are enough
    return signs


def _remove_but(out: Path, patterns: Sequence[str]) -> None:
    """Remove the files below a folder that no pattern names, and the folders that are empty then."""
    for path in sorted(out.rglob("*"), reverse=True):
        name = path.relative_to(out).as_posix()
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # not empty
                path.rmdir()
        elif not any(fnmatch.fnmatch(name, pattern) or path.match(pattern) for pattern in patterns):
            path.unlink(missing_ok=True)
