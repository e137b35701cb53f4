"""A command of the user as a trial: what ``[command]`` and ``[arms.NAME]`` declare, and one trial of it.

A command is a list of words, as a shell would split them, and no shell runs it unless that is asked for. Each word may
hold placeholders: ``{arm}``, ``{seed}``, ``{out}`` (the trial's own folder for whatever the command writes),
``{model}`` where models are named, and those of the arm. A value fills its place and never becomes several words,
however it looks; only a list in ``[arms.NAME]`` does, where its placeholder is a whole word.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from seedstudy.errors import StudyError, suggest
from seedstudy.study.keys import TABLES
from seedstudy.study.placement import field_value
from seedstudy.study.trial import Trial, trial_id_of

COMMAND_SPEC_FORMAT = 3
"""Of the spec.json of a command's trial; versions that train networks only refuse it as too new."""

DEFAULT_ARM = "command"
"""Name of the only arm of a command that does not say ``{arm}``."""

SAME = "same"
"""``resume = "same"``: the command resumes by itself from a checkpoint in its output folder."""
_BELOW_OUT = re.compile(r"""\{out\}/[^\s"'|;&<>()*?\[\]]+""")
"""A file of the output folder, as a command names it; not a pattern."""

_PART = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}|[{}]")
_OWN = ("arm", "seed", "out", "model")
_PLACES = ("arm", "seed", "out")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Value = str | tuple[str, ...]
"""Of a placeholder: a text, or several words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What runs one seed of one arm, and where its result is read."""

    run: tuple[str, ...]
    """Words with placeholders; one text with `is_shell`."""
    result: str | None = None
    """File below ``{out}`` that holds the result; None: a line of JSON on stdout."""
    metric: str = "top1"
    """Column or key of the result; top1 finds the one that means it."""
    unit: str | None = None
    """``percent`` or ``fraction`` of accuracies, where no number of a result exceeds 1."""
    lower_is_better: bool | None = None
    """None: as the metric's name says."""
    resume: tuple[str, ...] | None = None
    """What continues an interrupted attempt from what is in ``{out}``; None: the next attempt begins afresh."""
    is_shell: bool = False
    """Whether /bin/sh runs it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of its environment, beside those of the launcher; they are part of the trial."""
    code: tuple[str, ...] = ()
    """Files, folders or patterns whose content decides which trials pool; none: the git commit and its changes."""
    keep: tuple[str, ...] | None = None
    """Patterns of the files below ``{out}`` that stay after a result; None: all."""
    time_limit: float | None = None
    """Minutes of one attempt."""
    folder: Path = field(default_factory=Path)
    """Where it runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandArm:
    """One arm: a name, and the values of its placeholders."""

    name: str
    values: Mapping[str, Value] = field(default_factory=dict)


KEYS = tuple(TABLES["command"])
"""Of the table ``[command]``."""


def command_of(given: Mapping[str, Any], before: Command | None = None, *, folder: Path, where: str = "") -> Command:
    """Return a command with the given values of ``[command]`` in place of its own; None is not given.

    ``folder`` is where a relative ``folder`` starts. StudyError, with ``where`` before the key, for what is wrong.
    """
    values: dict[str, Any] = {}
    is_shell = bool(given.get("shell", before.is_shell if before else False))
    for key, value in given.items():
        if key not in KEYS:
            raise StudyError(f'{where}unknown key "{key}".{suggest(key, KEYS)}')
        if value is None:
            continue
        match key:
            case "run":
                values[key] = _words(value, key, where, is_shell=is_shell)
            case "resume" if value != SAME:
                values[key] = _words(value, key, where, is_shell=is_shell)
            case "resume":
                pass  # below
            case "shell" | "lower_is_better":
                if not isinstance(value, bool):
                    raise StudyError(f"{where}{key} = {value!r} is wrong: expected true or false.")
                values["is_shell" if key == "shell" else key] = value
            case "environment":
                values[key] = {**(before.environment if before else {}), **_environment(value, where)}
            case "code" | "keep":
                values[key] = _texts(value, key, where)
            case "folder":
                values[key] = folder / field_value(str, key, str(value), where=where)
            case "time_limit":
                values[key] = field_value(float, key, value, where=where)
                if not values[key] > 0:
                    raise StudyError(f"{where}time_limit = {value}: must be more than 0 minutes.")
            case _:
                values[key] = field_value(str, key, value, where=where)
    if before is None:
        if "run" not in values:
            raise StudyError(f'{where}run is missing: run = "python train.py --seed {{seed}} --output {{out}}".')
        command = Command(**{"folder": folder, **values})
    else:
        command = replace(before, **values)
    if given.get("resume") == SAME:
        command = replace(command, resume=command.run)
    if command.unit not in (None, "percent", "fraction"):
        raise StudyError(f'{where}unit = "{command.unit}": expected percent or fraction.')
    return command


def arms_of_tables(tables: Mapping[str, Any], *, where: str) -> tuple[CommandArm, ...]:
    """Return the arms of the tables ``[arms.NAME]``."""
    arms = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise StudyError(f"{where}arms.{name} must be a table: [arms.{name}].")
        values: dict[str, Value] = {}
        for key, value in table.items():
            if key in _PLACES or not _VARIABLE.fullmatch(key):
                raise StudyError(f'{where}[arms.{name}] "{key}" cannot be the name of a placeholder.')
            values[key] = (
                _texts(value, f"arms.{name}.{key}", where) if isinstance(value, list) else _text(value, key, where)
            )
        arms.append(CommandArm(name=name, values=values))
    return tuple(arms)


def _text(value: object, key: str, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise StudyError(f"{where}{key} = {value!r} is wrong: expected a text or a number.")


def _texts(value: object, key: str, where: str) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not all(isinstance(part, str | int | float) for part in parts):
        raise StudyError(f"{where}{key} must be a list of texts.")
    return tuple(_text(part, key, where) for part in parts)


def _words(value: object, key: str, where: str, *, is_shell: bool) -> tuple[str, ...]:
    if not isinstance(value, str):
        words = _texts(value, key, where)
        if is_shell:
            raise StudyError(f"{where}{key}: a shell takes one text, not a list of words.")
    else:
        try:
            words = (value,) if is_shell else tuple(shlex.split(value))
        except ValueError as error:
            raise StudyError(f"{where}{key}: cannot be split into words ({error}): {value[:60]}") from None
    if not "".join(words).strip():
        raise StudyError(f"{where}{key} is empty.")
    if "\0" in "".join(words):
        raise StudyError(f"{where}{key} holds a NUL.")
    return words


def _environment(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        pairs = dict(text.partition("=")[::2] for text in _texts(value, "environment", where))
    else:
        pairs = {str(name): _text(text, f"environment.{name}", where) for name, text in value.items()}
    for name in pairs:
        if not _VARIABLE.fullmatch(name):
            raise StudyError(f'{where}environment: "{name}" is not the name of a variable; write NAME=VALUE.')
    return pairs


# --- placeholders -----------------------------------------------------------------------------------------


def _names_in(text: str, where: str) -> set[str]:
    """Return the placeholders of a text; StudyError for a brace that belongs to none."""
    names = set()
    for part in _PART.finditer(text):
        if part[0] in "{}":
            raise StudyError(
                f'{where}: a single brace in "{text[max(0, part.start() - 20) : part.start() + 20]}": a placeholder is '
                "{name}, and a brace that is meant is written twice ({{ or }})."
            )
        if part[1]:
            names.add(part[1])
    return names


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders filled, and braces that were written twice as one."""

    def fill(part: re.Match[str]) -> str:
        return values[part[1]] if part[1] else part[0][0]

    return _PART.sub(fill, text)


