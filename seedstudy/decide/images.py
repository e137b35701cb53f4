"""One difference, or one mean, read three ways: on these test images, on new images like these, on another eval set.

Seeds are one sample, test images another. A verdict is about new seeds on these images unless its rule says that the
images are a sample too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from seedstudy.decide.select import Source
from seedstudy.errors import StoreError, StudyError
from seedstudy.stats.compare import Comparison, compare_networks, compare_on_new_images
from seedstudy.stats.images import (
    ArmOnImages,
    OnNewImages,
    arm_on_images,
    difference_on_new_images,
    mean_on_new_images,
    paired_networks,
    satterthwaite,
)
from seedstudy.stats.result import Estimate, bounded_p
from seedstudy.stats.sample import mean_of, sd_of
from seedstudy.stats.welch import TDistance, interval, two_sided_p, welch
from seedstudy.study.group import Group

Images = Literal["these", "new"]
"""What a verdict is about: the test images as they are, or images like them."""
Clusters = Literal["class"]
"""What is drawn when images are: whole classes. None: each image by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReading:
    """One difference, B minus A, in percentage points: on these images, on new ones, beside the deciding eval set."""

    a: str
    b: str
    eval_set: str
    n_a: int
    n_b: int
    n_images: int
    n_clusters: int | None
    """Classes that were drawn as a whole; None where each image was drawn by itself."""
    difference: float
    on_these_images: Estimate | None
    """The interval over seeds; None where an arm has one seed."""
    on_these_images_p: float | None
    on_new_images: Estimate
    """Over seeds and images, paired by image; over images alone where both arms have one seed."""
    on_new_images_p: float
    error_of_seeds: float | None
    """Standard error of the difference due to seeds; None where an arm has one seed."""
    error_of_images: float | None
    """Standard error due to images; not below 0. None where an arm has one seed."""
    bootstrap: Estimate | None = None
    """Percentile interval of the multi-bootstrap over seeds and images, where it was asked for."""
    beside: str | None = None
    """The eval set with which this one is compared: the deciding one. None for itself, and for the same images."""
    change: Estimate | None = None
    """The difference here minus the difference there, for new seeds and new images of both sets."""
    change_p: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanReading:
    """One mean accuracy, in percentage points, for new seeds and new images."""

    n_images: int
    n_clusters: int | None
    on_new_images: Estimate
    error_of_seeds: float
    error_of_images: float
    beside: str | None = None
    """The eval set with which this one is compared: val, or the first. None for itself, and for the same images."""
    change: Estimate | None = None
    """The mean here minus the mean there, for new seeds and new images of both sets."""


