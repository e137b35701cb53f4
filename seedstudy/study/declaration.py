"""The rule of a study, and when it was declared: a rule chosen after the numbers decides nothing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
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
    at: str | None = None
    """Time in UTC; None: by a version of seedstudy that did not note it."""
    n_results: int | None = None
    """Trials that had a result at that time; None: not noted."""

    def __str__(self) -> str:
        margin = "no margin" if self.margin is None else f"margin {self.margin:g}"
        baseline = "" if self.baseline is None else f", baseline {self.baseline}"
        return f"{margin}{baseline}" + ("" if self.images is None else f", {self.images} images")

    def decides_as(self, other: Declaration) -> bool:
        """Return whether two declarations differ in words or time only."""
        return (self.margin, self.baseline, self.images) == (other.margin, other.baseline, other.images)


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
            at=at,
            n_results=n_results,
        )
        says_nothing = (new.question, new.margin, new.baseline, new.images) == ("", None, None, None)
        if self.declared:
            last = self.declared[-1]
            if says_nothing or (new.question == last.question and new.decides_as(last)):
                return self
        return Rule(declared=(*self.declared, new))

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


def _declaration(entry: Mapping[str, Any]) -> Declaration:
    known = {field.name for field in fields(Declaration)}
    values = {name: value for name, value in dict(entry).items() if name in known and value is not None}
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**9
        if name in ("margin", "n_results") and not is_number:
            raise ValueError(f"{name} is no number")
        if name not in ("margin", "n_results") and not isinstance(value, str):
            raise ValueError(f"{name} is no text")
    return Declaration(**values)