def _filled_for_arm(text: str, values: Mapping[str, str]) -> str:
    """Return a text in which only the places of the seed and the output folder are left."""

    def fill(part: re.Match[str]) -> str:
        if part[1] not in values:
            return part[0]
        return values[part[1]].replace("{", "{{").replace("}", "}}")

    return _PART.sub(fill, text)


def _spread(words: Iterable[str], values: Mapping[str, Value], where: str) -> Iterator[str]:
    """Yield words, with the words of a list in place of its placeholder."""
    for word in words:
        several = {name for name in _names_in(word, where) if isinstance(values.get(name), tuple)}
        if not several:
            yield word
        elif word == f"{{{next(iter(several))}}}":
            yield from (each.replace("{", "{{").replace("}", "}}") for each in values[next(iter(several))])
        else:
            name = next(iter(several))
            raise StudyError(f"{where}: {{{name}}} is a list, so it must be a word of its own, not a part of {word}.")


_IN_SHELL = re.compile(r"""\\.|['"]|\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}""", re.DOTALL)


def shell_text(text: str) -> str:
    """Return a text for a shell, in which placeholders are variables: a value is never parsed as code.

    Their names are those of :func:`shell_variables`; each is quoted as its place needs.
    """
    quote = ""
    parts, end = [], 0
    for found in _IN_SHELL.finditer(text):
        parts.append(text[end : found.start()])
        end = found.end()
        if found[1]:
            variable = f"${{seedstudy_{found[1]}}}"
            parts.append({"": f'"{variable}"', '"': variable, "'": f"'\"{variable}\"'"}[quote])
        elif found[0] in ("{{", "}}"):
            parts.append(found[0][0])
        elif found[0].startswith("\\"):
            parts.append(found[0])
            if quote == "'" and found[0][1] == "'":  # in single quotes a backslash is itself
                quote = ""
        else:
            parts.append(found[0])
            quote = found[0] if not quote else "" if quote == found[0] else quote
    return "".join([*parts, text[end:]])


