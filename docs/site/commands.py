"""The reference of all commands, from their declaration: what `--help` shows, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from seedstudy.cli import app
from seedstudy.cli.help import RARE

_TYPES = {"str": "TEXT", "path": "PATH", "int": "N", "float": "NUMBER"}
"""What an option takes, as Typer writes it -> as the page does."""


def reference() -> str:
    """Return the page."""
    root = typer.main.get_command(app)
    sections = [text for name, command in visible(root, "seedstudy") for text in _section(name, command)]
    return "\n".join(
        [
            "# Commands",
            "",
            "All commands with all options, in the order of `seedstudy --help`. In the terminal, `--help` shows the",
            "usual options of a command and `--help-all` all of them. Most commands take `--json` and print the same",
            "facts for machines. [Files and formats](files.md#exit-codes) lists the exit codes.",
            "",
            *sections,
        ]
    )


def visible(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that `--help` lists, in its order, with its full name."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child in children.values():
        if not child.hidden:
            yield from visible(child, f"{name} {child.name}")


def _section(name: str, command: Any) -> Iterator[str]:
    shown = [parameter for parameter in command.params if not parameter.hidden]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    options = [parameter for parameter in shown if parameter.param_type_name == "option"]
    context = command.context_class(command, info_name=name)
    usage = [name, "[OPTIONS]", *(argument.metavar or argument.name.upper() for argument in arguments)]
    yield f"## {name}\n\n```text\n{' '.join(usage)}\n```\n"
    yield _prose(command.help or "")
    for argument in arguments:
        if argument.help:
            yield f"\n`{argument.metavar or argument.name.upper()}`: {_plain(argument.help)}"
    panels = dict.fromkeys(option.rich_help_panel for option in options)
    for panel in sorted(panels, key=lambda panel: panel == RARE):
        rows = [
            (_names(option, context), _plain(option.help or ""), _default(option))
            for option in options
            if option.rich_help_panel == panel
        ]
        heads = (_plain(panel or "option"), "meaning", "default")
        n = 3 if any(default for *_, default in rows) else 2
        yield f"\n| {' | '.join(heads[:n])} |\n{'|---' * n}|"
        for row in rows:
            yield f"| {' | '.join(row[:n])} |"
    yield ""


def _prose(text: str) -> str:
    """Return a command's help, its examples as a block."""
    text, _, examples = text.replace("\b", "").partition("For example:")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    block = "\n".join(["", "```sh", *lines, "```"]) if lines else ""
    return f"{_escaped(text.strip())}\n{block}"


def _names(option: Any, context: Any) -> str:
    *first, last = [*option.opts, *option.secondary_opts]
    return ", ".join(f"`{name}`" for name in (*first, last + _type(option, context)))


def _type(option: Any, context: Any) -> str:
    if option.is_flag:
        return ""
    name = option.metavar or re.sub(r"list\[(.*)\]", r"\1", option.display_type(context).strip("<>"))
    return f" {_TYPES.get(name, name)}"


def _default(option: Any) -> str:
    is_shown = isinstance(option.default, (str, int, float, Path)) and not isinstance(option.default, bool)
    return f"`{_plain(str(option.default))}`" if is_shown else ""


def _plain(text: str) -> str:
    """Return a text as one line of a table's cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")
