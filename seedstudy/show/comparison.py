"""What `compare` shows first: the verdict in a sentence, one table, the next step, cautions in one line each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from seedstudy.decide.more_seeds import FEWEST
from seedstudy.decide.select import moments_of
from seedstudy.decide.verdict import BORDERLINE
from seedstudy.show.format import UNKNOWN, cases, ends, mean_and_std, percent
from seedstudy.show.sheet import Column, Sheet, aligned_intervals
from seedstudy.show.view import Headline, View, short_cautions, short_names
from seedstudy.stats.result import decimals_of, format_p, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.compare import Answer, Comparisons
    from seedstudy.decide.verdict import Word
    from seedstudy.study.group import Group

MARKS: Mapping[Word, str] = {"better": "+", "worse": "-", "equivalent": "=", "inconclusive": "?"}
_CORRECTIONS = {"bonferroni": "Bonferroni", "holm": "Holm", "max-t": "max-T"}
_MOST_HEADLINES = 4
"""So many pairs have a sentence of their own; of more, one sentence counts."""
_MOST_NAMED = 6
"""So many recipes, all compared with one, are listed by verdict; of more, one sentence counts."""
_MOST_STEPS = 2
"""So many numbers of missing seeds are listed one by one; of more, the least and the largest."""
_LONGEST_HEAD = 14
"""Characters of a recipe's name as the heading of a column; longer ones are named in the caption."""


def comparison_view(comparisons: Comparisons, *, more: str = "--details") -> View:
    """Return the verdict, the table and what to do next. `more`: where a reader finds the rest."""
    shown = _Shown(comparisons, more)
    return View(
        headlines=tuple(shown.headlines()),
        sheets=tuple(shown.sheets()),
        next_steps=tuple(shown.next_steps()),
        command=comparisons.race,
        sentences=tuple(shown.sentences()),
        method=shown.method(),
        cautions=short_cautions((shown.about(answer), shown.warnings(answer)) for answer in comparisons.answers),
    )


