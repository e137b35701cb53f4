"""README and docs do what they say: every command and every Python snippet is run, or a reason is given here."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from seedstudy.store.store import Store
from seedstudy.study.study import Study, load_study
from seedstudy.study.trial import Trial
from tests.conftest import drawn_result, make_dataset
from tests.imagenet_tree import jpeg, write

Cli = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

NOT_RUN = {
    r"seedstudy (run|race) .*--command": "needs a train.py; tests/commands/test_pages.py runs each",
    r"seedstudy (run|data check) .*cifar10( |$)": "needs CIFAR-10 on disk",
    r"seedstudy compare .*--study cifar$": "the study of the line before",
    r"seedstudy run --recipe torchvision,a3|(compare|report) torchvision a3": "README in order: the script below",
    r"seedstudy run .*-d folder:photos": "trains for minutes; tests/train/test_own_images.py runs the whole page",
    r"seedstudy .*imagenet --data-dir": "needs ImageNet on disk",
    r"seedstudy evaluate .*(IMAGENET|/data/imagenet)": "needs ImageNet on disk",
    r"seedstudy (run|status|cancel) .*(slurm|my-study)": "needs Slurm; tests/engines/test_slurm.py",
    r"seedstudy run .*--engine ray": "needs a Ray cluster; tests/engines",
    r"seedstudy run .*--gpus": "needs GPUs",
    r"seedstudy run -r (a2,a3 --seeds 20|a2 --seeds 100)$": "trains for minutes",
    r"seedstudy run -r a3 --epochs 1 --train-limit 256": "trains; tests/train/test_trial.py",
    r"seedstudy variance a3 --study cross$": "the study of the line before; tests/decide/test_components.py",
    r"seedstudy images a3 a2 -o": "needs the images themselves; tests/decide/test_which_images.py",
    r"seedstudy trial results/main TRIAL_ID": "TRIAL_ID is a placeholder; tests/engines",
    r"seedstudy race a3 a2 .*--max-seeds": "trains until it is decided; tests/engines/test_race.py",
    r"seedstudy (run|compare|data check) .*(rsv0|folder:(clips|frames|k400))": "tests/train/test_videos.py",
    r"--study (pre|tuned|few)\b|\b(pre|few):a3|clean pre|teacher\.safetensors": "the page on fine-tuning, in order",
}
"""Pattern of a command -> why only its options are checked."""

TRAINS = r"seedstudy run -r a2,\./a2_long\.toml --seeds 5$"

NEEDS_TORCH = r"seedstudy (run|cost|evaluate|pseudolabel|trial)\b"
"""Commands that build networks: without the extra `train` only their options are checked."""

TOOLS = {
    r"make (demo|docs|test)": "the demo, the site and the tests themselves",
    r"(pip install|uv sync|uv pip)": "installs; `make core` and the test of extras below",
    r"\.venv/bin/(pytest|mutmut)": "tests",
    r"mutmut": "tests",
    r"ls ": "a shell's own",
    r"python benchmarks/": "measures; the test of benchmarks below",
}
"""Pattern of a command that is not ours -> why it is not run."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One line of a page, without its prompt and its comment."""

    page: str
    line: str
    output: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"

    @property
    def arguments(self) -> list[str]:
        """What follows `seedstudy`, variables of the environment before it left out."""
        words = shlex.split(self.line)
        return words[words.index("seedstudy") + 1 :]

    @property
    def is_ours(self) -> bool:
        return re.match(r"([A-Z_]+=\S+ )*seedstudy ", self.line) is not None


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (language, lines) of every fenced block, and of every indented one as language ''."""
    language: str | None = None
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("```"):
            if language is None:
                language, block = line[3:].strip() or "text", []
            else:
                yield language, block
                language, block = None, []
        elif language is not None:
            block.append(line)
        elif line.startswith("    "):
            block.append(line[4:])
        elif block:
            yield "", block
            block = []


def _commands() -> Iterator[Command]:
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for language, lines in _blocks(re.sub(r"\\\n +", "", page.read_text())):  # commands that go over several lines
            if language in ("", "sh", "bash"):
                for line in lines:
                    without_comment = re.split(r"\s+#|(?<=\S)\s{2,}", line)[0].removeprefix("$ ")
                    for part in without_comment.split(" && "):
                        line = part.strip().removeprefix(".venv/bin/") if "seedstudy" in part else part.strip()
                        if re.match(r"([A-Z_]+=\S+ )*(seedstudy|make|pip|uv|python|ls|\S*bin/\S+)( |$)", line):
                            yield Command(page=name, line=line)
            elif language == "console":
                text = "\n".join(lines)
                for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                    command, *output = part.splitlines()
                    yield Command(page=name, line=command, output=tuple(output))


COMMANDS = list(_commands())
OURS = [command for command in COMMANDS if command.is_ours]
RUN = [
    command
    for command in OURS
    if not any(re.search(pattern, command.line) for pattern in NOT_RUN) and not re.match(TRAINS, command.line)
]
SNIPPETS = [
    (page.name, "\n".join(lines))
    for page in PAGES
    for language, lines in _blocks(page.read_text())
    if language == "python"
]


@pytest.fixture
def prepared(tmp_path: Path, make_trial: Callable[..., Trial], request: pytest.FixtureRequest) -> Path:
    """Return a folder with the files and the studies that the pages speak of, with drawn results."""
    data = make_dataset(n_val=400)
    rng = np.random.default_rng(5)
    store = Store(tmp_path / "results", "main")
    models = ("resnet8", "resnet20") if "--grid" in request.node.name else ("resnet8",)
    trials = [
        replace(make_trial(seed, name=name), model=model)
        for name in ("a3", "a2")
        for model in models
        for seed in range(5)
    ]
    store.plan(Study(recipes=("a3", "a2"), models=models, margin=0.5), trials)
    for trial in trials:
        accuracy = 0.5 if trial.recipe.name == "a3" else 0.8
        store.publish(trial, drawn_result(data, accuracy, rng), data.eval_sets, "2026-01-01T00:00:00+00:00")
    for name, first in (("old", 79.1), ("new", 79.6)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{first + step / 10:.1f}\n" for step in (0, 2, 1, 3)))
    for name, loss in (("a", 0.9), ("b", 0.8)):
        rows = "".join(f"{seed},{loss + seed / 100},{80 - 10 * loss + seed / 10}\n" for seed in range(4))
        (tmp_path / f"{name}.csv").write_text(f"seed,val_loss,top1\n{rows}")
    (tmp_path / "a3.csv").write_text((tmp_path / "a.csv").read_text())
    for recipe in ("a3", "a2"):
        for seed in range(3):
            folder = tmp_path / "runs" / recipe / f"seed{seed}"
            folder.mkdir(parents=True)
            (folder / "summary.csv").write_text(f"epoch,train_loss,eval_top1\n0,2.0,50.0\n1,1.5,{70 + seed / 10}\n")
    for name, level in (("cat", 20), ("dog", 90)):
        for n in range(5):
            for folder in ("photos", "photos100") if "check" in request.node.name else ("photos",):
                write(tmp_path / folder / name / f"{n}.jpg", jpeg(level + n, size=(160, 120)))
    (tmp_path / "runs.csv").write_text("recipe,seed,top1\na2,0,79.6\na2,1,79.7\n")
    for page in PAGES:
        for language, lines in _blocks(page.read_text()):  # ```csv NAME
            if language.startswith(("csv ", "txt ")):
                (tmp_path / language.split()[1]).write_text("\n".join(lines) + "\n")
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    for kept in (ROOT / "tests" / "read" / "formats" / "files").glob("*.zip"):  # what other programs wrote
        if kept.stem in request.node.name:
            shutil.unpack_archive(kept, tmp_path / kept.stem)
    return tmp_path


def test_every_command_of_the_pages_is_known() -> None:
    assert len(RUN) >= 20
    for command in COMMANDS:
        if not command.is_ours:
            assert any(re.match(pattern, command.line) for pattern in TOOLS), f"{command}: run it, or say why not"


@pytest.mark.parametrize("pattern", [*NOT_RUN, TRAINS, NEEDS_TORCH])
def test_every_exception_is_in_use(pattern: str) -> None:
    assert any(re.search(pattern, command.line) for command in OURS)


@pytest.mark.parametrize("command", OURS, ids=str)
def test_options_exist(command: Command, cli: Cli) -> None:
    """`--help` is answered only after every option of the line was parsed."""
    code, _, err = cli(*command.arguments, "--help")
    assert code == 0, err


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            command, marks=[pytest.mark.train] if re.search(NEEDS_TORCH, command.line) else [], id=str(command)
        )
        for command in RUN
    ],
)
def test_commands_run(command: Command, cli: Cli, prepared: Path) -> None:
    code, out, err = cli(*command.arguments)
    is_refused = command.output[:1] and command.output[0].startswith("seedstudy: ")
    assert code == (2 if is_refused else 0), err
    shown = [" ".join(line.split()) for line in (err if is_refused else out).splitlines()]
    lines = [" ".join(command.output)] if is_refused else command.output  # one line, which the page breaks
    for line in lines:
        assert " ".join(line.split()) in shown, f"{command} no longer prints: {line}"
    if "--save" in command.arguments:
        assert (prepared / command.arguments[command.arguments.index("--save") + 1]).stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("command", [command for command in OURS if re.match(TRAINS, command.line)], ids=str)
def test_commands_that_train_run(command: Command, cli: Cli, tmp_path: Path) -> None:
    blocks = ["\n".join(lines) for _, lines in _blocks((ROOT / "docs/recipes.md").read_text())]
    (tmp_path / "a2_long.toml").write_text(next(block for block in blocks if 'name = "a2_long"' in block))
    code, _, err = cli(*command.arguments, "--epochs", "1", "--train-limit", "1024")
    assert code == 0, err
    code, out, _ = cli("summary")
    assert code == 0
    assert "a2" in out or "a3" in out


@pytest.mark.slow
@pytest.mark.train
def test_readme_runs_as_one_script(tmp_path: Path) -> None:
    """All commands of the README in its order, in one folder, with real trainings; only installations are left out."""
    lines = [command.line for command in OURS if command.page == "README.md"]
    assert len(lines) >= 8
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    python = shlex.quote(sys.executable)
    script = "\n".join(["set -e", f'seedstudy() {{ {python} -m seedstudy "$@"; }}', *lines])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SEEDSTUDY_CACHE": str(tmp_path / "cache")}
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert re.search(
        r"^a3 (is WORSE than torchvision|.*torchvision.*UNDECIDED|.*inconclusive)", ran.stdout, re.MULTILINE
    )
    assert (tmp_path / "report.html").stat().st_size > 10_000
    demo = re.search(r"seedstudy run (.*) --study demo", (ROOT / "Makefile").read_text())
    assert demo is not None
    assert f"seedstudy run {demo[1]}" in lines, "README and `make demo` show the same trainings"


def test_readme_fits() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    for language, block in _blocks("\n".join(lines)):
        if language == "console":
            assert max(map(len, block)) <= 100


@pytest.mark.slow
@pytest.mark.train
def test_the_page_on_fine_tuning_runs_in_order(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDSTUDY_CACHE", str(tmp_path / "cache"))
    commands = [command for command in OURS if command.page == "docs/finetuning.md"]
    assert len(commands) == 11
    for command in commands:
        if "teacher.safetensors" in command.line:  # somebody's file
            kept = next((tmp_path / "results/few/trials").glob("*/weights.safetensors"))
            shutil.copy(kept, tmp_path / "teacher.safetensors")
        code, _, err = cli(*command.arguments)
        is_refused = command.output[:1] and command.output[0].startswith("seedstudy: ")
        assert code == (2 if is_refused else 0), f"{command}: {err}"
        assert not is_refused or command.output[0] in err
    assert (tmp_path / "sizes.png").stat().st_size > 10_000


@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=[page for page, _ in SNIPPETS])
def test_python_snippets_run(page: str, code: str, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    exec(compile(code, page, "exec"), {})


STUDIES = [
    pytest.param("\n".join(lines), id=page.name)
    for page in PAGES
    for language, lines in _blocks(page.read_text())
    if language == "toml" and "format = 1" in lines
]


@pytest.mark.parametrize("text", STUDIES)
def test_study_files_of_the_pages_load(text: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(text)
    study = load_study(tmp_path / "study.toml")
    assert study.recipes or study.command is not None


def test_extras_that_the_pages_name_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name for page in PAGES for name in re.findall(r"[\"' ](?:seedstudy|\.)\[([\w,]+)\][\"']", page.read_text())
    }
    assert named
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "benchmarks/" in c.line], ids=str)
def test_benchmarks_know_their_options(command: Command) -> None:
    _, script, *options = shlex.split(command.line)
    source = (ROOT / script).read_text()
    for option in options:
        if option.startswith("--"):
            assert f'"{option}"' in source, option


def test_links_lead_somewhere() -> None:
    studies = sorted((ROOT / "studies").glob("**/README.md"))
    for page in [*PAGES, *studies, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"


# --- the map ----------------------------------------------------------------------------------------------------

MAP = (ROOT / "docs" / "architecture.md").read_text()
PACKAGE = ROOT / "seedstudy"


def test_the_map_names_every_file() -> None:
    """A room is a line that starts in the first column, with the lines below it."""
    fence = MAP.split("```")[1]
    rooms = dict(re.findall(r"^(\w+)(?:/|\.py|\b)(.*(?:\n +.*)*)", fence, re.MULTILINE))
    for path in PACKAGE.rglob("*.py"):
        room, *inner = path.relative_to(PACKAGE).with_suffix("").parts
        if room not in ("__init__", "__main__"):
            assert room in rooms, path
            for name in inner:
                assert name == "__init__" or re.search(rf"\b{name}\b", rooms[room]), f"{path} is not in the map"


def test_the_map_names_no_file_that_is_gone() -> None:
    names = {path.stem for path in PACKAGE.rglob("*.py")} | {path.name for path in PACKAGE.rglob("*") if path.is_dir()}
    for page in (MAP, (ROOT / "docs" / "reading_order.md").read_text(), (ROOT / "CONTRIBUTING.md").read_text()):
        for name in re.findall(r"`(?:seedstudy/)?((?:\w+/)+\w+\.(?:py|toml))`", page):
            assert (PACKAGE / name).exists() or (ROOT / name).exists(), name
    fence = re.sub(r"\([^)]*\)", lambda found: "\n" * found[0].count("\n"), MAP.split("```")[1])
    for line in fence[fence.index("\nengines/") : fence.index("\nmachine.py")].splitlines():
        listed = re.split(r"\s{2,}", line, maxsplit=2 if line[:1].strip() else 1)[-1]
        for name in re.findall(r"\w+(?:\.toml)?", listed):
            assert name in names or name == "toml", f"{name} is in the map, but not in the package"


def test_the_path_of_one_number_exists() -> None:
    steps = re.findall(r"^\| \d \| (.*?) \|", MAP, re.MULTILINE)
    assert len(steps) == 8
    for step in steps:
        for file, function in re.findall(r"`([\w/]+\.py)` `(\w+)`", step):
            assert re.search(rf"def {function}\(", (PACKAGE / file).read_text()), f"{file}: {function}"
