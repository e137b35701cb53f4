"""What `--help` shows: panels of options, rarely needed ones with `--help-all`, and examples to copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

WHAT, READ, DATA, RULE = "What to train", "What is read", "Data", "The rule"
WHERE, OUTPUT, RARE = "Where it runs", "Output", "Rarely needed"
_PANELS = (WHAT, READ, DATA, RULE, WHERE, OUTPUT, "Options", RARE)
"""In the order in which help shows them; an option without a panel is one of "Options"."""

TRAIN, JUDGE, PLAN, STUDIES, LOOK_UP = (
    "Train",
    "Judge",
    "Plan, and other people's numbers",
    "Studies",
    "Look up",
)
EXAMPLES = "For example:"
"""The line of a docstring below which its commands stand."""
_ALL = "seedstudy.help_all"
_TYPES = {
    "str": " TEXT",
    "list[str]": " TEXT",
    "path": " PATH",
    "list[path]": " PATH",
    "int": " N",
    "float": " NUMBER",
}
"""What an option takes, as Typer writes it -> as help writes it; arguments say it by their names."""


def _show_all(context: typer.Context, is_wanted: bool) -> None:
    if is_wanted:
        context.meta[_ALL] = True
        typer.echo(context.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option("--help-all", is_eager=True, callback=_show_all, help="This, and options that are rarely needed."),
]


def _panel(parameter: Any) -> str:
    return getattr(parameter, "rich_help_panel", None) or "Options"


class Command(TyperCommand):
    """A command whose options are shown in panels, with examples below."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `--study NAME` also where the study is an argument: other commands have the option."""
        names = {parameter.name: parameter.param_type_name for parameter in self.params}
        if names.get("study") == "argument":
            args = [word.removeprefix("--study=") for word in args]
            # A --study without a name stays, and is an error.
            after = [*args[1:], "-"]
            args = [word for word, name in zip(args, after, strict=False) if word != "--study" or name.startswith("-")]
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does, without its examples."""
        text, self.help = self.help, (self.help or "").partition(EXAMPLES)[0]
        super().format_help_text(ctx, formatter)
        self.help = text

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel; the rarely needed one only if it was asked for."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                is_option = parameter.param_type_name == "option"
                name, text = row
                for kind, words in _TYPES.items():
                    name = name.replace(f" <{kind}>", words if is_option else "")
                panels.setdefault(_panel(parameter) if is_option else "Arguments", []).append((name, text))
        if not ctx.meta.get(_ALL):
            panels.pop(RARE, None)
        for name in ("Arguments", *_PANELS):
            if name in panels:
                with formatter.section(name):
                    formatter.write_dl(panels[name])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, a line each: they are to be copied."""
        examples = examples_of(self.help or "")
        if examples:
            formatter.write_paragraph()
            formatter.write(f"{EXAMPLES}\n")
            for line in examples:
                formatter.write(f"  {line}\n")


class Commands(TyperGroup):
    """Commands in panels; help where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show help and end where there is nothing to parse."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel of commands."""
        panels: dict[str, list[tuple[str, Any]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, command))
        longest = max(len(name) for commands in panels.values() for name, _ in commands)
        for panel, commands in panels.items():
            with formatter.section(panel):
                formatter.write_dl(
                    [
                        (f"{name:<{longest}}", command.get_short_help_str(formatter.width - 6 - longest))
                        for name, command in commands
                    ]
                )


def examples_of(text: str) -> Sequence[str]:
    """Return the commands below the line of a docstring that announces them."""
    return [line.strip() for line in text.partition(EXAMPLES)[2].splitlines() if line.strip()]
