"""What `variance` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from seedstudy.show.format import ci_heading, grouped_table, interval, notes, percent, small_print, with_interval
from seedstudy.stats.result import decimals_of, p_equals

if TYPE_CHECKING:
    from seedstudy.decide.images import ImageReading
    from seedstudy.decide.variance import VarianceOf


def variance_tables(answers: Sequence[VarianceOf], differences: Sequence[ImageReading]) -> RenderableType:
    """Render how arms differ, then the parts of each spread and how seeds agree."""
    return Group(*(_differences(differences) if differences else ()), *(_spreads(answers) if answers else ()))


def _differences(differences: Sequence[ImageReading]) -> Iterator[RenderableType]:
    for reading in differences:
        decimals = decimals_of(reading.on_new_images)
        lines = [f"{reading.b} - {reading.a} on {reading.eval_set}: {reading.difference:+.{decimals}f} points"]
        if reading.on_these_images is not None and reading.on_these_images_p is not None:
            shown = interval(reading.on_these_images, decimals)
            lines.append(f"  on these {reading.n_images:,} images: {shown}, {p_equals(reading.on_these_images_p)}")
        shown = interval(reading.on_new_images, decimals)
        lines.append(f"  on new images like these: {shown}, {p_equals(reading.on_new_images_p)}")
        if reading.error_of_seeds is not None and reading.error_of_images is not None:
            seeds, images = (f"{each:.{decimals}f}" for each in (reading.error_of_seeds, reading.error_of_images))
            lines.append(f"  standard error: {seeds} from seeds, {images} from images")
        if reading.bootstrap is not None:
            lines.append(f"  {reading.bootstrap.method}: {interval(reading.bootstrap, decimals)}")
        yield Text("\n".join(lines))
    level = percent(differences[0].on_new_images.level)
    yield small_print(f"intervals at {level}, not adjusted for several comparisons")
    yield from notes((f"{each.b} - {each.a}", each.warnings) for each in differences)


def _spreads(answers: Sequence[VarianceOf]) -> Iterator[RenderableType]:
    parts: dict[str, list[list[str]]] = {}
    agreement: dict[str, list[list[str]]] = {}
    for answer in answers:
        label, eval_set = answer.group.label, answer.group.eval_set
        parts.setdefault(label, []).append([eval_set, *_parts(answer)])
        agreement.setdefault(label, []).append([eval_set, *_agreement(answer)])
    ci = ci_heading(answers[0].std.level)
    heads = ["n", f"std [{ci}]", f"endless [{ci}]", "indep.", "images"]
    yield from grouped_table([""], heads, parts)
    yield small_print(
        "std over seeds on these images; endless: on endless images like these; indep.: on these images if seeds erred "
        "independently on each; images: standard error of the mean from the draw of the images; in points"
    )
    yield from grouped_table([""], ["images", "agree", "ECE", "vote of n", "gain"], agreement)
    yield small_print(
        "agree: images on which two seeds predict the same class; ECE: expected calibration error; vote: gain in "
        "points over one seed"
    )
    yield from notes((f"{answer.group.label}, {answer.group.eval_set}", answer.warnings) for answer in answers)


def _parts(answer: VarianceOf) -> list[str]:
    decimals = decimals_of(answer.std) if answer.std.has_interval else 2
    estimates = [with_interval(each, decimals) for each in (answer.std, answer.std_on_endless_images)]
    errors = [f"{each:.{decimals}f}" for each in (answer.std_if_independent, answer.image_error)]
    return [str(answer.group.n), *estimates, *errors]


def _agreement(answer: VarianceOf) -> list[str]:
    vote = answer.ensembles[-1]
    shares = [f"{100 * answer.agreement:.2f}%", f"{answer.calibration_error:.3f}"]
    return [f"{answer.n_images:,}", *shares, str(vote.n_seeds), f"{vote.gain:+.2f}"]
