"""What `images` prints: how many images seeds and recipes disagree about, and the first of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from seedstudy.decide.which_images import outstanding
from seedstudy.show.format import UNKNOWN, percent
from seedstudy.show.sheet import Column, Sheet
from seedstudy.show.view import Headline, View, short_cautions, short_names
from seedstudy.stats.result import format_p

if TYPE_CHECKING:
    from seedstudy.decide.which_images import OneImage, PairOnEachImage, Section, WhichImages

_ROWS = 8
"""Images of each kind that a terminal shows; a contact sheet has more."""


def images_view(answer: WhichImages) -> View:
    """Return the counts, and the images that stand out."""
    names, common = short_names(answer.groups)
    sections = outstanding(answer, _ROWS)
    return View(
        headlines=tuple(Headline(text=text) for text in _headlines(answer, names)),
        sheets=(_arms(answer, names, common), *(_section(section, answer, names) for section in sections)),
        next_steps=tuple(_what_is_needed(answer, names)),
        method=_method(answer),
        cautions=short_cautions((f"{names[pair.b]} - {names[pair.a]}", pair.warnings) for pair in answer.pairs),
    )


def _headlines(answer: WhichImages, names: Mapping[str, str]) -> Iterator[str]:
    for pair in answer.pairs:
        a, b = names[pair.a], names[pair.b]
        more, less = f"{pair.more:,} image{'' if pair.more == 1 else 's'}", f"{pair.less:,}"
        yield (
            f"{b} has {more} of {answer.n_images:,} on {answer.eval_set} right more often than {a}, and {less} less "
            "often, beyond chance."
        )
    if not answer.pairs:
        (arm,) = answer.arms
        yield f"{names[arm.arm]} on {answer.eval_set}: seeds disagree about {arm.sometimes:,} of {answer.n_images:,}."


def _arms(answer: WhichImages, names: Mapping[str, str], common: tuple[str, ...]) -> Sheet:
    rows = [
        (
            names[arm.arm],
            str(arm.n_seeds),
            f"{arm.always:,}",
            f"{arm.sometimes:,}",
            f"{arm.never:,}",
            UNKNOWN if math.isnan(arm.disagreement) else f"{100 * arm.disagreement:.1f}%",
        )
        for arm in answer.arms
    ]
    heads = ("seeds", "all right", "some right", "none right", "two seeds differ")
    columns = (Column(name="recipe", kind="name"), *(Column(name=head) for head in heads))
    caption = " · ".join([*common, f"images of {answer.eval_set} by how many seeds have them right"])
    return Sheet(caption=caption, columns=columns, rows=tuple(rows))


def _section(section: Section, answer: WhichImages, names: Mapping[str, str]) -> Sheet:
    last = Column(name="p") if section.against is not None else Column(name="most say", kind="text", drop=1)
    columns = (
        Column(name="image", kind="text"),
        Column(name="class", kind="text"),
        *(Column(name=names[arm.arm]) for arm in answer.arms),
        last,
    )
    rows = tuple(
        (image.example_id, labels_of(image), *counts_of(image), _last(image, section)) for image in section.images
    )
    caption = f"{title_of(section, names)}: {how_many(section)}"
    return Sheet(caption=caption, columns=columns, rows=rows)


def title_of(section: Section, names: Mapping[str, str]) -> str:
    """Say in what these images stand out."""
    if section.against is None:
        return f"Seeds of {names[section.arm]} disagree"
    return f"{names[section.arm]} right {'more' if section.is_more else 'less'} often than {names[section.against]}"


def how_many(section: Section) -> str:
    """Return how many images stand out so, and how many of them are shown."""
    n = len(section.images)
    images = f"{section.n_all:,} image{'' if section.n_all == 1 else 's'}"
    return images if n == section.n_all else f"{images}, the first {n}"


def _last(image: OneImage, section: Section) -> str:
    """Return the p-value of a difference, or the class that most seeds of an arm give."""
    if image.p_value is not None:
        return format_p(image.p_value)
    (arm,) = (arm for arm in image.arms if arm.arm == section.arm)
    return f"{arm.predicted} ({arm.n_predicted} of {arm.n_seeds})"


def labels_of(image: OneImage) -> str:
    """Return the classes that count as right, by number."""
    return ", ".join(map(str, image.labels))


def counts_of(image: OneImage) -> list[str]:
    """Return for each arm "right of seeds"."""
    return [f"{arm.n_right} of {arm.n_seeds}" for arm in image.arms]


def _what_is_needed(answer: WhichImages, names: Mapping[str, str]) -> Iterator[str]:
    for pair in answer.pairs:
        if pair.p_needed is None and not pair.warnings:
            yield f"{names[pair.b]} against {names[pair.a]}: {_needed(pair)}"


def _needed(pair: PairOnEachImage) -> str:
    """Say why no image counts although so many seeds could show some."""
    have = f"{pair.n_smallest:,} have the smallest p that so many seeds give ({format_p(pair.smallest_p)})"
    if pair.n_smallest_needed is None:
        return f"{have}; among so many images no number of those would be enough: train more seeds."
    return f"{have}, and {pair.n_smallest_needed:,} would have to for one to count: train more seeds."


def _method(answer: WhichImages) -> str:
    if not answer.pairs:
        return ""
    return (
        f"Fisher's exact test for each image over seeds; of the images that count at most {percent(answer.fdr)} are "
        "expected to be there by chance (Benjamini-Hochberg, for discrete p-values). Seeds are drawn, images are not."
    )
