"""Where a recipe's spread comes from: seeds as such, or the images that happen to be tested; and what a vote gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from seedstudy.decide.answers import Answers
from seedstudy.decide.components import DesignVariance, SubsetVariance
from seedstudy.decide.images import Clusters, ImageReading, OnImages
from seedstudy.decide.select import Source
from seedstudy.decide.streams import SharedStreams
from seedstudy.document import FLAT, fields_of, shown_as
from seedstudy.errors import StudyError
from seedstudy.stats.images import (
    Correct,
    agreement,
    bootstrap_both,
    calibration_error,
    ensemble_accuracies,
    split_variance,
)
from seedstudy.stats.result import Estimate
from seedstudy.stats.variance import std_interval
from seedstudy.study.group import Group

FEWEST_SEEDS = 5
"""Below this many seeds a variance over seeds is hardly known, and its parts are not known at all."""
_VOTES = (2, 3, 5, 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """What each network of a group says of each image of one eval set; shapes (n_seeds, n_images)."""

    correct: Correct
    predicted: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    """Probability of the predicted class."""
    images: tuple[str, ...] = field(repr=False)
    """Identity of each image, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ensemble:
    """The vote of some seeds."""

    n_seeds: int
    top1: float
    """Mean over disjoint sets of so many seeds, in points."""
    gain: float
    """Over the mean of single seeds, in points."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VarianceOf:
    """The spread of one recipe on one eval set; standard deviations in percentage points."""

    group: Group = field(metadata=FLAT)
    n_images: int
    mean: float
    std: Estimate
    """Over seeds, on these images."""
    std_on_endless_images: Estimate
    """Over seeds, if the accuracy were measured on endless images like these (Jordan 2024); the estimate of its square
    may be negative, and then is 0 here."""
    variance_on_endless_images: float
    """The unbiased estimate of the square, in squared points; may be negative."""
    std_if_independent: float
    """On these images, if seeds erred independently on each."""
    std_if_calibrated: float
    """On these images, from the error alone: sqrt(error / (2 n_images)), which holds for calibrated networks."""
    image_error: float
    """Standard error of the mean accuracy due to the draw of the images."""
    agreement: float
    """Share of images on which two seeds predict the same class."""
    calibration_error: float
    """Expected calibration error, mean over seeds, 15 bins."""
    ensembles: tuple[Ensemble, ...]
    warnings: tuple[str, ...]

    @property
    def churn(self) -> float:
        """Share of images on which two seeds differ."""
        return 1.0 - self.agreement

    def to_dict(self) -> dict[str, Any]:
        """Return one entry of ``variance --json``."""
        return fields_of(self) | {"churn": self.churn}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Variances(Answers[VarianceOf]):
    """One answer per recipe and eval set."""

    answers: tuple[VarianceOf, ...] = field(metadata=shown_as("groups"))
    differences: tuple[ImageReading, ...] = ()
    """Of each later arm from the first, where several were named, on the eval sets that both have."""
    designs: tuple[DesignVariance, ...] = ()
    """Of each recipe whose trials share random streams: what each stream adds."""
    subsets: tuple[SubsetVariance, ...] = ()
    """Of each recipe and each choice of streams that vary while the others stay fixed."""
    shared: tuple[SharedStreams, ...] = ()
    """Of each later arm and the first: whether the same seed in both narrows their difference."""
    without_images: str = ""
    """Why nothing is said about single images; empty where something is."""
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no answer includes."""


