"""A contact sheet: the images that stand out, as a page that needs no other file, or as one picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from seedstudy.decide.which_images import outstanding
from seedstudy.errors import printable
from seedstudy.machine import version
from seedstudy.show.view import short_names
from seedstudy.show.which_images import how_many, images_view, title_of
from seedstudy.stats.result import p_equals

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from seedstudy.decide.which_images import OneImage, Section, WhichImages

    Pictures = Mapping[str, NDArray[np.uint8]]
    """example_id -> (h, w, 3)."""

_PER_ROW = 6
_SIDE, _GAP, _HEAD, _LINE_HEIGHT = 1.2, 0.12, 0.4, 0.12
"""Inches: of a picture, between two, of a heading, of a line of text."""
_LINE = 28
"""Characters of a line below a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One image with what is said of it."""

    example_id: str
    title: str
    """Its class, or classes."""
    lines: tuple[str, ...]
    """One per arm: how many seeds are right, and what most say otherwise."""


def ids_shown(answer: WhichImages, most: int) -> tuple[str, ...]:
    """Return the images that a contact sheet shows."""
    sections = outstanding(answer, most)
    return tuple(dict.fromkeys(image.example_id for section in sections for image in section.images))


def contact_page(answer: WhichImages, pictures: Pictures, classes: Sequence[str], *, most: int) -> str:
    """Return a page with the images inside; every text is escaped."""
    from jinja2 import Environment, StrictUndefined

    names, _ = short_names(answer.groups)
    text = resources.files("seedstudy.show").joinpath("contact.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    sections = [
        {
            "title": printable(title_of(section, names)),
            "count": how_many(section),
            "tiles": [
                {
                    "example_id": printable(tile.example_id),
                    "title": tile.title,
                    "lines": tile.lines,
                    "source": _embedded(pictures[tile.example_id]),
                }
                for tile in _tiles(section, answer, classes)
            ],
        }
        for section in outstanding(answer, most)
    ]
    facts = {"title": _title(answer), "version": version(), "view": images_view(answer), "sections": sections}
    return environment.from_string(text).render(facts)


def contact_figure(answer: WhichImages, pictures: Pictures, classes: Sequence[str], *, most: int) -> Figure:
    """Return the same images as one picture."""
    from matplotlib.figure import Figure

    from seedstudy.show.plots.canvas import SMALL, styled

    names, _ = short_names(answer.groups)
    sections = outstanding(answer, most)
    n_rows = [-(-len(section.images) // _PER_ROW) for section in sections]
    tall = _SIDE + _LINE_HEIGHT * (len(answer.arms) + 2) + _GAP
    height = sum(_HEAD + tall * rows for rows in n_rows) or 1.0
    width = _PER_ROW * (_SIDE + _GAP) + _GAP
    with styled():
        figure = Figure(figsize=(width, height))
        top = height
        for section, rows in zip(sections, n_rows, strict=True):
            title = printable(f"{title_of(section, names)}: {how_many(section)}")
            figure.text(_GAP / width, (top - _GAP) / height, title, fontsize=9, va="top")
            for place, tile in enumerate(_tiles(section, answer, classes)):
                row, column = divmod(place, _PER_ROW)
                left, bottom = _GAP + column * (_SIDE + _GAP), top - _HEAD - row * tall - _SIDE
                axes = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
                axes.axis("off")
                axes.imshow(pictures[tile.example_id], interpolation="nearest")
                words = "\n".join(map(_cut, (tile.title, *tile.lines)))
                axes.text(0.5, -0.03, words, transform=axes.transAxes, ha="center", va="top", fontsize=SMALL - 2)
            top -= _HEAD + tall * rows
        if not sections:
            figure.text(0.5, 0.5, "no image stands out", ha="center")
    return figure


def _cut(text: str) -> str:
    return text if len(text) <= _LINE else f"{text[: _LINE - 1]}…"


def _title(answer: WhichImages) -> str:
    names, _ = short_names(answer.groups)
    where = f"{answer.eval_set} of {answer.data}" if answer.data else answer.eval_set
    return f"{' against '.join(names[arm.arm] for arm in reversed(answer.arms))}, image by image, {where}"


def _tiles(section: Section, answer: WhichImages, classes: Sequence[str]) -> Iterator[Tile]:
    names, _ = short_names(answer.groups)

    def name(label: int) -> str:
        return printable(classes[label]) if 0 <= label < len(classes) else f"class {label}"

    for image in section.images:
        yield Tile(
            example_id=image.example_id,
            title=" or ".join(map(name, image.labels)),
            lines=tuple(_lines(image, names, name)),
        )


def _lines(image: OneImage, names: Mapping[str, str], name: object) -> Iterator[str]:
    assert callable(name)
    for arm in image.arms:
        other = "" if arm.predicted in image.labels else f", {name(arm.predicted)} {arm.n_predicted}"
        yield f"{printable(names[arm.arm])}: {arm.n_right} of {arm.n_seeds}{other}"
    if image.p_value is not None:
        yield p_equals(image.p_value)


def _embedded(picture: NDArray[np.uint8]) -> str:
    """Return a picture as a link that holds it."""
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
