"""Which images seeds disagree about, and which ones two recipes get right more or less often, beyond chance over seeds.

One row per image and arm; a contact sheet shows the images that stand out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import comb
from typing import Any

import polars as pl

from seedstudy.decide.answers import Shown
from seedstudy.decide.select import Source
from seedstudy.decide.variance import Predictions, predictions_of
from seedstudy.document import HIDDEN
from seedstudy.errors import StudyError
from seedstudy.stats.result import format_p
from seedstudy.stats.which_images import differing_images, disagreement, most_common
from seedstudy.study.group import Group

IMAGES = {
    "arm": pl.String(),
    "eval_set": pl.String(),
    "example_id": pl.String(),
    "labels": pl.List(pl.Int32()),  # every class that counts as right
    "n_seeds": pl.Int64(),
    "n_right": pl.Int64(),  # seeds that have the image right
    "flips": pl.Float64(),  # share of pairs of seeds of which one alone is right; null for one seed
    "predicted": pl.Int64(),  # the class that most seeds give, the lowest of several
    "n_predicted": pl.Int64(),  # seeds that give it
    "difference": pl.Float64(),  # share of seeds that are right, minus that of the first arm; null in the first arm
    "p_value": pl.Float64(),  # of that difference, Fisher's exact test
    "differs": pl.Boolean(),  # whether the false discovery rate lets it count
}
"""One row per arm and image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmOnEachImage:
    """The images of one eval set by how many seeds of one arm have them right."""

    arm: str
    n_seeds: int
    always: int
    """Images that every seed has right."""
    sometimes: int
    never: int
    disagreement: float
    """Share of images of which one of two seeds alone is right, mean over pairs of seeds; nan for one seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairOnEachImage:
    """Two arms, image by image."""

    a: str
    b: str
    more: int
    """Images that B has right more often, beyond chance."""
    less: int
    p_needed: float | None
    """The largest p-value that counts; None where none does."""
    smallest_p: float
    """What no p-value can be below, with so many seeds."""
    n_smallest: int
    """Images with that p-value."""
    n_smallest_needed: int | None
    """Images that must have it before any counts; None where no number is enough."""
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class WhichImages(Shown):
    """What seeds, and recipes, do on single images of one eval set."""

    data: str | None
    eval_set: str
    n_images: int
    fdr: float
    """Of the images that are said to differ, the share that is expected to be there by chance, at most."""
    arms: tuple[ArmOnEachImage, ...]
    pairs: tuple[PairOnEachImage, ...]
    """Each later arm against the first."""
    groups: tuple[Group, ...] = field(metadata=HIDDEN)
    frame: pl.DataFrame = field(metadata=HIDDEN)
    left_out: tuple[str, ...] = ()
    """One sentence per damaged trial, which no answer includes."""

    def to_frame(self) -> pl.DataFrame:
        """Return one row per arm and image; `IMAGES` has the columns."""
        return self.frame


def which_images(groups: Sequence[Group], source: Source, *, fdr: float) -> WhichImages:
    """Read the predictions of groups on one eval set, image by image; the later ones against the first.

    Raises StudyError where predictions were not kept, or the groups were tested on different images.
    """
    found = [predictions_of(group, source) for group in groups]
    for group, each in zip(groups, found, strict=True):
        if each.images != found[0].images:
            raise StudyError(
                f"{groups[0].label} and {group.label} were tested on different images of {group.eval_set}."
            )
    labels = source.images(groups[0])["labels"]
    parts, arms, pairs = [], [], []
    for group, each in zip(groups, found, strict=True):
        columns, arm = _of_arm(group, each)
        if group is groups[0]:
            first = columns["n_right"].to_numpy()
            columns |= dict.fromkeys(("difference", "p_value", "differs"), None)
        else:
            tested = differing_images(first, groups[0].n, columns["n_right"].to_numpy(), group.n, fdr=fdr)
            difference = each.correct.mean(axis=0) - found[0].correct.mean(axis=0)
            columns |= {"difference": difference, "p_value": tested.p_values, "differs": tested.differs}
            pairs.append(
                PairOnEachImage(
                    a=groups[0].label,
                    b=group.label,
                    more=int((tested.differs & (difference > 0)).sum()),
                    less=int((tested.differs & (difference < 0)).sum()),
                    p_needed=tested.p_needed,
                    smallest_p=tested.smallest_p,
                    n_smallest=tested.n_smallest,
                    n_smallest_needed=tested.n_smallest_needed,
                    warnings=tuple(_too_few(tested.smallest_p, groups[0].n, group.n, fdr)),
                )
            )
        arms.append(arm)
        same = {"arm": group.label, "eval_set": group.eval_set, "n_seeds": group.n}
        frame = pl.DataFrame({"example_id": each.images, "labels": labels, **columns})
        parts.append(frame.with_columns(**{name: pl.lit(value) for name, value in same.items()}))
    whole = pl.concat([part.select(pl.col(name).cast(kind) for name, kind in IMAGES.items()) for part in parts])
    return WhichImages(
        data=groups[0].data,
        eval_set=groups[0].eval_set,
        n_images=len(found[0].images),
        fdr=fdr,
        arms=tuple(arms),
        pairs=tuple(pairs),
        groups=tuple(groups),
        frame=whole,
        left_out=source.left_out,
    )


def _of_arm(group: Group, found: Predictions) -> tuple[dict[str, Any], ArmOnEachImage]:
    n_right = found.correct.sum(axis=0)
    flips = disagreement(n_right, group.n)
    predicted, n_predicted = most_common(found.predicted)
    always, never = int((n_right == group.n).sum()), int((n_right == 0).sum())
    arm = ArmOnEachImage(
        arm=group.label,
        n_seeds=group.n,
        always=always,
        sometimes=len(n_right) - always - never,
        never=never,
        disagreement=float(flips.mean()),
    )
    flips_or_null = pl.Series(flips).fill_nan(None)
    columns = {"n_right": pl.Series(n_right), "flips": flips_or_null, "predicted": predicted}
    return {**columns, "n_predicted": n_predicted}, arm


def _too_few(smallest_p: float, n_a: int, n_b: int, fdr: float) -> Iterator[str]:
    """Say that so many seeds cannot show anything of a single image, and how many can."""
    if smallest_p > fdr:
        enough = next(n for n in count(2) if 2 / comb(2 * n, n) <= fdr)
        yield (
            f"{n_a} and {n_b} seeds give no p below {format_p(smallest_p)}: no single image can be shown to differ; "
            f"from {enough} seeds each on it is possible"
        )


# --- what stands out ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class OneArm:
    """One arm on one image."""

    arm: str
    n_right: int
    n_seeds: int
    predicted: int
    n_predicted: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OneImage:
    """One image that stands out."""

    example_id: str
    labels: tuple[int, ...]
    arms: tuple[OneArm, ...]
    p_value: float | None
    """Of the pair that its section is about; None where it is about one arm."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Images that stand out in one way."""

    arm: str
    """Whose seeds disagree; or who has these images right more or less often than another arm."""
    against: str | None
    """The other arm; None where seeds of one arm disagree."""
    is_more: bool
    """Whether `arm` is right more often than `against`."""
    n_all: int
    """So many there are; `images` has the first of them."""
    images: tuple[OneImage, ...]


