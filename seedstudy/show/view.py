"""What a person sees first of an answer: the verdict in one sentence, a table, what to do next, cautions."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.console import Group as Parts
from rich.text import Text

from seedstudy.cautions import Caution
from seedstudy.decide.verdict import Word
from seedstudy.errors import printable
from seedstudy.show.format import COLOURS, WIDTH
from seedstudy.show.sheet import FORMATS, Sheet, paragraph, to_html
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
    """To be copied after the next steps: a long one continues behind a backslash. Both come before the tables."""
    lines: tuple[str, ...] = ()
    """One fact each, with a path or a command to copy: never wrapped."""
    method: str = ""
    """How it was computed, in one line."""
    cautions: tuple[str, ...] = ()
    """Each once."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it in a terminal."""
        width = options.max_width
        for headline in self.headlines:
            yield _coloured(headline, width)
        for step in self.next_steps:
            yield paragraph(step, width)
        if self.command:
            yield Text(_continued(self.command, width), no_wrap=True, overflow="ignore")
        for i, sheet in enumerate(self.sheets):
            if i or self.headlines:
                yield Text()
            yield sheet
        for line in self.lines:
            yield Text(line, no_wrap=True, overflow="ignore")
        for sentence in self.sentences:
            yield paragraph(sentence, width)
        for line in filter(None, (self.method, *self.caution_lines())):
            yield paragraph(line, width, style="dim")

    def caution_lines(self) -> list[str]:
        """Return one line for the cautions of each topic, and one for each other caution."""
        by_topic: dict[str, list[str]] = {}
        for caution in self.cautions:
            topic = caution.topic if isinstance(caution, Caution) else caution
            by_topic.setdefault(topic, []).append(caution.short if isinstance(caution, Caution) else caution)
        lines = []
        for topic, texts in by_topic.items():
            pointer = "" if [topic] == texts else f" (seedstudy explain {topic})"
            candidates = []
            for shown in range(len(texts), 0, -1):
                left = len(texts) - shown
                more = [f"{left} more"] if left else []
                candidates.append(f"Caution: {'; '.join([*texts[:shown], *more])}{pointer}")
            # As many as one line holds; the topic and --details have all of them.
            lines.append(next((line for line in candidates if cell_len(line) <= WIDTH), candidates[-1]))
        return lines


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


def _coloured(headline: Headline, width: int) -> Text:
    text = paragraph(headline.text, width)
    if headline.word is not None:
        at = text.plain.find(headline.word.upper())
        text.stylize(f"bold {COLOURS[headline.word]}", at, at + len(headline.word))
    return text


def _continued(command: str, width: int) -> str:
    """Return an indented command; where it is too long it continues in further lines, so that no word is cut."""
    words = re.findall(r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+", command)
    lines = ["  " + words[0]]
    for word in words[1:]:
        if cell_len(f"{lines[-1]} {word} \\") > width:
            lines[-1] += " \\"
            lines.append("     ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


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
    # What applies to everything comes first: not all cautions of one topic may fit into its line.
    order = sorted(labels_of, key=lambda short: len(labels_of[short]) < len(everything))
    for short in order:
        labels = labels_of[short]
        joint = "; " if any(", " in label for label in labels) else ", "
        line = short if len(labels) == len(everything) else f"{joint.join(labels)}: {short}"
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
