"""Looks at one question after another: what they do to the error, and the command that looks again rightly."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seedstudy.document import ends
from seedstudy.read.metrics import direction_of
from seedstudy.stats.looks import error_of_looks
from seedstudy.stats.race import sequence_reach
from seedstudy.stats.result import Estimate
from seedstudy.store.looks import earlier_looks, remember_looks
from seedstudy.study.group import Group

if TYPE_CHECKING:
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.select import Source

_MOST_LOOKS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """A comparison that was looked at before, with fewer seeds."""

    n: tuple[tuple[int, int], ...]
    """Seeds of A and of B at each earlier look."""
    at: tuple[str, ...]
    """When that was."""
    verdicts: tuple[str, ...]
    error: float
    """How often one of all looks, this one included, would show a difference between equal recipes."""
    anytime: Estimate
    """The difference with an interval that holds at every look, however many there are; infinite for few seeds."""

    def to_dict(self) -> dict[str, Any]:
        """Return the keys that an entry of ``compare --json`` has more."""
        earlier = zip(self.n, self.at, self.verdicts, strict=True)
        return {
            "looks": [{"n_a": n[0], "n_b": n[1], "at": at, "verdict": verdict} for n, at, verdict in earlier],
            "error_of_looks": self.error,
            "ci_anytime": ends(self.anytime),
        }


def with_looks(comparisons: Comparisons, studies: Mapping[str, Path]) -> Comparisons:
    """Return the comparisons with what was seen before of each pair, and remember them in their studies.

    `studies`: name of each study that was read -> its folder. Pairs of which an arm is from elsewhere are not
    remembered. Nothing here can fail: what cannot be read or written is no look.
    """
    known: dict[str, list[Mapping[str, Any]]] = {name: earlier_looks(folder) for name, folder in studies.items()}
    new: dict[str, list[dict[str, Any]]] = {name: [] for name in studies}
    answers = []
    for answer in comparisons.answers:
        places = [group.origin for group in (answer.a, answer.b)]
        if all(place in studies for place in places):
            look = _look(answer)
            before = [each for place in dict.fromkeys(places) for each in known[place]]
            answer = replace(answer, looks=_looks(answer, look, before))
            for place in dict.fromkeys(places):
                new[place].append(look)
        answers.append(answer)
    for name, looks in new.items():
        if looks:
            remember_looks(studies[name], looks)
    return replace(comparisons, answers=tuple(answers))


def _look(answer: Answer) -> dict[str, Any]:
    """Return what is remembered of an answer; its keys are the same whichever arm comes first."""
    arms = sorted((_identity(group), group) for group in (answer.a, answer.b))
    data = [(identity, sorted(group.values.tolist())) for identity, group in arms]
    return {
        "pair": _digest([identity for identity, _ in arms]),
        "data": _digest(data),
        "n": {identity: group.n for identity, group in arms},
        "verdict": answer.verdict.word,
    }


def _identity(group: Group) -> str:
    who = (group.origin, group.recipe_id or group.recipe, group.model, group.data, group.eval_set, group.metric)
    return _digest([*who, group.pool_key])


def _digest(what: object) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _looks(answer: Answer, look: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> Looks | None:
    """Return the earlier looks at a pair with fewer seeds; None where there were none, or where there is no t."""
    c = answer.comparison
    if c.method != "welch":
        return None
    who = _identity(answer.a), _identity(answer.b)
    earlier: dict[tuple[int, int], Mapping[str, Any]] = {}
    for each in known:
        if each.get("pair") != look["pair"] or each.get("data") == look["data"]:
            continue
        n = tuple(each["n"].get(identity, 0) for identity in who)
        if min(n) >= 2 and n[0] <= c.n_a and n[1] <= c.n_b and n != (c.n_a, c.n_b):
            earlier.setdefault((n[0], n[1]), each)
    if not earlier:
        return None
    counts = sorted(earlier, key=sum)[-_MOST_LOOKS:]
    grown = [tuple(np.maximum.accumulate([n[i] for n in counts]).tolist()) for i in (0, 1)]
    at_each = (*zip(*grown, strict=True), (c.n_a, c.n_b))
    reach = float(sequence_reach(c.df, c.n_a * c.n_b / (c.n_a + c.n_b), 1.0 - c.level))
    low, high = c.difference.value - reach * c.se, c.difference.value + reach * c.se
    return Looks(
        n=tuple(counts),
        at=tuple(str(earlier[n]["at"]) for n in counts),
        verdicts=tuple(str(earlier[n]["verdict"]) for n in counts),
        error=error_of_looks(at_each, answer.rule.alpha),
        anytime=replace(c.difference, low=low, high=high, method="anytime", warnings=()),
    )


# --- how to look again ----------------------------------------------------------------------------------


def may_look_again(answer: Answer) -> bool:
    """Say whether more seeds may settle an answer: not where digits are missing, or where no seed can be added."""
    if answer.verdict.word != "inconclusive" or answer.comparison.method == "permutation":
        return False
    if answer.a.moments is not None or answer.b.moments is not None:
        return False
    rounding = answer.rounding
    return rounding is None or not rounding.decides or answer.n_family * rounding.p_values[0] >= answer.rule.alpha


def race_command(comparisons: Comparisons, words: Sequence[str], source: Source) -> str | None:
    """Return the command that looks at these and further seeds with error control over all looks.

    None where nothing is inconclusive, or where an arm is not words of a command (numbers in memory, published means).
    `words` are those of the two arms.
    """
    unsettled = [x for x in comparisons.answers if x.is_primary and may_look_again(x)]
    if not unsettled or len(words) != 2 or not all(words):
        return None
    answer = unsettled[0]
    c, rule, missing = answer.comparison, answer.rule, answer.verdict.missing
    if c.paired or c.networks is not None or c.image_error is not None:
        return None
    n = max(c.n_a, c.n_b)
    more = missing.number or (missing.between[1] or missing.between[0] if missing.between else n)
    options: list[tuple[str, object, object]] = [
        ("--eval", answer.a.eval_set, "val"),
        ("--margin", rule.margin, None),
        ("--alpha", rule.alpha, 0.05),
        ("--max-seeds", n + more, None),
    ]
    command = ["seedstudy", "race", "--replay", *words, *source.options()]
    for option, value, default in options:
        if value is not None and value != default:
            command += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    command += ["--pool"] if source.pool else []
    if direction_of(answer.a.metric, answer.a.unit) is None:
        command.append("--lower-is-better" if rule.lower_is_better else "--higher-is-better")
    return shlex.join(command)
