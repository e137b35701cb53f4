"""Everything in the package is reached from a command, a public name of `seedstudy`, or `python -m seedstudy`.

A call graph from the syntax trees. Names are resolved through imports, and so are texts like "shapes.Shapes" from which
a room imports later. A method counts as reached where its class is and its name is used as an attribute in reached
code: what the test calls dead is dead, but a dead method with a common name may escape.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import seedstudy

PACKAGE = Path(seedstudy.__file__).parent

REGISTER = ("command", "callback", "register_model")
"""Decorators by which Typer and timm learn of a function that nobody calls by name."""

KEPT = {
    "seedstudy.decide.sizes:SIZES": "the columns of to_frame",
    "seedstudy.decide.sizes:Evaluated.to_frame": "for users in Python: accuracy against test size as a frame",
    "seedstudy.decide.summary:SUMMARY": "the columns of to_frame",
    "seedstudy.decide.summary:Summaries.to_frame": "for users in Python: the summary as a frame",
    "seedstudy.decide.which_images:WhichImages.to_frame": "for users in Python: every image as a frame",
}
"""Module:name -> why it is kept although no code of the package calls it."""

Node = tuple[str, str]
"""Module and name; a method is Class.method, and "" is what a module does when it is imported."""


@dataclass(slots=True)
class Uses:
    """What a piece of code refers to."""

    nodes: set[Node] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Graph:
    """The definitions of the package and what each refers to."""

    uses: dict[Node, Uses] = field(default_factory=dict)
    methods: dict[Node, dict[str, Node]] = field(default_factory=dict)
    """Class -> its methods by name."""
    is_foreign: set[Node] = field(default_factory=set)
    """Classes with a base from elsewhere (nn.Module, Protocol): that base may call any of their methods."""


def _modules() -> dict[str, Path]:
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def _imports(tree: ast.AST, modules: dict[str, Path]) -> dict[str, set[Node]]:
    """Return local name -> what it may have been imported from, anywhere in the file; only what is ours."""
    known: dict[str, set[Node]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in modules:
                    known.setdefault(alias.asname or alias.name, set()).add((alias.name, ""))
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                home = (inner, "") if inner in modules else (node.module or "", alias.name)
                known.setdefault(alias.asname or alias.name, set()).add(home)
    return known


def _uses(parts: list[ast.AST], module: str, own: set[str], imported: dict[str, set[Node]]) -> Uses:
    uses = Uses()
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.Name):
                if node.id in own:
                    uses.nodes.add((module, node.id))
                uses.nodes |= imported.get(node.id, set())
            elif isinstance(node, ast.Attribute):
                uses.attributes.add(node.attr)
                homes = imported.get(ast.unparse(node.value), set())
                uses.nodes |= {(module, node.attr) for module, name in homes if not name}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(".") == 1:
                inner, _, name = node.value.partition(".")
                uses.nodes |= {(f"{module}.{inner}", name), (f"{module}.{inner}", "")}
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                uses.nodes |= {(name, "") for name in names}
    return uses


def _targets(statement: ast.stmt) -> list[str]:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    names = [node for target in targets for node in ast.walk(target)]
    return [node.id for node in names if isinstance(node, ast.Name) and not node.id.startswith("__")]


def _own_names(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        else:
            yield from _targets(statement)


def _read(graph: Graph, module: str, path: Path, modules: dict[str, Path]) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own, imported = set(_own_names(tree)), _imports(tree, modules)
    rest: list[ast.AST] = []
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            graph.uses[module, statement.name] = _uses([statement], module, own, imported)
            if any(ast.unparse(each).partition("(")[0].endswith(REGISTER) for each in statement.decorator_list):
                rest.append(ast.Name(statement.name))
        elif isinstance(statement, ast.ClassDef):
            node = (module, statement.name)
            functions = [part for part in statement.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            methods = {part.name: (module, f"{statement.name}.{part.name}") for part in functions}
            graph.methods[node] = methods
            for part in functions:
                graph.uses[methods[part.name]] = _uses([part], module, own, imported)
            others = [part for part in statement.body if part not in functions]
            graph.uses[node] = _uses([*statement.bases, *statement.decorator_list, *others], module, own, imported)
            bases = {ast.unparse(base).partition("[")[0] for base in statement.bases}
            if any(base.partition(".")[0] not in own | imported.keys() for base in bases):
                graph.is_foreign.add(node)
        elif targets := _targets(statement):
            uses = _uses([statement], module, own, imported)
            for name in targets:
                found = graph.uses.setdefault((module, name), Uses())
                found.nodes |= uses.nodes
                found.attributes |= uses.attributes
        else:
            rest.append(statement)
    graph.uses[module, ""] = _uses(rest, module, own, imported)


@cache
def _graph() -> Graph:
    graph, modules = Graph(), _modules()
    for module, path in modules.items():
        _read(graph, module, path, modules)
    return graph


def _roots(graph: Graph) -> set[Node]:
    """Return the entry points: command line, pytest's plugin, and the public names with their classes' methods."""
    roots = {("seedstudy.cli", "main"), ("seedstudy.__main__", "")}
    libraries = {
        "lightning": "SeedstudyCallback",
        "transformers": "SeedstudyCallback",
        "accelerate": "SeedstudyTracker",
    }
    roots |= {(f"seedstudy.callbacks.{library}", name) for library, name in libraries.items()}
    roots |= {("seedstudy.testing", "assert_not_worse"), ("seedstudy.pytest_plugin", "_assert_not_worse")}
    # What a notebook calls of an answer, and what the answer looks up by name.
    roots |= {("seedstudy.decide.answers", f"Shown.{name}") for name in ("_repr_html_", "plot", "to_frame")}
    roots |= {("seedstudy.decide.answers", "Answers.to_frame")}
    roots |= {("seedstudy.show.notebook", name) for name in ("in_short", "as_html", "picture")}
    roots |= {("seedstudy", name) for name in ("__getattr__", "__dir__", "__all__")}
    for name, home in seedstudy._HOMES.items():
        node = (f"seedstudy.{home}", name)
        roots |= {node, *(method for key, method in graph.methods.get(node, {}).items() if key[0] != "_")}
    return roots


def unreached(graph: Graph, roots: set[Node]) -> set[Node]:
    """Return the definitions that no chain of references from the roots leads to."""
    reached: set[Node] = set()
    attributes: set[str] = set()
    todo = set(roots)
    while todo:
        while todo:
            node = todo.pop()
            if node in reached or node not in graph.uses:
                continue
            reached.add(node)
            uses = graph.uses[node]
            attributes |= uses.attributes
            todo |= {*uses.nodes, (node[0], "")}
        for owner in [node for node in graph.methods if node in reached]:
            for name, method in graph.methods[owner].items():
                is_called = name in attributes or owner in graph.is_foreign
                if method not in reached and (is_called or (name.startswith("__") and name.endswith("__"))):
                    todo.add(method)
    return {node for node in graph.uses if node[1] and node not in reached}


def test_everything_is_reached() -> None:
    graph = _graph()
    dead = {f"{module}:{name}" for module, name in unreached(graph, _roots(graph))}
    dead = {name for name in dead if name.rpartition(".")[0] not in dead}  # a dead class is named once
    assert sorted(dead - KEPT.keys()) == []


def test_every_exception_is_in_use() -> None:
    graph = _graph()
    dead = {f"{module}:{name}" for module, name in unreached(graph, _roots(graph))}
    assert KEPT.keys() <= dead


def test_what_is_dead_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        "def main(): used().run()\n"
        "def used(): return Box()\n"
        "def dead(): return used()\n"
        "class Box:\n"
        "    def run(self): pass\n"
        "    def never(self): dead()\n"
        "LIMIT = 3\n"
    )
    graph = Graph()
    _read(graph, "a", source, {"a": source})
    assert unreached(graph, {("a", "main")}) == {("a", "dead"), ("a", "Box.never"), ("a", "LIMIT")}