class _Shown:
    """A family of comparisons with the names and decimals in which it is shown."""

    def __init__(self, comparisons: Comparisons, more: str) -> None:
        self.comparisons, self.more = comparisons, more
        self.is_terminal = more.startswith("--")
        self.answers = comparisons.answers
        groups = [group for answer in self.answers for group in (answer.a, answer.b)]
        self.names, common = short_names(groups)
        self.common = [*common, *_seeds_in_common(self.answers)]
        self.is_by_data = len({answer.a.data for answer in self.answers}) > 1
        self.decisive = [answer for answer in self.answers if answer.is_primary]
        self.unit = " points" if self.answers[0].a.unit == "pp" else ""

    # --- sentences

    def about(self, answer: Answer) -> str:
        """Return what distinguishes an answer from the others: its pair, eval set and data set."""
        pair = [self.pair(answer)] if len(self.comparisons.pairs) > 1 else []
        return ", ".join([*pair, self.place(answer)])

    def about_decisive(self, answer: Answer) -> str:
        """Return what distinguishes an answer from the others that decide: its pair, or its place where there are
        several.
        """
        pair = [self.pair(answer)] if len(self.comparisons.pairs) > 1 else []
        places = {self.place(each) for each in self.decisive}
        return ", ".join([*pair, *([self.place(answer)] if len(places) > 1 or not pair else [])])

    def pair(self, answer: Answer) -> str:
        """Return "B - A", or B alone where every pair has the same A."""
        b, a = self.names[answer.b.label], self.names[answer.a.label]
        return b if len({a for a, _ in self.comparisons.pairs}) == 1 else f"{b} - {a}"

    def place(self, answer: Answer) -> str:
        """Return where it was measured: the eval set, and the data set where there are several."""
        return f"{answer.a.eval_set}, {answer.a.data}" if self.is_by_data else answer.a.eval_set

    def headlines(self) -> Iterator[Headline]:
        """Yield one sentence for each pair on the eval set that decides, or one that counts many pairs."""
        if 2 < len(self.decisive) <= _MOST_NAMED and len({(x.a.label, x.a.data) for x in self.decisive}) == 1:
            yield from self._against_one()
            return
        if len(self.decisive) <= _MOST_HEADLINES:
            for answer in self.decisive:
                yield Headline(text=self._verdict(answer), word=answer.verdict.word)
            return
        words = [answer.verdict.word for answer in self.decisive]
        counts = ", ".join(f"{words.count(word)} {word}" for word in MARKS if word in words)
        yield Headline(text=f"{len(words)} comparisons on {self.decisive[0].a.eval_set}: {counts}.")

    def _against_one(self) -> Iterator[Headline]:
        """Yield one sentence per verdict, where several are compared with the same A: the table has the numbers."""
        of_word: dict[Word, list[str]] = {}
        for answer in self.decisive:
            of_word.setdefault(answer.verdict.word, []).append(self.names[answer.b.label])
        a, place = self.names[self.decisive[0].a.label], self.place(self.decisive[0])
        for word in (word for word in MARKS if word in of_word):
            *before, last = of_word[word]
            names = f"{', '.join(before)} and {last}" if before else last
            verb = "are" if before else "is"
            match word:
                case "inconclusive":
                    text = f"INCONCLUSIVE on {place} against {a}: {names}."
                case "equivalent":
                    text = f"{names} {verb} EQUIVALENT to {a} on {place}."
                case _:
                    text = f"{names} {verb} {word.upper()} than {a} on {place}."
            yield Headline(text=text, word=word)

    def _verdict(self, answer: Answer) -> str:
        a, b, place = self.names[answer.a.label], self.names[answer.b.label], self.place(answer)
        difference, decimals = answer.interval_adjusted, decimals_of(answer.interval_adjusted)
        size = f"{difference.value:+z.{decimals}f}{self.unit} {ends(difference.low, difference.high, decimals)}"
        is_bound = answer.rounding is not None and answer.rounding.decides
        p = p_equals(answer.p_adjusted).replace("p = ", "p up to " if is_bound else "p = ")
        match answer.verdict.word:
            case "better" | "worse" as word:
                return f"{b} is {word.upper()} than {a} on {place}: {size}, {p}."
            case "equivalent":
                p = p_equals(math.nan if answer.equivalence_p_adjusted is None else answer.equivalence_p_adjusted)
                value = f"{difference.value:+z.{decimals}f}{self.unit}"
                return f"{b} is EQUIVALENT to {a} on {place}: {value}, within ±{answer.rule.margin:g}, {p}."
            case _:
                if answer.comparison.method == "permutation":
                    return f"INCONCLUSIVE on {place}: {'. '.join(answer.verdict.reasons)}."
                return f"INCONCLUSIVE on {place}: {b} - {a} = {size}, {p}."

    def sentences(self) -> Iterator[str]:
        """Yield what the other eval sets say, what one seed of each would show, and what earlier looks do."""
        if len(self.decisive) == 1:
            yield from self._opposite(self.decisive[0])
        if len(self.decisive) == 1 and self.decisive[0].verdict.word != "inconclusive":
            yield from _one_seed_of_each(self.decisive[0], self.names)
        yield from self._on_images()
        allows = "an interval that allows for it"
        where = f"{self.more} has {allows}" if self.is_terminal else f"{allows}: {self.more}"
        for answer in self.answers:
            if answer.looks is not None:
                again = f"{self.about(answer)}: look {len(answer.looks.n) + 1} at this question"
                error = f"so many looks at p < {answer.rule.alpha:g} err in {100 * answer.looks.error:.2g} of 100 cases"
                yield f"{again}; {error} ({where})."

    def _opposite(self, deciding: Answer) -> Iterator[str]:
        """Name the eval sets that say the opposite: the verdict column shows it, and that must not be overlooked."""
        against = {"better": "worse", "worse": "better"}.get(deciding.verdict.word)
        if names := [answer.a.eval_set for answer in self.answers if answer.verdict.word == against]:
            yield f"{' and '.join(names)} {'says' if len(names) == 1 else 'say'} the opposite: report both."

    def _on_images(self) -> Iterator[str]:
        """Say what the verdicts are about, and the interval of the other reading; nothing without predictions."""
        known = [x for x in self.answers if x.reading is not None and x.comparison.networks is None]
        if not known:
            return
        is_new = any(answer.verdict_on == "new images" for answer in known)
        about = f"About new seeds on {'new images like these' if is_new else 'these images'}"
        reading = self.decisive[0].reading
        other = None if reading is None else reading.on_these_images if is_new else reading.on_new_images
        if len(self.decisive) > 1 or other is None:
            yield f"{about}; on {'these' if is_new else 'new ones'}: {self.more}."
            return
        interval = f"{self.place(self.decisive[0])} {ends(other.low, other.high, decimals_of(other))}"
        shown, decimals = self.decisive[0].interval_adjusted, decimals_of(other)
        if interval.endswith(ends(shown.low, shown.high, decimals)):
            yield f"{about}; on {'these' if is_new else 'new ones'} the same to {decimals} decimals."
            return
        yield f"{about}; on {'these' if is_new else 'new ones'} {interval} (all: {self.more})."

    def method(self) -> str:
        """Return the test, the rule, and for how many comparisons p and intervals allow."""
        first = self.answers[0]
        rule = first.rule
        level = (
            "" if math.isclose(rule.level, 1.0 - rule.alpha) else f"; intervals at {percent(rule.level)} decide nothing"
        )
        margin = "no --margin" if self.is_terminal else "no margin declared"
        margin = margin if rule.margin is None else f"margin ±{rule.margin:g}{self.unit}"
        c = first.comparison
        test = f"{'Paired' if c.paired else 'Welch'} t" + ("" if c.image_error is None else " over seeds and images")
        test = test if c.networks is None else "McNemar's mid-p, interval by Tango"
        families: dict[str, list[str]] = {}
        for is_primary in (True, False):
            family = [answer for answer in self.answers if answer.is_primary == is_primary]
            if family and family[0].n_family > 1:
                sets = " and ".join(dict.fromkeys(answer.a.eval_set for answer in family))
                families.setdefault(_CORRECTIONS[family[0].correction], []).append(f"{sets}: {family[0].n_family}")
        adjusted = ", ".join(f"{correction} ({', '.join(of_sets)})" for correction, of_sets in families.items())
        adjusted = f"; p adj. by {adjusted}" if adjusted else ""
        return f"{test}, alpha {rule.alpha:.2g}, {margin}{level}{adjusted}."

    def next_steps(self) -> Iterator[str]:
        """Yield what to do where nothing is settled, and what the command below is for."""
        steps = list(self._what_is_missing())
        if self.comparisons.race is not None:
            steps[-1:] = [" ".join([*steps[-1:], "This command allows for every look:"])]
        yield from steps

    def _what_is_missing(self) -> Iterator[str]:
        unsettled = [answer for answer in self.decisive if answer.verdict.word == "inconclusive"]
        steps: dict[str, list[Answer]] = {}
        for answer in unsettled:
            missing = answer.verdict.missing
            if answer.rounding is not None and answer.rounding.decides and len(answer.verdict.reasons) > 1:
                steps.setdefault(_lower(answer.verdict.reasons[1]), []).append(answer)
            elif max(answer.comparison.n_a, answer.comparison.n_b) < FEWEST and answer.comparison.networks is None:
                steps.setdefault(f"at least {FEWEST} seeds per arm", []).append(answer)
            elif answer.comparison.method == "permutation" or (missing.number is None and missing.between is None):
                steps.setdefault(_lower(answer.verdict.reasons[-1]), []).append(answer)
            elif missing.number is not None:
                settle = f"{_more(missing.number)} per arm ({answer.rule.power:.0%} power)"
                steps.setdefault(settle + self._hours(answer, missing.number), []).append(answer)
            elif missing.between is not None:
                few, many = missing.between
                span = _more(few) if few == many else f"{few} to {_more(many)}" if many else f"{_more(few)} or many"
                power = f"{answer.rule.power:.0%} power for {missing.largest:.2g}{self.unit} or half of it"
                steps.setdefault(f"{span} per arm ({power}){self._hours(answer, few)}", []).append(answer)
        known = {answer.verdict.missing.number: answer for answer in unsettled}
        if len(steps) > _MOST_STEPS and None not in known:
            least, most = known[min(known, key=_number)], known[max(known, key=_number)]
            power = f"{least.rule.power:.0%} power"
            yield (
                f"Next: {_more(_number(least.verdict.missing.number))} per arm ({self.about_decisive(least)}) to "
                f"{_number(most.verdict.missing.number)} ({self.about_decisive(most)}), for {power}."
            )
            steps = {}
        for text, answers in steps.items():
            if answers[0].comparison.method == "permutation":
                continue  # the headline says it
            about = f" ({', '.join(map(self.about_decisive, answers))})" if len(self.decisive) > 1 else ""
            yield f"Next{about}: {text}."

    @staticmethod
    def _hours(answer: Answer, n: int) -> str:
        """Return how long so many more seeds of both arms take, where a seed's time was measured."""
        times = [group.train_s for group in (answer.a, answer.b)]
        if None in times:
            return ""
        seconds = n * sum(each for each in times if each is not None)
        hours = seconds / 3600
        span = f"{hours:.2g} h" if hours >= 1 else f"{max(1, round(seconds / 60))} min"
        return f", about {span} one after the other" + (f" on {answer.a.device}" if answer.a.device else "")

    def warnings(self, answer: Answer) -> list[str]:
        """Return what a reader must know of one answer."""
        found = [*answer.warnings, *answer.doubts]
        if answer.p_value_if_standard_error is not None:
            p = p_equals(answer.p_value_if_standard_error)
            found.append(f"a published ± is taken as the std over seeds; as a standard error it would give {p}")
        return sorted(found, key=lambda text: not text.startswith(BORDERLINE))

    # --- tables

    def sheets(self) -> Iterator[Sheet]:
        """Yield the table: a row per eval set for one pair, a row per recipe for several."""
        if len(self.comparisons.pairs) == 1:
            yield self._one_pair()
        elif self.comparisons.letters:
            yield from self._ranked()
            yield self._several(self._pair_names)
        else:
            yield self._several(self._arm_names, with_means=True)

    def _caption(self, *more: str) -> str:
        unit = "points, " if self.unit else ""
        # Where the others agree, no sentence says which of them decides.
        decides = [f"{each.primary} decides" for each in self.comparisons.overall().values()]
        decides = decides if len(self.comparisons.pairs) == 1 else []
        return " · ".join([*more, *self.common, f"{unit}± std over seeds", *decides])

    def _difference_columns(self) -> list[Column]:
        is_family = any(answer.n_family > 1 for answer in self.answers)
        level = percent(self.answers[0].comparison.level)
        return [
            Column(name="B - A"),
            Column(name=f"{level} interval"),
            Column(name="p adj." if is_family else "p"),
            # Of one row the headline has it, too.
            Column(name="verdict", kind="verdict", drop=9 if len(self.answers) == 1 else 0, is_repeated=True),
        ]

    def _differences(self, answers: Sequence[Answer]) -> list[list[str]]:
        """Return difference, interval, p and verdict of each answer, with equal decimals in each column."""
        decimals = _decimals(answers)
        known = [
            None if math.isnan(each.low) and math.isnan(each.high) else (each.low, each.high)
            for each in (answer.interval_adjusted for answer in answers)
        ]
        intervals = aligned_intervals(known, decimals, unknown=UNKNOWN)
        return [
            [
                f"{answer.interval_adjusted.value:+z.{decimals}f}",
                interval,
                UNKNOWN if answer.comparison.method == "permutation" else format_p(answer.p_adjusted),
                answer.verdict.word,
            ]
            for answer, interval in zip(answers, intervals, strict=True)
        ]

    def _one_pair(self) -> Sheet:
        a, b = (self.names[label] for label in self.comparisons.pairs[0])
        is_long = max(len(a), len(b)) > _LONGEST_HEAD
        heads, more = (("A", "B"), (f"A: {a} · B: {b}",)) if is_long else ((a, b), ())
        of_means = _decimals_of_means(self.answers)
        has_n = not _seeds_in_common(self.answers)
        rows = []
        for answer, difference in zip(self.answers, self._differences(self.answers), strict=True):
            c = answer.comparison
            means = mean_and_std(c.mean_a, c.sd_a, of_means), mean_and_std(c.mean_b, c.sd_b, of_means)
            counts = [str(c.n_a), str(c.n_b)] if has_n else []
            cells = [counts[0], means[0], counts[1], means[1]] if has_n else [*means]
            rows.append((self.place(answer), *cells, *difference))
        of_arm: Callable[[str], list[Column]] = lambda name: [  # noqa: E731
            *([Column(name="n", drop=1)] if has_n else []),
            Column(name=name, drop=2),
        ]
        columns = (Column(name="set", kind="name"), *of_arm(heads[0]), *of_arm(heads[1]), *self._difference_columns())
        return Sheet(caption=self._caption(*more), columns=columns, rows=tuple(rows))

    def _several(self, names: Callable[[Answer], tuple[str, ...]], *, with_means: bool = False) -> Sheet:
        """Return one row per pair on the eval set that decides; the verdicts of the others are marks."""
        answers = self.decisive
        others = list(dict.fromkeys(answer.a.eval_set for answer in self.answers if not answer.is_primary))
        marks = {
            (answer.a.label, answer.b.label, answer.a.data, answer.a.eval_set): MARKS[answer.verdict.word]
            for answer in self.answers
        }
        decimals = _decimals_of_means(answers)
        has_n = with_means and not _seeds_in_common(answers)
        rows = []
        for answer, difference in zip(answers, self._differences(answers), strict=True):
            c = answer.comparison
            mean = [*([str(c.n_b)] if has_n else []), mean_and_std(c.mean_b, c.sd_b, decimals)] if with_means else []
            of_others = [marks.get((answer.a.label, answer.b.label, answer.a.data, name), "") for name in others]
            data = [str(answer.a.data)] if self.is_by_data else []
            rows.append((*names(answer), *data, *mean, *difference, *of_others))
        heads = ["B", "A"] if not with_means else ["B"]
        baseline: tuple[str, ...] = ()
        if with_means:
            c = answers[0].comparison
            n = f" (n {c.n_a})" if has_n else ""
            is_one = len({(answer.a.label, answer.a.data) for answer in answers}) == 1
            of_a = f" {mean_and_std(c.mean_a, c.sd_a, decimals)}{n}" if is_one else ""
            baseline = (f"A: {', '.join(dict.fromkeys(self.names[x.a.label] for x in answers))}{of_a}",)
        columns = (
            *(Column(name=head, kind="name") for head in heads),
            *([Column(name="data", kind="text")] if self.is_by_data else []),
            *([Column(name="n")] if has_n else []),
            *([Column(name="mean ± std", drop=3 + len(others))] if with_means else []),
            *self._difference_columns(),
            *(Column(name=name, kind="verdict", drop=3 + i) for i, name in enumerate(others)),
        )
        key = ("Other sets: + better, - worse, = equivalent, ? inconclusive",) if others else ()
        return Sheet(
            caption=self._caption(*baseline, answers[0].a.eval_set), columns=columns, rows=tuple(rows), notes=key
        )

    def _arm_names(self, answer: Answer) -> tuple[str, ...]:
        return (self.names[answer.b.label],)

    def _pair_names(self, answer: Answer) -> tuple[str, ...]:
        return self.names[answer.b.label], self.names[answer.a.label]

    def _ranked(self) -> Iterator[Sheet]:
        """Yield the recipes on the eval set that decides, best first, with their letters."""
        eval_set = self.decisive[0].a.eval_set
        letters = self.comparisons.letters.get(eval_set, {})
        groups: dict[str, Group] = {g.label: g for answer in self.decisive for g in (answer.a, answer.b)}
        decimals = _decimals_of_means(self.decisive)
        rows = []
        for label, letter in letters.items():
            mean, std, n = moments_of(groups[label])
            rows.append((self.names[label], letter, str(n), mean_and_std(mean, std, decimals)))
        heads = Column(name="best first", kind="name"), Column(name="", kind="text")
        yield Sheet(
            columns=(*heads, Column(name="n"), Column(name="mean ± std")),
            rows=tuple(rows),
            notes=("No difference was shown between recipes that share a letter.",),
        )


