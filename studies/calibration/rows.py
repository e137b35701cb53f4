"""Many comparisons at once, one per row, checked against what users call."""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

import seedstudy as ss
from seedstudy.stats import doubt, effect, rank, variance, welch
from seedstudy.stats.permutation import Labelled, bounded_image, floor_paired, floor_two_sample, random_bits
from seedstudy.stats.welch import TDistance
from studies.calibration.designs import ALPHA, LEVEL, Rows

CHECKED = 4
"""Replicates of each figure that are compared with the public functions."""
_EXACT_UP_TO, _RANDOM_LABELLINGS = 1_000, 999
NO_ACCURACY: dict[str, Any] = {"metric": "value", "lower_is_better": False}
"""For `seedstudy.compare`: simulated numbers are not percentages."""
Flags = NDArray[np.bool_]


def _every_labelling(n_a: int, n_b: int) -> NDArray[np.float64]:
    """Return all labellings, 1.0 where a seed goes to arm B."""
    chosen = list(itertools.combinations(range(n_a + n_b), n_b))
    labels = np.zeros((len(chosen), n_a + n_b))
    labels[np.arange(len(chosen))[:, None], chosen] = 1.0
    return labels


def _some_labellings(n_a: int, n_b: int, rng: np.random.Generator) -> NDArray[np.float64]:
    bits = random_bits(n_a, n_b, _RANDOM_LABELLINGS, rng)
    return np.unpackbits(bits, axis=1, count=n_a + n_b).astype(np.float64)


class Deviation(Exception):
    """A formula for many rows does not give what the public function gives: the figure would mean nothing."""


def check(what: str, rows: Any, public: Any, *, rtol: float = 1e-9) -> None:
    """Refuse to go on where the first rows are not what the public function says of them."""
    if not len(public):
        return
    first, expected = np.asarray(rows)[: len(public)].astype(float), np.asarray(public).astype(float)
    if not np.allclose(first, expected, rtol=rtol, atol=1e-12, equal_nan=True):
        raise Deviation(f"{what}: {first.tolist()} here, {expected.tolist()} by the public function")