def variance_of(group: Group, found: Predictions, *, level: float = 0.95) -> VarianceOf:
    """Split a group's spread over seeds, at least two, by its trials' predictions."""
    split = split_variance(found.correct)
    n_seeds, n_images = found.correct.shape
    by_image = found.correct.mean(axis=0)
    mean = 100.0 * float(by_image.mean())
    votes = tuple(size for size in (*_VOTES, n_seeds) if size <= n_seeds)
    warnings = []
    if n_seeds < FEWEST_SEEDS:
        warnings.append(f"n = {n_seeds}: from fewer than {FEWEST_SEEDS} seeds the parts of a variance cannot be known")
    elif split.distribution_wise_raw < 0.0:
        warnings.append(
            "the estimate of the variance on endless images is negative: seeds differ no more than chance errors on "
            "single images make them differ here"
        )
    return VarianceOf(
        group=group,
        n_images=n_images,
        mean=mean,
        std=std_interval(group.values, level=level),
        std_on_endless_images=_root(split.distribution_wise_raw, split.distribution_wise_se, n_seeds, level),
        variance_on_endless_images=1e4 * split.distribution_wise_raw,
        std_if_independent=100.0 * math.sqrt(split.if_independent),
        std_if_calibrated=100.0 * math.sqrt(split.if_calibrated),
        image_error=100.0 * float(by_image.std(ddof=1)) / math.sqrt(n_images),
        agreement=agreement(found.predicted),
        calibration_error=calibration_error(found.correct, found.confidence),
        ensembles=tuple(
            Ensemble(n_seeds=size, top1=100.0 * accuracy, gain=100.0 * accuracy - mean)
            for size, accuracy in ensemble_accuracies(
                found.predicted, found.correct, found.confidence, tuple(dict.fromkeys(votes))
            )
        ),
        warnings=tuple(warnings),
    )


def _root(variance: float, se: float, n_seeds: int, level: float) -> Estimate:
    """Return the root of an estimated variance of a fraction, in points and not below 0, with its square's interval."""
    half = float(special.stdtrit(n_seeds - 1, 0.5 + level / 2)) * se
    value, low, high = (100.0 * math.sqrt(max(x, 0.0)) for x in (variance, variance - half, variance + half))
    ends = None if math.isnan(se) else (low, high)
    return Estimate.of(value, ends, level=level, n=n_seeds, method="jackknife over seeds and images")


def predictions_of(group: Group, source: Source) -> Predictions:
    """Return what the trials of a group predicted; StudyError where that was not kept, or for other images."""
    if not group.trial_ids:
        raise StudyError(
            f'"{group.label}" holds accuracies alone: this needs the prediction for each image, which the trials of a '
            "study have."
        )
    images: list[str] = []
    parts = []
    for frame in source.predictions(group):
        images = images or frame["example_id"].to_list()
        if frame["example_id"].to_list() != images:
            raise StudyError(f"{group.label}: its trials were tested on different images of {group.eval_set}.")
        parts.append(tuple(frame[name].to_numpy() for name in ("is_correct", "predicted", "confidence")))
    correct, predicted, confidence = (np.stack(each) for each in zip(*parts, strict=True))
    return Predictions(correct=correct, predicted=predicted, confidence=confidence, images=tuple(images))


def _bootstrapped(first: Correct, second: Correct, level: float, replicates: int, rng_seed: int) -> Estimate:
    drawn = 100.0 * bootstrap_both(first, second, rng=np.random.default_rng(rng_seed), n_replicates=replicates)
    ends = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    n = len(first), len(second)
    return Estimate.of(drawn.mean(), ends, level=level, n=n, method=f"multi-bootstrap, {replicates} replicates")


def variances_of(
    arms: Sequence[Sequence[Group]],
    source: Source,
    *,
    level: float,
    replicates: int,
    rng_seed: int,
    clusters: Clusters | None = None,
) -> Variances:
    """Return the variance of each group, and how later arms differ from the first one.

    `replicates`: of the multi-bootstrap; 0 for none.
    """
    found = {id(group): predictions_of(group, source) for group in chain.from_iterable(arms)}
    if all(group.n < 2 for group in chain.from_iterable(arms)) and len(arms) < 2:
        group = arms[0][0]
        raise StudyError(f'"{group.label}" has one seed on {group.eval_set}: a spread needs two or more.')
    answers = [variance_of(group, found[id(group)], level=level) for group in chain.from_iterable(arms) if group.n > 1]
    on_images, differences = OnImages(source, clusters=clusters, is_needed=True), []
    for other in arms[1:]:
        pairs = [(a, b) for a in arms[0] for b in other if (a.eval_set, a.data) == (b.eval_set, b.data)]
        for a, b in pairs:
            reading = on_images.reading(a, b, level=level)
            assert reading is not None
            if pairs[0][0] is not a and min(a.n, b.n) > 1:
                reading = on_images.beside(reading, (a, b), pairs[0], level=level)
            if replicates and min(a.n, b.n) > 1:
                both = found[id(a)].correct, found[id(b)].correct
                reading = replace(reading, bootstrap=_bootstrapped(*both, level, replicates, rng_seed))
            differences.append(reading)
    return Variances(answers=tuple(answers), differences=tuple(differences), left_out=source.left_out)
