"""Wrong arguments of the public functions are one line that says which, and what was expected."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seedstudy as ss
from seedstudy.api import choices, elsewhere, judging, planning, studies
from seedstudy.arguments import public
from seedstudy.errors import SeedstudyError, UsageError

A, B = [78.0, 78.1, 78.2], [79.6, 79.7, 79.8]

PUBLIC = [
    function
    for module in (studies, judging, planning, elsewhere, choices)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
]

UNCHECKED = ("Given", "Say", "Callable", "Correction", "Iterable[Path]")


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_every_public_function_names_an_option_that_does_not_exist(function: Callable[..., Any]) -> None:
    with pytest.raises(SeedstudyError, match="maargin"):
        function(maargin=0.1)


@pytest.mark.parametrize("function", PUBLIC, ids=lambda function: function.__name__)
def test_every_option_of_every_public_function_refuses_another_kind(function: Callable[..., Any]) -> None:
    """`object()` is no value of any option; what is annotated as anything (arms, the words of `say`) is left out."""
    for name, parameter in inspect.signature(function).parameters.items():
        is_named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if is_named and not any(
            word in str(parameter.annotation) for word in ("Given", "Say", "Callable", "Correction")
        ):
            needed = {
                other: "x"
                for other, each in inspect.signature(function).parameters.items()
                if each.default is each.empty and each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)
            }
            with pytest.raises(UsageError, match=rf"^{function.__name__}: {name} <object.*: expected ."):
                function(**{**needed, name: object()})


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: ss.compare(A, B, margin="0.1"), 'compare: margin "0.1": expected a finite number.'),
        (lambda: ss.compare(A, B, margin=float("nan")), "compare: margin nan: expected a finite number."),
        (lambda: ss.compare(A, B, paired="yes"), 'compare: paired "yes": expected True or False.'),
        (lambda: ss.compare(A, B, margin=True), "compare: margin True: expected a finite number."),
        (lambda: ss.power(0.1, n=5.5), "power: n 5.5: expected a whole number."),
        (lambda: ss.run(5), "run: study 5: expected text or a path or Study."),
        (lambda: ss.run(recipes="a2", seeeds=3), 'run: no option "seeeds". Did you mean "seeds"?'),
        (lambda: ss.audit("t.csv", sd={"val": "x"}), "audit: sd {'val': 'x'}: expected a finite number or text or"),
        (lambda: ss.race(A, B, replay=True, plan={"alpa": 1}), 'race: plan: no option "alpa". Did you mean "alpha"?'),
        (lambda: ss.check_data(3), "check_data: name 3: expected text."),
        (lambda: ss.status("main", "results"), "status: too many positional arguments."),
        (lambda: ss.import_files(), "import needs files"),
    ],
)
def test_what_was_expected_is_said(ask: Callable[[], Any], message: str) -> None:
    with pytest.raises(SeedstudyError) as caught:
        ask()
    assert str(caught.value).startswith(message)


def test_numbers_of_other_libraries_and_paths_are_what_they_look_like(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("78.0\n78.1\n78.2\n")
    answer = ss.compare(tmp_path / "a.txt", B, margin=np.float32(0.5), paired=np.bool_(False), rng_seed=np.int64(3))
    assert answer[0].rule.margin == 0.5


def test_what_only_type_checkers_import_is_not_checked() -> None:
    @public
    def ask(what: Nowhere.Kind | None, n: int = 1) -> int:  # type: ignore[name-defined]  # noqa: F821
        return n

    assert ask(object(), n=2) == 2
    with pytest.raises(UsageError, match=r"ask: n 2\.5: expected a whole number"):
        ask(None, n=2.5)  # type: ignore[arg-type]
