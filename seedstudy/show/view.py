"""What a person sees first of an answer: the verdict in one sentence, a table, what to do next, cautions."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.console import Group as Parts
from rich.text import Text

from seedstudy.cautions import Caution
from seedstudy.decide.verdict import Word
from seedstudy.errors import printable
from seedstudy.show.format import COLOURS, small_print
from seedstudy.show.sheet import FORMATS, Sheet, to_html
from seedstudy.study.group import Group


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """One verdict in one sentence; its word is written in capitals and coloured."""

    text: str
    word: Word | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """An answer as it is shown; a terminal, a notebook and a page draw the same view."""

    headlines: tuple[Headline, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    sentences: tuple[str, ...] = ()
    """What else the numbers say, one paragraph each."""
    next_steps: tuple[str, ...] = ()
    """What to do where nothing is settled."""
    command: str | None = None
    """To be copied after the next steps: never wrapped. Both come before the tables."""
    lines: tuple[str, ...] = ()
    """One fact each, with a path or a command to copy: never wrapped."""
    method: str = ""
    """How it was computed, in one line."""
    cautions: tuple[str, ...] = ()
    """Each once."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it in a terminal."""
        for headline in self.headlines:
            yield _coloured(headline)
        for step in self.next_steps:
            yield Text(step)
        if self.command:
            yield Text(f"  {self.command}", no_wrap=True, overflow="ignore")
        for i, sheet in enumerate(self.sheets):
            if i or self.headlines:
                yield Text()
            yield sheet
        for line in self.lines:
            yield Text(line, no_wrap=True, overflow="ignore")
        for sentence in self.sentences:
            yield Text(sentence)
        if self.method:
            yield small_print(self.method)
        for line in self.caution_lines():
            yield small_print(line)

    def caution_lines(self) -> list[str]:
        """Return one line for the cautions of each topic, and one for each other caution."""
        by_topic: dict[str, list[str]] = {}
        for caution in self.cautions:
            topic = caution.topic if isinstance(caution, Caution) else caution
            by_topic.setdefault(topic, []).append(caution.short if isinstance(caution, Caution) else caution)
        lines = []
        for topic, texts in by_topic.items():
            left = len(texts) - _MOST_OF_A_TOPIC
            shown = "; ".join([*texts[:_MOST_OF_A_TOPIC], *([f"{left} more like it: --details"] if left > 0 else [])])
            lines.append(f"Caution: {shown}" + ("" if [topic] == texts else f" (seedstudy explain {topic})"))
        return lines


_MOST_OF_A_TOPIC = 3
"""So many cautions of one topic are shown; the others are of the same kind."""


def headline_html(headline: Headline) -> str:
    """Return a headline with its verdict marked; escaped."""
    word = headline.word.upper() if headline.word else ""
    before, word, after = headline.text.partition(word) if word else (headline.text, "", "")
    marked = f'<strong class="word {headline.word}">{html.escape(word)}</strong>' if word else ""
    return f"{html.escape(printable(before))}{marked}{html.escape(printable(after))}"


_STYLE = """<style>
.seedstudy .better{color:#116329} .seedstudy .worse{color:#a40e26} .seedstudy .equivalent{color:#0b5cad}
.seedstudy .inconclusive{color:#7d4e00} .seedstudy caption{text-align:left}
.seedstudy th,.seedstudy td{text-align:left;white-space:nowrap}
.seedstudy td.number,.seedstudy th.number{text-align:right}
</style>"""


def view_html(view: View) -> str:
    """Return a view as a fragment of HTML; every text is escaped."""

    def paragraph(text: str) -> str:
        return f"<p>{html.escape(printable(text))}</p>"

    cautions = "".join(map(paragraph, view.caution_lines()))
    parts = [
        *(f"<p>{headline_html(each)}</p>" for each in view.headlines),
        *map(paragraph, view.next_steps),
        *([f"<pre>{html.escape(printable(view.command))}</pre>"] if view.command else []),
        *map(to_html, view.sheets),
        *map(paragraph, (*view.lines, *view.sentences)),
        *([f'<p class="small">{html.escape(printable(view.method))}</p>'] if view.method else []),
        *([f"<details><summary>Cautions</summary>{cautions}</details>"] if cautions else []),
    ]
    return f'<div class="seedstudy">{_STYLE}{"".join(parts)}</div>'


def sheets_of(drawn: RenderableType) -> Iterator[Sheet]:
    """Yield the tables of what a command prints."""
    match drawn:
        case Sheet():
            yield drawn
        case View():
            yield from drawn.sheets
        case Parts():
            for each in drawn.renderables:
                yield from sheets_of(each)


def widened(drawn: RenderableType) -> RenderableType:
    """Return what a command prints with every column of its tables, however narrow the terminal is."""
    match drawn:
        case Sheet():
            return replace(drawn, is_wide=True)
        case View():
            return replace(drawn, sheets=tuple(replace(each, is_wide=True) for each in drawn.sheets))
        case Parts():
            return Parts(*map(widened, drawn.renderables))
        case _:
            return drawn


def exported(drawn: RenderableType, form: str) -> str:
    """Return the tables of what a command prints, in one of `FORMATS`."""
    return "\n".join(map(FORMATS[form], sheets_of(drawn)))


def _coloured(headline: Headline) -> Text:
    if headline.word is None:
        return Text(headline.text)
    before, word, after = headline.text.partition(headline.word.upper())
    return Text(before).append(word, style=f"bold {COLOURS[headline.word]}").append(after)


def short_cautions(warnings: Iterable[tuple[str, Iterable[str]]]) -> tuple[str, ...]:
    """Return each caution once, after the labels of what it applies to unless that is everything.

    Cautions that read the same in short are one.
    """
    labels_of: dict[str, dict[str, None]] = {}
    topics: dict[str, str] = {}
    everything: dict[str, None] = {}
    for label, texts in warnings:
        everything[label] = None
        for text in texts:
            short = text.short if isinstance(text, Caution) else text
            labels_of.setdefault(short, {})[label] = None
            if isinstance(text, Caution):
                topics[short] = text.topic
    found = []
    for short, labels in labels_of.items():
        line = short if len(labels) == len(everything) else f"{', '.join(labels)}: {short}"
        found.append(Caution(line, short=line, topic=topics[short]) if short in topics else line)
    return tuple(found)


def short_names(groups: Sequence[Group]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return label -> the part of it that tells it apart, and the facts that all groups share.

    A label RECIPE@MODEL loses what is the same for all; other labels stay as they are.
    """
    models, data = ({each.model for each in groups}, {each.data for each in groups})
    names, same = short_labels([group.label for group in groups])
    if len(models) == 1:
        same = (next(iter(models)) or same) if len(data) == 1 else None
        place = next(iter(data)) if len(data) == 1 else None
        common = " on ".join(str(each) for each in (same, place) if each)
        return names, (common,) if common else ()
    return names, (same,) if same else ()


def short_labels(labels: Sequence[str]) -> tuple[dict[str, str], str | None]:
    """Return label -> what tells it apart, and what all labels RECIPE@MODEL share: the model, or the recipe."""
    distinct = list(dict.fromkeys(labels))
    parts = [label.partition("@") for label in distinct]
    if all(name and sign and model for name, sign, model in parts):
        for kept, shared in ((0, 2), (2, 0)):
            if len({part[shared] for part in parts}) == 1 and len({part[kept] for part in parts}) == len(parts):
                return dict(zip(distinct, (part[kept] for part in parts), strict=True)), parts[0][shared]
    return {label: label for label in distinct}, None
