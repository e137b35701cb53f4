"""The rule of a study, and when it was declared: a rule chosen after the numbers decides nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from seedstudy.errors import printable
from seedstudy.study.study import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """A rule, as it was declared at one time."""

    question: str = ""
    margin: float | None = None
    """Smallest difference of interest, in percentage points."""
    baseline: str | None = None
    images: str | None = None
    """What a verdict is about: "these" test images or "new" ones; None: nothing was declared."""
    metric: str | None = None
    """Of a command's result, where the next two say something of it."""
    lower_is_better: bool | None = None
    unit: str | None = None
    """``percent`` or ``fraction``: its values are shares, kept in percentage points."""
    at: str | None = None
    """Time in UTC; None: by a version of seedstudy that did not note it."""
    n_results: int | None = None
    """Trials that had a result at that time; None: not noted."""

    def __str__(self) -> str:
        margin = "no margin" if self.margin is None else f"margin {self.margin:g}"
        baseline = "" if self.baseline is None else f", baseline {self.baseline}"
        images = "" if self.images is None else f", {self.images} images"
        better = {None: "", True: f", lower {self.metric} is better", False: f", higher {self.metric} is better"}
        return f"{margin}{baseline}{images}{better[self.lower_is_better]}"

    def decides_as(self, other: Declaration) -> bool:
        """Return whether two declarations differ in words or time only."""
        return self._decisive == other._decisive

    @property
    def _decisive(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in _DECISIVE)


_DECISIVE = ("margin", "baseline", "images", "metric", "lower_is_better", "unit")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """Every rule that a study declared, the first one first; the last one is in force."""

    declared: tuple[Declaration, ...] = ()

    @property
    def margin(self) -> float | None:
        """Of the rule in force."""
        return self.declared[-1].margin if self.declared else None

    @property
    def images(self) -> str | None:
        """Of the rule in force."""
        return self.declared[-1].images if self.declared else None

    def with_study(self, study: Study, *, at: str, n_results: int) -> Rule:
        """Return the rule after a plan: the same object where the plan declares nothing new."""
        new = Declaration(
            question=study.question,
            margin=study.margin,
            baseline=study.baseline,
            images=study.images,
            **self._number_of(study),
            at=at,
            n_results=n_results,
        )
        if self.declared:
            last = self.declared[-1]
            if (new.question, new.margin, new.baseline, new.images) == ("", None, None, None):
                new = replace(last, **_number(new), at=at, n_results=n_results)
            if new.question == last.question and new.decides_as(last):
                return self
        return Rule(declared=(*self.declared, new))

    def _number_of(self, study: Study) -> dict[str, Any]:
        """Return what is known of a command's metric; what the plan leaves out is as it was declared before."""
        command = study.command
        before = _number(self.declared[-1]) if self.declared else {}
        if command is None:
            return before
        if before.get("metric") != command.metric:
            before = {}
        known = {name: getattr(command, name) for name in ("lower_is_better", "unit")}
        known = {name: before.get(name) if value is None else value for name, value in known.items()}
        is_known = any(value is not None for value in known.values())
        return {"metric": command.metric, **known} if is_known else {}

    @property
    def lateness(self) -> str:
        """Say that the rule in force was declared after results existed, and what was declared first; else nothing."""
        if not self.declared:
            return ""
        first, last = self.declared[0], self.declared[-1]
        source = next(each for each in self.declared if each.decides_as(last))
        if not source.n_results:
            return ""
        trials = "1 trial" if source.n_results == 1 else f"{source.n_results:,} trials"
        words = f"its rule ({last}) was declared {source.at}, when {trials} had results"
        if first is not source:
            words += f"; first declared{f' {first.at}' if first.at else ''}: {first}"
        return printable(words + ".")

    def to_dict(self) -> dict[str, Any]:
        """Return the content of study.json: the rule in force as older versions read it, and all of them."""
        last = self.declared[-1]
        in_force = {"question": last.question, "margin": last.margin, "baseline": last.baseline}
        return {**in_force, "declared": [asdict(each) for each in self.declared]}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Rule:
        """Read what :meth:`to_dict` or an older version wrote; ValueError or TypeError where it is neither."""
        of_old = {name: record[name] for name in ("question", "margin", "baseline") if name in record}
        return cls(declared=tuple(_declaration(each) for each in record.get("declared", (of_old,))))


def _number(declared: Declaration) -> dict[str, Any]:
    """Return what a declaration says of a command's metric."""
    return {name: getattr(declared, name) for name in ("metric", "lower_is_better", "unit")}


def _declaration(entry: Mapping[str, Any]) -> Declaration:
    known = {field.name for field in fields(Declaration)}
    values = {name: value for name, value in dict(entry).items() if name in known and value is not None}
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**9
        if name in ("margin", "n_results"):
            if not is_number:
                raise ValueError(f"{name} is not a number")
        elif name == "lower_is_better":
            if not isinstance(value, bool):
                raise ValueError(f"{name} is neither true nor false")
        elif not isinstance(value, str):
            raise ValueError(f"{name} is not a text")
    return Declaration(**values)
