"""What is published and what the project says about itself agree: versions, extras, constraints, workflows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import seedstudy

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_constraints_for_pip_are_those_of_uv(pyproject: dict[str, Any]) -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines == pyproject["tool"]["uv"]["constraint-dependencies"]


def test_every_direct_dependency_has_a_constraint(pyproject: dict[str, Any]) -> None:
    """Torch and Pillow apart: `tpu` and `trackio` need others, so the development group names those that are tested."""
    project = pyproject["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["train"],
        *pyproject["dependency-groups"]["dev"],
    ]
    names = {re.split(r"[=<>\[]", requirement)[0] for requirement in wanted}
    constrained = {name.partition("==")[0] for name in pyproject["tool"]["uv"]["constraint-dependencies"]}
    assert names - constrained == {"torch", "torchvision", "seedstudy", "pandas-stubs", "pillow"}


def test_extras_that_errors_name_are_those_of_the_project(pyproject: dict[str, Any]) -> None:
    from seedstudy.errors import EXTRAS

    extras = pyproject["project"]["optional-dependencies"]
    assert set(EXTRAS) <= set(extras)
    distribution = {"sklearn": "scikit-learn", "mlflow": "mlflow-skinny"}
    for extra, modules in EXTRAS.items():
        installed = {re.split(r"[=<>\[]", requirement)[0] for requirement in extras[extra]}
        assert {distribution.get(module, module) for module in modules} <= installed


def test_the_core_installs_nothing_that_trains(pyproject: dict[str, Any]) -> None:
    core = {re.split(r"[=<>]", requirement)[0] for requirement in pyproject["project"]["dependencies"]}
    train = {
        re.split(r"[=<>]", requirement)[0] for requirement in pyproject["project"]["optional-dependencies"]["train"]
    }
    assert not core & train


def test_versions_agree() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {seedstudy.__version__}\n" in citation
    assert f"\n## {seedstudy.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_workflows_call_make_targets_that_exist(pyproject: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    called = {
        target
        for path in WORKFLOWS
        for line in re.findall(r"run: make (.*)", path.read_text())
        for target in line.split()
    }
    assert {"check", "core", "docs", "test", "dist"} == called
    assert called <= targets
    versions = re.findall(r":: (3\.\d+)", " ".join(pyproject["project"]["classifiers"]))
    for listed in re.findall(r"python: \[(.*)\]", (ROOT / ".github/workflows/tests.yml").read_text()):
        assert re.findall(r"[\d.]+", listed) == versions


def test_no_file_names_a_registry() -> None:
    for name in (
        "pyproject.toml",
        "constraints.txt",
        "Makefile",
        ".ci/run",
        *(path.relative_to(ROOT) for path in WORKFLOWS),
    ):
        for address in re.findall(r"https?://([^/\s\"]+)", (ROOT / name).read_text()):
            assert address == "github.com", f"{name}: {address}"
    assert "uv.lock" in (ROOT / ".gitignore").read_text().split()


def test_paths_of_the_configuration_exist(pyproject: dict[str, Any]) -> None:
    tool = pyproject["tool"]
    paths = [path for path in tool["mutmut"]["pytest_add_cli_args_test_selection"] if path.startswith("tests")]
    paths += tool["mutmut"]["also_copy"] + tool["pytest"]["ini_options"]["testpaths"]
    patterns = [*tool["mutmut"]["only_mutate"], *tool["ruff"]["lint"]["per-file-ignores"]]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [pattern for pattern in patterns if not any(ROOT.glob(pattern))] == []