def shell_variables(values: Mapping[str, str]) -> dict[str, str]:
    return {f"seedstudy_{name}": value for name, value in values.items()}


# --- trials -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandTrial:
    """One command, one arm, one seed: one training that the user's own program makes."""

    arm: str
    model: str
    """What the user calls it; may be empty, as `data` may."""
    data: str
    run: tuple[str, ...]
    """Words in which only ``{seed}`` and ``{out}`` are left; with a shell one text with all its placeholders."""
    values: Mapping[str, str] | None
    """Of the arm's placeholders where a shell runs it; None: no shell."""
    result: str | None
    metric: str
    environment: Mapping[str, str]
    code: Mapping[str, Any]
    """Which code it is (:mod:`seedstudy.study.code`)."""
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the content of spec.json."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {
            "format": COMMAND_SPEC_FORMAT,
            "kind": "command",
            **fields,
            "run": list(self.run),
            "values": None if self.values is None else dict(self.values),
            "environment": dict(self.environment),
            "code": dict(self.code),
        }

    @classmethod
    def from_dict(cls, spec: Mapping[str, Any], *, where: str) -> CommandTrial:
        """Read what :meth:`to_dict` wrote; KeyError, TypeError or ValueError where it is something else."""
        values = {name: spec[name] for name in cls.__slots__}
        for name in ("arm", "model", "data", "metric"):
            if not isinstance(values[name], str):
                raise TypeError(name)
        if not all(isinstance(word, str) for word in values["run"]) or not values["run"]:
            raise TypeError("run")
        for name in ("environment", "code", *([] if values["values"] is None else ["values"])):
            if not isinstance(values[name], Mapping):
                raise TypeError(name)
        if isinstance(values["seed"], bool) or not isinstance(values["seed"], int):
            raise TypeError("seed")
        return cls(**{**values, "run": tuple(values["run"])})

    @property
    def trial_id(self) -> str:
        """A readable folder name that equal trials, and only they, share."""
        return trial_id_of(self.to_dict())

    @property
    def label(self) -> tuple[str, str, str]:
        """What a table calls it: recipe, model and data."""
        return self.arm, self.model, self.data

    @property
    def recipe_id(self) -> str:
        """The arm's name, and a hash of all that its seeds share."""
        shared = {key: value for key, value in self.to_dict().items() if key != "seed"}
        return f"{self.arm}-{hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:8]}"

    def arguments(self, out: Path, run: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
        """Return the words to execute and the variables they need; ``run`` are other words, as those that resume."""
        places = {"seed": str(self.seed), "out": str(out), "arm": self.arm}
        words = self.run if run is None else run
        if self.values is None:
            return [filled(word, places) for word in words], {}
        return ["/bin/sh", "-c", shell_text(words[0])], shell_variables({**self.values, **places})

    def needs_to_resume(self, out: Path, resume: Sequence[str]) -> list[Path]:
        """Return the files below ``out`` that the words which resume name, and the command itself does not."""
        named = {text for word in resume for text in _BELOW_OUT.findall(word)}
        named -= {text for word in self.run for text in _BELOW_OUT.findall(word)}
        places = {**(self.values or {}), "seed": str(self.seed), "out": str(out), "arm": self.arm}
        return [Path(filled(text, places)) for text in sorted(named)]

    def result_file(self, out: Path) -> Path | None:
        """Return the file that holds the result; None: stdout does."""
        if self.result is None:
            return None
        return out / filled(self.result.removeprefix("{out}/"), {"seed": str(self.seed), "out": ""})


AnyTrial = Trial | CommandTrial


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmPlan:
    """One arm (and model) of a command, ready for any seed."""

    trial: CommandTrial
    """Of seed 0, without its code."""
    resume: tuple[str, ...] | None


def plans_of(command: Command, arms: Sequence[CommandArm], models: Sequence[str], where: str = "") -> list[ArmPlan]:
    """Return every arm of a command; StudyError where a placeholder, the result's place or an arm is wrong."""
    at = f"{where}command"
    texts = [*command.run, *(command.resume or ()), *command.environment.values(), *filter(None, [command.result])]
    used = set().union(*(_names_in(text, at) for text in texts))
    in_run = set().union(*(_names_in(word, at) for word in command.run))
    _check_places(command, in_run, at)
    arms = arms or [CommandArm(name=DEFAULT_ARM)]
    if len({arm.name for arm in arms}) < len(arms):
        raise StudyError(f"{where}arms: {', '.join(arm.name for arm in arms)}: every arm has a name of its own.")
    plans = [_plan(command, arm, model, used, where) for model in models or [""] for arm in arms]
    seen: dict[str, str] = {}
    for plan in plans:
        name = "@".join(filter(None, (plan.trial.arm, plan.trial.model)))
        what = json.dumps({**plan.trial.to_dict(), "arm": "", "model": ""}, sort_keys=True)
        if what in seen:
            raise StudyError(
                f"{where}arms {seen[what]} and {name} run the same command: say what differs with {{arm}}, or with a "
                "placeholder of your own in [arms.NAME]."
            )
        seen[what] = name
    return plans


def _check_places(command: Command, in_run: set[str], at: str) -> None:
    if "seed" not in in_run:
        raise StudyError(f"{at} does not say {{seed}}: every seed would be the same training. Add --seed {{seed}}.")
    if command.result is None:
        return
    path = PurePosixPath(command.result)
    if path.parts[:1] != ("{out}",) or ".." in path.parts or len(path.parts) < 2:
        raise StudyError(
            f"{at}: result {command.result} lies outside {{out}}, the folder of each trial, where no old file can be "
            'taken for its result: --result "{out}/summary.csv".'
        )
    if _names_in(command.result, at) - {"seed", "out"} or command.result.count("{out}") > 1:
        raise StudyError(f"{at}: result {command.result}: only {{out}}, once, and {{seed}} have a meaning there.")
    if "out" not in in_run and not any("{out}" in text for text in command.environment.values()):
        raise StudyError(f"{at} does not say {{out}}, so it cannot know where {command.result} is to be written.")


def _plan(command: Command, arm: CommandArm, model: str, used: set[str], where: str) -> ArmPlan:
    given = {**({"model": model} if model else {}), **arm.values}
    for name in sorted(used - {*_PLACES, *given}):
        known = sorted({*_OWN[:3], *given})
        raise StudyError(
            f"{where}command: arm {arm.name} gives no value for {{{name}}}: [arms.{arm.name}] {name} = …"
            f"{suggest(name, known)}"
        )
    for name in sorted(arm.values.keys() - used - {"model", "data"}):
        raise StudyError(f"{where}[arms.{arm.name}] {name} is used nowhere in the command.{suggest(name, used)}")
    texts = {name: value for name, value in given.items() if isinstance(value, str)} | {"arm": arm.name}
    at = f"{where}command"
    if command.is_shell and (lists := [name for name in used if isinstance(given.get(name), tuple)]):
        raise StudyError(f"{at}: {{{lists[0]}}} is a list, which a shell's text cannot take: write a text.")

    def words_of(words: Sequence[str]) -> tuple[str, ...]:
        if command.is_shell:
            return tuple(words)
        return tuple(_filled_for_arm(word, texts) for word in _spread(words, given, at))

    shown = {name: given[name] for name in ("model", "data") if isinstance(given.get(name), str)}
    trial = CommandTrial(
        arm=arm.name,
        model=str(shown.get("model", "")),
        data=str(shown.get("data", "")),
        run=words_of(command.run),
        values={name: text for name, text in texts.items() if name in used and name != "arm"}
        if command.is_shell
        else None,
        result=command.result,
        metric=command.metric,
        environment={name: _filled_for_arm(text, texts) for name, text in command.environment.items()},
        code={},
        seed=0,
    )
    return ArmPlan(trial=trial, resume=None if command.resume is None else words_of(command.resume))


@dataclass(frozen=True, kw_only=True, slots=True)
class Handling:
    """How trials of a command are run; none of it decides a number, so none of it is part of the trial."""

    folder: str
    resume: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """recipe_id -> the words that continue an attempt; in their absence it begins afresh."""
    unit: str | None = None
    keep: tuple[str, ...] | None = None
    time_limit_s: float | None = None
    hang_timeout_s: float | None = None
    results: str = ""
    """Folder of all studies, whose changes are none of the code."""

    def to_json(self) -> str:
        """Return it as the option that every engine's command passes on."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Handling:
        """Read what :meth:`to_json` wrote."""
        try:
            given = json.loads(text)
            resume = {name: tuple(words) for name, words in given.pop("resume", {}).items()}
            keep = given.pop("keep", None)
            return cls(resume=resume, keep=None if keep is None else tuple(keep), **given)
        except (ValueError, TypeError, AttributeError) as error:
            raise StudyError(f"--command: not what a launcher passes on ({error}).") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedNumber:
    """What a training elsewhere reports of one eval set: a value of its metric, or counts."""

    metric: str
    value: float | None = None
    """Accuracies in percentage points; any other metric raw."""
    n_correct: int | None = None
    n_examples: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedResult:
    """Everything that a training elsewhere leaves behind."""

    status: Literal["ok", "diverged"]
    reason: str = ""
    evaluations: Mapping[str, ReportedNumber] = field(default_factory=dict)
    """Eval set -> its number."""
    train_s: float
    provenance: Mapping[str, Any]