class OnImages:
    """What the networks of groups show image by image; each group is read once.

    `is_needed`: what cannot be read image by image is an error, not left out.
    """

    def __init__(self, source: Source, *, clusters: Clusters | None = None, is_needed: bool = False) -> None:
        self._source, self._clusters, self._is_needed = source, clusters, is_needed
        self._arms: dict[Hashable, ArmOnImages | None] = {}
        self._ids: dict[Hashable, frozenset[str]] = {}

    # --- what is known of a group ------------------------------------------------------------------------

    def _matrix(self, group: Group) -> tuple[npt.NDArray[np.bool_], str] | None:
        """Return (n_seeds, n_images) and the digest of the images; None where predictions are not known."""
        try:
            found = self._source.correct(group)
        except StoreError:
            if self._is_needed:
                raise
            return None
        if found is None and self._is_needed:
            raise _unknown(group)
        return found

    def _labels(self, group: Group) -> npt.NDArray[np.int64] | None:
        return None if self._clusters is None else self._source.images(group)["label"].to_numpy()

    def _arm(self, group: Group) -> ArmOnImages | None:
        key = (group.trial_ids, group.eval_set)
        if key not in self._arms:
            found = self._matrix(group) if group.n > 1 else None
            self._arms[key] = None if found is None else arm_on_images(found[0], clusters=self._labels(group))
        return self._arms[key]

    def _pairs(self, a: Group, b: Group) -> ArmOnImages | None:
        """Return the differences of networks that share a seed."""
        first, second = self._matrix(a), self._matrix(b)
        if first is None or second is None or a.seeds is None or b.seeds is None:
            return None
        shared = [seed for seed in a.seeds if seed in b.seeds]
        if len(shared) < 2:
            return None
        rows_a, rows_b = ([seeds.index(seed) for seed in shared] for seeds in (a.seeds, b.seeds))
        differences = second[0][rows_b].astype(np.int8) - first[0][rows_a].astype(np.int8)
        return arm_on_images(differences, clusters=self._labels(a))

    def _are_the_same(self, a: Group, b: Group) -> bool:
        """Say whether both groups were tested on the same images; StudyError where that is needed and not so."""
        try:
            first, second = (self._source.images_of(group) for group in (a, b))
        except StoreError:
            if self._is_needed:
                raise
            return False
        if self._is_needed and None in (first, second):
            raise _unknown(a if first is None else b)
        if first != second and self._is_needed:
            raise StudyError(f"{a.label} and {b.label} were tested on different images of {a.eval_set}.")
        return first is not None and first == second

    def correct(self, groups: Sequence[Group]) -> dict[str, npt.NDArray[np.bool_]]:
        """Return label -> which images each network has right, (n_seeds, n_images); all groups: on the same images.

        StudyError where that is not known or, of readings that are needed, where the images are not the same.
        """
        found = {}
        for group in groups:
            matrix = self._matrix(group)
            if matrix is None:
                raise _unknown(group)
            self._are_the_same(groups[0], group)
            found[group.label] = matrix[0]
        return found

    def _share_images(self, a: Group, b: Group) -> bool:
        """Say whether two eval sets have images in common."""
        ids = []
        for group in (a, b):
            key = self._source.images_of(group)
            if key not in self._ids:
                self._ids[key] = frozenset(self._source.images(group)["example_id"])
            ids.append(self._ids[key])
        return not ids[0].isdisjoint(ids[1])

    # --- differences -------------------------------------------------------------------------------------

    def reading(self, a: Group, b: Group, *, level: float, paired: bool = False) -> ImageReading | None:
        """Read the difference of two groups that were tested on the same images; None where that is not known."""
        if not self._are_the_same(a, b):
            return None
        if a.n == b.n == 1:
            return self._of_networks(a, b, level)
        found = self._on_new_images(a, b, level=level, paired=paired)
        if found is None:
            if self._is_needed:
                lone = a if a.n < 2 else b
                raise StudyError(f'"{lone.label}" has one seed on {a.eval_set}: give both arms more.')
            return None
        t = _over_seeds(a, b, paired=paired)
        n = found.estimate.n if paired else (a.n, b.n)
        ends, p = (None, None) if t is None else (interval(t, level), bounded_p(float(two_sided_p(t))))
        difference = 100.0 * found.estimate.value
        return ImageReading(
            a=a.label,
            b=b.label,
            eval_set=a.eval_set,
            n_a=a.n,
            n_b=b.n,
            n_images=found.n_images,
            n_clusters=found.n_clusters,
            difference=difference,
            on_these_images=Estimate.of(difference, ends, level=level, n=n, method="paired-t" if paired else "welch"),
            on_these_images_p=p,
            on_new_images=_in_points(found.estimate),
            on_new_images_p=found.p_value,
            error_of_seeds=100.0 * math.sqrt(found.variance_seeds),
            error_of_images=100.0 * math.sqrt(found.variance_images),
        )

    def _on_new_images(self, a: Group, b: Group, *, level: float, paired: bool) -> OnNewImages | None:
        if paired:
            pairs = self._pairs(a, b)
            return None if pairs is None else mean_on_new_images(pairs, level=level)
        first, second = self._arm(a), self._arm(b)
        return None if first is None or second is None else difference_on_new_images(first, second, level=level)

    def _of_networks(self, a: Group, b: Group, level: float) -> ImageReading | None:
        first, second = self._matrix(a), self._matrix(b)
        if first is None or second is None:
            return None
        pair = paired_networks(first[0][0], second[0][0], level=level)
        return ImageReading(
            a=a.label,
            b=b.label,
            eval_set=a.eval_set,
            n_a=1,
            n_b=1,
            n_images=pair.n_images,
            n_clusters=None,
            difference=100.0 * pair.difference.value,
            on_these_images=None,
            on_these_images_p=None,
            on_new_images=_in_points(pair.difference),
            on_new_images_p=pair.p_value,
            error_of_seeds=None,
            error_of_images=None,
            warnings=("one network each: this says nothing about seeds",),
        )

    def compare_networks(self, a: Group, b: Group, *, level: float, margin: float | None = None) -> Comparison | None:
        """Compare two single networks image by image; None where their predictions are not known."""
        if a.n != 1 or b.n != 1 or not self._are_the_same(a, b):
            return None
        first, second = self._matrix(a), self._matrix(b)
        if first is None or second is None:
            return None
        accuracies = float(a.values[0]), float(b.values[0])
        pair, names = paired_networks(first[0][0], second[0][0], level=level), (a.label, b.label)
        return compare_networks(pair, accuracies, unit=100.0, level=level, margin=margin, names=names)

    def compare_on_new_images(self, c: Comparison, a: Group, b: Group) -> Comparison:
        """Return a comparison of seeds as one of seeds and images; only where `reading` is one."""
        found = self._on_new_images(a, b, level=c.level, paired=c.paired)
        assert found is not None
        return compare_on_new_images(c, found, unit=100.0)

    # --- another eval set --------------------------------------------------------------------------------

    def beside(
        self, reading: ImageReading, here: tuple[Group, Group], there: tuple[Group, Group], *, level: float
    ) -> ImageReading:
        """Return a reading beside the same pair on the deciding eval set, unless both sets share images."""
        t = self._change(here, there)
        if t is None:
            return reading
        n = (reading.n_a, reading.n_b)
        return replace(
            reading,
            beside=there[0].eval_set,
            change=Estimate.of(t.difference, interval(t, level), level=level, n=n, method="welch, seeds and images"),
            change_p=bounded_p(float(two_sided_p(t))),
        )

    def _change(self, here: tuple[Group, ...], there: tuple[Group, ...]) -> TDistance | None:
        """Return the last arm's mean minus the first one's (or one arm's mean), here minus there, in points."""
        arms = [(self._arm(x), self._arm(y)) for x, y in zip(here, there, strict=True)]
        is_matched = all(x.trial_ids == y.trial_ids for x, y in zip(here, there, strict=True))
        if not is_matched or any(x is None or y is None for x, y in arms) or self._share_images(here[0], there[0]):
            return None
        found = []
        for k in (0, 1):
            of_set = [pair[k] for pair in arms]
            found.append(
                mean_on_new_images(*of_set) if len(of_set) == 1 else difference_on_new_images(*of_set)  # type: ignore[arg-type]
            )
        seeds = [float((x.values - y.values).var(ddof=1)) / x.n for x, y in zip(here, there, strict=True)]
        images = [1e4 * each.variance_images for each in found]
        dfs = [*(x.n - 1 for x in here), *((each.n_clusters or each.n_images) - 1 for each in found)]
        t = satterthwaite(100.0 * (found[0].estimate.value - found[1].estimate.value), [*seeds, *images], dfs)
        return t if t.se > 0.0 else None

    # --- means -------------------------------------------------------------------------------------------

    def mean(self, group: Group, others: Sequence[Group], *, level: float) -> MeanReading | None:
        """Read a group's mean, beside that of its trials on the first eval set, which `others` have.

        None where its predictions are not known, and for one seed, which shows no spread.
        """
        arm = self._arm(group)
        if arm is None:
            return None
        found = mean_on_new_images(arm, level=level)
        reading = MeanReading(
            n_images=found.n_images,
            n_clusters=found.n_clusters,
            on_new_images=_in_points(found.estimate),
            error_of_seeds=100.0 * math.sqrt(found.variance_seeds),
            error_of_images=100.0 * math.sqrt(found.variance_images),
        )
        beside = next(other for other in (*others, group) if other.trial_ids == group.trial_ids)
        t = None if beside.eval_set == group.eval_set else self._change((group,), (beside,))
        if t is None:
            return reading
        ends = interval(t, level)
        change = Estimate.of(t.difference, ends, level=level, n=group.n, method="welch, seeds and images")
        return replace(reading, beside=beside.eval_set, change=change)


def _unknown(group: Group) -> StudyError:
    return StudyError(
        f'"{group.label}", {group.eval_set}: no prediction for each image is known, which new images need; the trials '
        "of a study have them."
    )


def _over_seeds(a: Group, b: Group, *, paired: bool) -> TDistance | None:
    """Return the difference on these images; None without any spread."""
    if paired:
        assert a.seeds is not None
        assert b.seeds is not None
        of_b = dict(zip(b.seeds, b.values, strict=True))
        d = np.array([of_b[seed] - value for seed, value in zip(a.seeds, a.values, strict=True) if seed in of_b])
        t = TDistance(mean_of(d), sd_of(d) / math.sqrt(len(d)), len(d) - 1.0)
        return t if t.se > 0.0 else None
    moments = [(mean_of(group.values), sd_of(group.values), group.n) for group in (a, b)]
    return None if moments[0][1] == moments[1][1] == 0.0 else welch(*moments[0], *moments[1])


def _in_points(estimate: Estimate) -> Estimate:
    return replace(estimate, value=100 * estimate.value, low=100 * estimate.low, high=100 * estimate.high)
