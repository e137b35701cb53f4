"""What `variance` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from seedstudy.show.format import ci_heading, filled_table, interval, notes, number, percent, small_print
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from seedstudy.decide.variance import VarianceOf


def variance_tables(answers: Sequence[VarianceOf]) -> RenderableType:
    """Render the parts of each spread, and how seeds agree."""
    ci = ci_heading(answers[0].std.level)
    names = {answer.group.label for answer in answers}
    label = ["recipe"] if len(names) > 1 else []
    heads = [*label, "eval set", "n", "std", ci, "endless", ci, "indep.", "images"]
    parts = filled_table(heads, [_parts(answer, label) for answer in answers])
    agreement = filled_table(
        [*label, "eval set", "images", "agree", "ECE", "vote of n", "gain"],
        [_agreement(answer, label) for answer in answers],
    )
    which = "" if label else f"{answers[0].group.label}: "
    explained = (
        "std over seeds on these images; endless: on endless images like these; indep.: on these images if seeds erred "
        "independently on each; images: standard error of the mean from the draw of the images; all in points"
    )
    return Group(
        parts,
        small_print(which + explained),
        agreement,
        small_print(
            "agree: images on which two seeds predict the same class; ECE: expected calibration error; vote: gain in "
            "points over one seed"
        ),
        *notes((f"{answer.group.label}, {answer.group.eval_set}", answer.warnings) for answer in answers),
    )


def _parts(answer: VarianceOf, label: list[str]) -> list[str]:
    decimals = decimals_of(answer.std) if answer.std.has_interval else 2
    endless = answer.std_on_endless_images
    own = [answer.group.label] if label else []
    return [
        *own,
        answer.group.eval_set,
        str(answer.group.n),
        number(answer.std.value, decimals),
        interval(answer.std, decimals),
        number(endless.value, decimals),
        interval(endless, decimals),
        number(answer.std_if_independent, decimals),
        number(answer.image_error, decimals),
    ]


def _agreement(answer: VarianceOf, label: list[str]) -> list[str]:
    own = [answer.group.label] if label else []
    last = answer.ensembles[-1]
    return [
        *own,
        answer.group.eval_set,
        f"{answer.n_images:,}",
        percent(round(answer.agreement, 4)),
        number(answer.calibration_error, 3),
        str(last.n_seeds),
        f"{last.gain:+.2f}",
    ]