def _decimals(answers: Sequence[Answer]) -> int:
    """Return the decimals of a column: what its most precise number supports, and at most one more than its least."""
    each = [decimals_of(answer.comparison.difference) for answer in answers]
    return min(max(each), min(each) + 1)


def _decimals_of_means(answers: Sequence[Answer]) -> int:
    """Return the decimals of means and stds: one less than of differences where that leaves two, so that all fits."""
    decimals = _decimals(answers)
    return decimals - 1 if decimals > 2 else decimals


def _seeds_in_common(answers: Sequence[Answer]) -> list[str]:
    """Return how many seeds every recipe has; nothing where they differ."""
    counts = {n for answer in answers for n in (answer.comparison.n_a, answer.comparison.n_b)}
    if len(counts) > 1:
        return []
    n = counts.pop()
    return ["1 seed each" if n == 1 else f"{n} {'pairs of seeds' if answers[0].comparison.paired else 'seeds each'}"]


def _one_seed_of_each(answer: Answer, names: Mapping[str, str]) -> Iterator[str]:
    """Say how often one new seed of B beats one of A; nothing where no seed differs from another."""
    prob = answer.verdict.prob_b_better
    if answer.comparison.method in ("permutation", "mcnemar"):
        return
    a, b = names[answer.a.label], names[answer.b.label]
    words = f"A new seed of {b} beats one of {a} in {cases(prob.value)} of 100 cases"
    if answer.comparison.paired:
        words = f"With one new seed for both, {b} beats {a} in {cases(prob.value)} of 100 cases"
    if prob.has_interval:
        low, high = cases(prob.low), cases(prob.high)
        words += f" ({low if low == high else f'{low} to {high}'})"
    yield words + "."


def _number(n: int | None) -> int:
    return n or 0


def _more(n: int) -> str:
    return "1 more seed" if n == 1 else f"{n} more seeds"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
