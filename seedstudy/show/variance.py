"""What `variance` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from seedstudy.show.components import design_cautions, design_sheets, repetitions_in_words, shared_in_words
from seedstudy.show.format import UNKNOWN, column, common_decimals, interval, percent
from seedstudy.show.sheet import Column, Sheet
from seedstudy.show.view import View, short_cautions, short_names
from seedstudy.stats.result import format_p

if TYPE_CHECKING:
    from seedstudy.decide.images import ImageReading
    from seedstudy.decide.variance import VarianceOf, Variances


def variance_view(answer: Variances) -> View:
    """Return how arms differ, then the parts of each spread and how seeds agree; and what designs say."""
    differences, shared = answer.differences, list(answer.shared)
    groups = [each.group for each in answer.answers]
    names, common = short_names(groups) if groups else ({}, ())
    cautions = [
        *((f"{each.b} - {each.a}", each.warnings) for each in differences),
        *((f"{each.group.label}, {each.group.eval_set}", each.warnings) for each in answer.answers),
        *design_cautions(answer.designs),
    ]
    return View(
        sheets=(
            *_differences(differences),
            *design_sheets(answer),
            *(_spreads(answer.answers, names, common) if groups else ()),
        ),
        sentences=(*map(shared_in_words, shared), *repetitions_in_words(answer.designs)),
        method=f"Nothing about single images: {answer.without_images}." if answer.without_images else "",
        cautions=short_cautions(cautions),
    )


def _differences(differences: Sequence[ImageReading]) -> Iterator[Sheet]:
    if not differences:
        return
    rows = []
    decimals = common_decimals([reading.on_new_images for reading in differences])
    for reading in differences:
        about = f"{reading.b} - {reading.a}", reading.eval_set
        for name, estimate, p in (
            (f"these {reading.n_images:,}", reading.on_these_images, reading.on_these_images_p),
            ("new ones like these", reading.on_new_images, reading.on_new_images_p),
            ("", reading.bootstrap, None),
        ):
            if estimate is None:
                continue
            rows.append(
                (
                    *about,
                    name or estimate.method,
                    f"{reading.difference:+z.{decimals}f}",
                    interval(estimate, decimals),
                    UNKNOWN if p is None else format_p(p),
                    *(
                        UNKNOWN if error is None else f"{error:.{decimals}f}"
                        for error in (reading.error_of_seeds, reading.error_of_images)
                    ),
                )
            )
    level = percent(differences[0].on_new_images.level)
    columns = (
        Column(name="B - A", kind="name"),
        Column(name="set", kind="name"),
        Column(name="images", kind="text"),
        Column(name="points"),
        Column(name=f"{level} interval"),
        Column(name="p"),
        Column(name="se seeds", drop=2),
        Column(name="se images", drop=2),
    )
    yield Sheet(
        columns=columns,
        rows=tuple(rows),
        notes=("Not adjusted for several comparisons. se: standard error from the seeds, and from the images.",),
    )


def _spreads(answers: Sequence[VarianceOf], names: Mapping[str, str], common: Sequence[str]) -> Iterator[Sheet]:
    level = percent(answers[0].std.level)
    where = " · ".join([*common, "in points"])
    parts, agreement = [], []
    decimals = common_decimals([answer.std for answer in answers if answer.std.has_interval])
    stds = column([answer.std for answer in answers], decimals)
    endless = column([answer.std_on_endless_images for answer in answers], decimals)
    for answer, std, on_endless in zip(answers, stds, endless, strict=True):
        who = names[answer.group.label], answer.group.eval_set
        errors = [f"{each:.{decimals}f}" for each in (answer.std_if_independent, answer.image_error)]
        parts.append((*who, str(answer.group.n), std, on_endless, *errors))
        agreement.append((*who, *_agreement(answer)))
    of_whom = Column(name="recipe", kind="name"), Column(name="set", kind="text")
    yield Sheet(
        caption=f"{where} · [{level} intervals]",
        columns=(*of_whom, *map(_number, ("n", "std", "endless", "indep.", "images"))),
        rows=tuple(parts),
        notes=(
            "std over seeds on these images; endless: on endless images like these; indep.: on these images if seeds "
            "erred independently on each; images: standard error of the mean from the draw of the images.",
        ),
    )
    yield Sheet(
        columns=(*of_whom, *map(_number, ("images", "agree", "ECE", "vote of n", "gain"))),
        rows=tuple(agreement),
        notes=(
            "agree: images on which two seeds predict the same class; ECE: expected calibration error; vote: gain in "
            "points over one seed.",
        ),
    )


def _number(name: str) -> Column:
    return Column(name=name)


def _agreement(answer: VarianceOf) -> list[str]:
    vote = answer.ensembles[-1]
    shares = [f"{100 * answer.agreement:.2f}%", f"{answer.calibration_error:.3f}"]
    return [f"{answer.n_images:,}", *shares, str(vote.n_seeds), f"{vote.gain:+z.2f}"]
