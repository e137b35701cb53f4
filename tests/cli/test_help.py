"""What `--help` shows, what a shell completes, and what a bare command says."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

import seedstudy
from seedstudy.cli import app
from seedstudy.cli.help import RARE, Command, examples_of

Cli = Callable[..., tuple[int, str, str]]


def commands() -> dict[str, Any]:
    """Return every command that help shows, by what is typed."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        if hasattr(command, "commands"):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
        elif not command.hidden:
            found[name] = command
    return found


@pytest.mark.parametrize("name", commands())
def test_every_command_has_examples_that_parse(name: str, cli: Cli) -> None:
    command = commands()[name]
    assert isinstance(command, Command)
    examples = examples_of(command.help or "")
    assert examples
    for line in examples:
        assert len(line) <= 78, line
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == "seedstudy"
        code, _, err = cli(*words[1:], "--help")  # answered only after every option of the line was parsed
        assert code == 0, err
    code, out, _ = cli(*name.split(), "--help")
    assert code == 0
    assert out.index("For example:") > out.index("Options:")
    assert all(f"  {line}\n" in out for line in examples)


def test_options_are_in_panels_and_the_rare_ones_are_shown_on_demand(cli: Cli) -> None:
    _, short, _ = cli("run", "--help")
    _, long, _ = cli("run", "--help-all")
    headings = [line for line in short.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings[1:6] == ["What to train:", "What is read:", "Data:", "Where it runs:", "Output:"]
    assert RARE not in short
    assert "--trials-per-job" not in short
    assert f"{RARE}:" in long
    assert "--trials-per-job" in long
    shown = [line for line in short.splitlines() if line.startswith("  -")]
    assert len(shown) <= 26
    assert cli("run", "--trials-per-job", "2", "--help")[0] == 0, "rarely needed, and taken all the same"


@pytest.mark.parametrize("words", [(), ("recipes",), ("data",)])
def test_a_bare_command_shows_help_and_no_error(words: tuple[str, ...], cli: Cli) -> None:
    code, out, err = cli(*words)
    assert (code, err) == (0, "")
    assert out.startswith("Usage:")


def test_a_typo_is_named(cli: Cli) -> None:
    code, out, err = cli("comprae")
    assert (code, out) == (2, "")
    assert "Did you mean 'compare'?" in err


def completed(words: str, folder: Path) -> list[str]:
    """Return what bash completes after these words."""
    script = "import sys; sys.argv[0] = 'seedstudy'; from seedstudy.cli import main; main()"
    environment = {
        **os.environ,
        "_SEEDSTUDY_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "PYTHONPATH": str(Path(seedstudy.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=folder, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ("seedstudy com", {"compare"}),
        ("seedstudy run --recipe a", {"a1", "a2", "a3"}),
        ("seedstudy run --recipe a2,tor", {"a2,torchvision", "a2,torchvision2"}),
        ("seedstudy run --set mix_", {"mix_prob=", "mix_mode="}),
        ("seedstudy run -d cif", {"cifar10", "cifar100"}),
        ("seedstudy compare --format t", {"tex", "typst"}),
        ("seedstudy explain few", {"few-seeds"}),
        ("seedstudy status ma", {"main"}),
        ("seedstudy recipes show dei", {"deit"}),
    ],
)
def test_a_shell_completes(words: str, some: set[str], tmp_path: Path) -> None:
    (tmp_path / "results" / "main").mkdir(parents=True)
    assert some <= set(completed(words, tmp_path))


def test_version_names_what_trains_and_where(cli: Cli) -> None:
    code, out, _ = cli("--version")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"seedstudy {seedstudy.__version__} (Python ")
    assert lines[1].startswith(("torch ", "nothing to train with"))
