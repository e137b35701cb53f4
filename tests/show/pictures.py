"""What every picture must keep, whatever it shows."""

from __future__ import annotations

import itertools

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def panels(figure: Figure) -> list[Axes]:
    """Return the panels that are shown."""
    return [axes for axes in figure.axes if axes.get_visible()]


def words_of(figure: Figure) -> list[Text]:
    """Return every text that is drawn."""
    figure.draw_without_rendering()
    # Ticks outside the axis are made but not drawn.
    hidden = {text for axes in figure.axes if not axes.get_visible() for text in axes.findobj(Text)}
    for axes in panels(figure):
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(ends)
            hidden |= {t.label1 for t in axis.get_major_ticks() if not low <= t.get_loc() <= high}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in texts if text not in hidden]


def assert_words_are_readable(figure: Figure) -> None:
    """No text is clipped by the page, smaller than 6 points, or on top of another one."""
    texts = words_of(figure)
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    page = figure.bbox
    for text, box in boxes:
        assert page.x0 <= box.x0, text
        assert box.x1 <= page.x1, text
        assert page.y0 <= box.y0, text
        assert box.y1 <= page.y1, text
    for text in texts:
        assert text.get_fontsize() >= 6, text.get_text()
    for (first, one), (second, other) in itertools.combinations(boxes, 2):
        assert not one.padded(1, 0).overlaps(other.padded(1, 0)), f"{first!r} on {second!r}"
