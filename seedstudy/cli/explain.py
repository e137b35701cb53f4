"""`explain`: the ideas behind the answers, in plain words."""

from __future__ import annotations

from typing import Annotated

import typer

from seedstudy.cli import options


def explain(
    topics: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOPIC", help="None: the list of topics.", autocompletion=options.complete_topic),
    ] = None,
) -> None:
    """Explain a word of the answers in plain English.

    For example:
    seedstudy explain few-seeds
    seedstudy explain
    """
    from rich.text import Text

    import seedstudy as ss
    from seedstudy.show.format import show

    for i, text in enumerate(ss.explain(*topics or ())):
        show(*([Text()] if i else []), Text(text))
