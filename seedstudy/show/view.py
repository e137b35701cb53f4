"""What a person sees first of an answer: the verdict in one sentence, a table, what to do next, cautions."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from seedstudy.cautions import Caution
from seedstudy.decide.verdict import Word
from seedstudy.errors import printable
from seedstudy.show.format import COLOURS, small_print
from seedstudy.show.sheet import Sheet, to_html
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
    """To be copied after the next steps: never wrapped."""
    method: str = ""
    """How it was computed, in one line."""
    cautions: tuple[str, ...] = ()
    """Each once."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it in a terminal."""
        for headline in self.headlines:
            yield _coloured(headline)
        for i, sheet in enumerate(self.sheets):
            if i or self.headlines:
                yield Text()
            yield sheet
        for step in self.next_steps:
            yield Text(step)
        if self.command:
            yield Text(f"  {self.command}", no_wrap=True, overflow="ignore")
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
        return [
            f"Caution: {'; '.join(texts)}" + ("" if [topic] == texts else f" (seedstudy explain {topic})")
            for topic, texts in by_topic.items()
        ]


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
        *map(to_html, view.sheets),
        *map(paragraph, view.next_steps),
        *([f"<pre>{html.escape(printable(view.command))}</pre>"] if view.command else []),
        *map(paragraph, view.sentences),
        *([f"<details><summary>Cautions</summary>{cautions}</details>"] if cautions else []),
    ]
    return f'<div class="seedstudy">{_STYLE}{"".join(parts)}</div>'


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
    labels = list(dict.fromkeys(group.label for group in groups))
    names = {label: label for label in labels}
    models = {group.model for group in groups}
    data = {group.data for group in groups}
    common = [" on ".join(str(each) for each in (*models, *data) if each)] if len(models) == len(data) == 1 else []
    if len(models) == 1:
        ending = f"@{next(iter(models))}"
        if all(label.endswith(ending) and label != ending for label in labels):
            names = {label: label.removesuffix(ending) for label in labels}
    else:
        beginnings = {label.partition("@")[0] for label in labels}
        if len(beginnings) == 1 and all("@" in label and label.partition("@")[2] for label in labels):
            names = {label: label.partition("@")[2] for label in labels}
            common = [next(iter(beginnings))]
    return (names if len(set(names.values())) == len(names) else {each: each for each in labels}), tuple(
        filter(None, common)
    )