class Comparisons:
    """Comparisons of the rows of two arms, shapes (n_rows, n_a), (n_rows, n_b)."""

    def __init__(self, a: Rows, b: Rows, *, margin: float | None = None, paired: bool = False) -> None:
        self.a, self.b, self.margin, self.paired = a, b, margin, paired
        self.n_a, self.n_b = a.shape[1], b.shape[1]
        self.sd_a, self.sd_b = a.std(axis=1, ddof=1), b.std(axis=1, ddof=1)
        self.moments = (a.mean(axis=1), self.sd_a, self.n_a, b.mean(axis=1), self.sd_b, self.n_b)

    @cached_property
    def t(self) -> TDistance:
        with np.errstate(invalid="ignore", divide="ignore"):
            if not self.paired:
                return welch.welch(*self.moments)
            differences, n = self.b - self.a, self.n_a
            se = differences.std(axis=1, ddof=1) / math.sqrt(n)
            return TDistance(differences.mean(axis=1), se, np.full_like(se, n - 1.0))

    @cached_property
    def no_spread(self) -> Flags:
        """Rows of which no arm shows any spread: they have no t, and the permutation p decides."""
        return np.asarray(self.t.se == 0.0)

    @cached_property
    def p_value(self) -> Rows:
        floor = floor_paired(self.n_a) if self.paired else floor_two_sample(self.n_a, self.n_b)
        with np.errstate(invalid="ignore", divide="ignore"):
            p = welch.two_sided_p(self.t)
        return np.where(self.no_spread, np.where(self.t.difference == 0.0, 1.0, floor), p)

    @cached_property
    def equivalence_p(self) -> Rows:
        floor = 0.5**self.n_a if self.paired else 1 / math.comb(self.n_a + self.n_b, self.n_a)
        with np.errstate(invalid="ignore", divide="ignore"):
            p = welch.equivalence_p(self.t, self.margin)
        return np.where(self.no_spread, np.where(np.abs(self.t.difference) < self.margin, floor, 1.0), p)

    @cached_property
    def is_equivalent(self) -> Flags:
        """Whether the verdict is "equivalent"."""
        if self.margin is None:
            return np.zeros(self.sd_a.size, dtype=bool)
        return np.asarray((self.equivalence_p < ALPHA) & ~self.no_spread)

    @cached_property
    def is_different(self) -> Flags:
        """Whether the verdict is "better" or "worse"."""
        return np.asarray((self.p_value < ALPHA) & ~self.is_equivalent & ~self.no_spread)

    @cached_property
    def verdict(self) -> NDArray[np.str_]:
        """The word of the rule with this margin."""
        word = np.where(self.t.difference > 0, "better", "worse")
        return np.where(self.is_equivalent, "equivalent", np.where(self.is_different, word, "inconclusive"))

    @cached_property
    def is_borderline(self) -> Flags:
        """Whether the verdict is a claim that calls itself borderline."""
        by_difference, by_equivalence = (
            doubt.safe_p(self.n_a, self.n_b, alpha=ALPHA, claim=claim, paired=self.paired)
            for claim in ("difference", "equivalence")
        )
        is_close = self.is_different & (self.p_value >= by_difference)
        if self.margin is not None:
            is_close |= self.is_equivalent & (self.equivalence_p >= by_equivalence)
        if not self.paired:  # all seeds of one arm gave one value: perhaps they are one run
            is_close |= (self.is_different | self.is_equivalent) & ((self.sd_a == 0.0) | (self.sd_b == 0.0))
        return np.asarray(is_close)

    @cached_property
    def interval(self) -> tuple[Rows, Rows]:
        with np.errstate(invalid="ignore"):
            low, high = welch.interval(self.t, LEVEL)
        return np.where(self.no_spread, np.nan, low), np.where(self.no_spread, np.nan, high)

    @cached_property
    def hedges_g(self) -> tuple[Rows, Rows]:
        """The printed interval."""
        to_d = math.sqrt(1 / self.n_a + 1 / self.n_b)
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = welch.student(*self.moments).statistic
            low, high = effect.noncentrality_limits(statistic, self.n_a + self.n_b - 2.0, LEVEL)
        return np.where(self.no_spread, np.nan, to_d * low), np.where(self.no_spread, np.nan, to_d * high)

    @cached_property
    def placements(self) -> tuple[Rows, Rows]:
        """`seedstudy.stats.effect.placements`, from ranks."""
        ranks = stats.rankdata(np.concatenate([self.a, self.b], axis=1), axis=1)
        below_a = (ranks[:, : self.n_a] - stats.rankdata(self.a, axis=1)) / self.n_b
        return below_a, (ranks[:, self.n_a :] - stats.rankdata(self.b, axis=1)) / self.n_a

    @cached_property
    def prob_b_greater(self) -> tuple[Rows, Rows]:
        """The printed interval: of normal seeds, or by ranks."""
        if min(self.n_a, self.n_b) >= effect.FEWEST_FOR_RANKS:
            return self.prob_by_ranks
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = effect.prob_greater_normal_limits(self.t, self.spread, LEVEL)
        by_ranks = self.prob_by_ranks if self.no_spread.any() else (low, high)
        return np.where(self.no_spread, by_ranks[0], low), np.where(self.no_spread, by_ranks[1], high)

    @property
    def spread(self) -> Rows:
        """Std of the difference of one seed of each arm."""
        return np.asarray(self.t.se * math.sqrt(self.n_a) if self.paired else np.hypot(self.sd_a, self.sd_b))

    @cached_property
    def prob_by_ranks(self) -> tuple[Rows, Rows]:
        return effect.prob_greater_limits(*effect.prob_greater_moments(*self.placements), self.n_a, self.n_b, LEVEL)

    @cached_property
    def single_run_error(self) -> Rows:
        """The printed chance that single seeds come out against the order of the means."""
        if min(self.n_a, self.n_b) >= effect.FEWEST_FOR_RANKS:
            theta = effect.prob_greater_moments(*self.placements)[0]
        else:
            with np.errstate(invalid="ignore", divide="ignore"):
                theta = special.ndtr(self.t.difference / self.spread)
        return np.where(self.t.difference > 0.0, 1.0 - theta, theta)

    @cached_property
    def mann_whitney_p(self) -> Rows:
        """As for many seeds: normal with tie correction."""
        return np.asarray(stats.mannwhitneyu(self.b, self.a, axis=1, method="asymptotic").pvalue)

    @cached_property
    def brunner_munzel_p(self) -> Rows:
        """As for many seeds: Student's t; 0 at complete separation."""
        theta, variance_, df = effect.prob_greater_moments(*self.placements)
        with np.errstate(invalid="ignore", divide="ignore"):
            p = welch.two_sided_p(TDistance(theta - 0.5, np.sqrt(variance_), df))
        return np.asarray(np.nan_to_num(p, nan=0.0))

    @cached_property
    def sd_ratio(self) -> tuple[Rows, Rows]:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return variance.ratio_limits(self.a, self.b, LEVEL)

    def hodges_lehmann_covers(self, shift: float) -> Flags:
        """Return whether the interval holds the shift: whether it drops neither too many differences nor too few."""
        n_cut, _ = rank.cut(self.n_a, self.n_b, LEVEL)
        moved = Comparisons(self.a, self.b - shift)
        n_below = np.rint(2 * self.n_a * moved.placements[1].sum(axis=1)) / 2  # ties count one half
        return np.asarray((n_below > n_cut) & (n_below < self.n_a * self.n_b - n_cut))

    def permutation_p(self, rng: np.random.Generator) -> Rows:
        """Return the permutation p: exact up to 1,000 labellings, else by 999 random ones, the same for all rows."""
        n_a, n_b = self.n_a, self.n_b
        pooled = np.concatenate([self.a, self.b], axis=1)
        z = pooled - pooled.mean(axis=1, keepdims=True)
        z /= np.maximum(np.abs(z).max(axis=1, keepdims=True), 1e-300)
        is_exact = math.comb(n_a + n_b, n_b) <= _EXACT_UP_TO
        labels = _every_labelling(n_a, n_b) if is_exact else _some_labellings(n_a, n_b, rng)
        squares, total = np.square(z), np.square(z).sum(axis=1, keepdims=True)

        def images(in_b: NDArray[np.float64]) -> Rows:
            sums, sums_of_squares = z @ in_b.T, squares @ in_b.T
            difference = np.square(sums / n_b + sums / n_a)  # the pooled sum is 0
            ss_b = np.maximum(sums_of_squares - np.square(sums) / n_b, 0.0)
            ss_a = np.maximum(total - sums_of_squares - np.square(sums) / n_a, 0.0)
            return bounded_image(difference, ss_a / (n_a * (n_a - 1)) + ss_b / (n_b * (n_b - 1)))

        seen = images(np.repeat([0.0, 1.0], [n_a, n_b])[None, :])
        as_extreme = np.sum(images(labels) >= seen - Labelled.TIE, axis=1)
        return np.asarray(as_extreme / len(labels) if is_exact else (as_extreme + 1) / (len(labels) + 1))

    def check(self) -> None:
        """Compare what was computed so far with `seedstudy.compare` and the functions behind its details.

        Raises
        ------
        Deviation
            They say something else.

        """
        done = self.__dict__
        pairs = list(zip(self.a[:CHECKED], self.b[:CHECKED], strict=True))
        answers = [
            ss.compare(a, b, **NO_ACCURACY, margin=self.margin, level=LEVEL, paired=self.paired)[0] for a, b in pairs
        ]
        ones = [answer.comparison for answer in answers]
        for name in ("p_value", "equivalence_p", "single_run_error"):
            if name in done:
                check(name, done[name], [getattr(one, name) for one in ones])
        for name, field in (("interval", "difference"), ("hedges_g", "hedges_g"), ("prob_b_greater", "prob_b_greater")):
            if name in done:
                check(
                    name,
                    np.transpose(done[name]),
                    [(getattr(one, field).low, getattr(one, field).high) for one in ones],
                    rtol=1e-9 if name == "interval" else 1e-6,  # the others come from root finders
                )
        if "verdict" in done:
            check("verdict", self.verdict[:CHECKED] == [x.verdict.word for x in answers], [True] * len(ones))
            if "is_borderline" in done:
                said = [any(w.startswith("borderline") for w in x.verdict.warnings) for x in answers]
                check("borderline", self.is_borderline, said)
        if min(self.n_a, self.n_b) >= 30:  # exact for fewer
            for name, public in (("mann_whitney_p", rank.mann_whitney_p), ("brunner_munzel_p", rank.brunner_munzel_p)):
                if name in done:
                    check(name, done[name], [public(a, b) or 0.0 for a, b in pairs])
        if "sd_ratio" in done:
            # A ratio that is not offered (no spread in an arm) has no row here either.
            ratios = [variance.sd_ratio(a, b, level=LEVEL) for a, b in pairs]
            shown = [i for i, ratio in enumerate(ratios) if ratio is not None]
            limits = [(ratio.low, ratio.high) for ratio in ratios if ratio is not None]
            check("sd_ratio", np.transpose(done["sd_ratio"])[shown], limits)
