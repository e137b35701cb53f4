"""Every line of README and docs that runs a command is executed, with a train.py that has timm's flags."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.test_docs import OURS, PAGES, Command

Cli = Callable[..., tuple[int, str, str]]

COMMANDS = [command for command in OURS if "--command" in command.line]
BLOCKS = [
    (page.name, block)
    for page in PAGES
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    if "[command]" in block
]


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a train.py, configurations of the arms that the pages name, and `python` on the path."""
    shutil.copy(Path(__file__).with_name("as_timm.py"), tmp_path / "train.py")
    for name, lr in (("a", 0.1), ("b", 0.5), ("a3", 0.1), ("a2", 0.5)):
        (tmp_path / f"{name}.yaml").write_text(f"lr: {lr}\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def test_the_pages_have_such_lines() -> None:
    assert {command.page for command in COMMANDS} >= {"docs/timm.md", "docs/your_own_script.md"}
    assert BLOCKS


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_line_with_a_command_runs(command: Command, cli: Cli, scripts: Path) -> None:
    words = command.arguments
    code, out, err = cli(*words)
    assert code == 0, err
    assert max(map(len, out.splitlines())) <= 80
    arms = words[words.index("--arms") + 1].split(",") if "--arms" in words else words[1:3]
    if words[0] == "race":
        assert re.search(rf"{arms[1]} is (BETTER|WORSE) than {arms[0]}", " ".join(out.split()))
    else:
        code, out, err = cli("compare", *arms, "--json")
        assert (code, json.loads(out)["comparisons"][0]["n_a"]) == (0, 5), err
    code, _, err = cli(*words)  # nothing is run twice
    assert code == 0
    assert not re.search(r"\[\d+/\d+\]", err)
    runs = [path.read_text().count("$ python train.py") for path in Path("results").glob("*/trials/*/log.txt")]
    assert runs
    assert set(runs) == {1}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page for page, _ in BLOCKS])
def test_every_study_file_with_a_command_runs(page: str, block: str, cli: Cli, scripts: Path) -> None:
    Path("study.toml").write_text(block)
    code, out, err = cli("run", "study.toml", "--seeds", "2", "--json")
    assert code == 0, err
    assert len(json.loads(out)["groups"]) == 2


def test_the_flags_beside_each_other_are_ours(cli: Cli) -> None:
    """The right column of the table in docs/timm.md."""
    table = next(page for page in PAGES if page.name == "timm.md").read_text()
    cells = re.findall(r"^\| `.*?` \| (.*?) \|$", table, re.MULTILINE)
    assert len(cells) >= 8
    for cell in cells:
        for flags in re.findall(r"`(-.*?)`", cell):
            words = [word if word not in ("DIR", "NAME") else "x" for word in shlex.split(flags)]
            code, _, err = cli("run", "-r", "a2", *words, "--help")
            assert code == 0, err