def outstanding(answer: WhichImages, most: int) -> tuple[Section, ...]:
    """Return the images that differ between arms, then those that flip most between seeds; each kind at most `most`."""
    frame, found = answer.frame, []
    p_of = {pair.b: answer.frame.filter(arm=pair.b) for pair in answer.pairs}
    for pair in answer.pairs:
        differing = p_of[pair.b].filter("differs")
        for is_more in (True, False):
            ordered = differing.filter((pl.col("difference") > 0) == is_more).sort(
                "p_value", pl.col("difference").abs(), "example_id", descending=[False, True, False]
            )
            found.append(_section(pair.b, pair.a, ordered, frame, most, is_more=is_more))
    for arm in answer.arms:
        flipping = frame.filter(pl.col("flips") > 0, arm=arm.arm)
        ordered = flipping.sort("flips", "example_id", descending=[True, False])
        found.append(_section(arm.arm, None, ordered, frame, most))
    return tuple(section for section in found if section.images)


def _section(
    arm: str, against: str | None, ordered: pl.DataFrame, frame: pl.DataFrame, most: int, *, is_more: bool = False
) -> Section:
    shown = ordered.head(most)
    rows = frame.filter(pl.col("example_id").is_in(shown["example_id"].to_list()))
    by_id: dict[str, list[OneArm]] = {}
    for row in rows.iter_rows(named=True):
        cells = {name: row[name] for name in ("arm", "n_right", "n_seeds", "predicted", "n_predicted")}
        by_id.setdefault(row["example_id"], []).append(OneArm(**cells))
    return Section(
        arm=arm,
        against=against,
        is_more=is_more,
        n_all=ordered.height,
        images=tuple(
            OneImage(
                example_id=row["example_id"],
                labels=tuple(row["labels"]),
                arms=tuple(by_id[row["example_id"]]),
                p_value=None if against is None else row["p_value"],
            )
            for row in shown.iter_rows(named=True)
        ),
    )
