"""`plot`: every kind of picture."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

import seedstudy as ss
from seedstudy.cli import options
from seedstudy.errors import StudyError
from seedstudy.show.plots import KINDS, kind_of

_ON_ONE_SET = ("race", "power", "scaling", "images")


@options.grouped
def plot(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="One of the kinds above.")],
    what: Annotated[
        list[str] | None, typer.Argument(metavar="WHAT", help="Recipes or files; A is the baseline of A B C.")
    ] = None,
    *,
    where: options.Judged,
    save: Annotated[
        Path | None,
        typer.Option("--save", callback=options.check_picture, help="File: .svg, .png or .pdf (default: KIND.svg)."),
    ] = None,
    width: Annotated[str, typer.Option("--width", help="page (17.8 cm) or column (8.5 cm).")] = "page",
    eval_sets: options.EvalSets = None,
    margin: options.Margin = None,
    alpha: Annotated[float | None, typer.Option("--alpha", help="Error rate of each claim (default 0.05).")] = None,
    level: Annotated[float | None, typer.Option("--level", help="Level of the intervals (default 0.95).")] = None,
    lower_is_better: options.LowerIsBetter = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="estimation, forest: every pair.")] = False,
    most: Annotated[int | None, typer.Option("--max-seeds", help="race: seeds per recipe at most.")] = None,
    sd: Annotated[str | None, typer.Option("--sd", help="power, pareto, ranks, ladder: std over seeds.")] = None,
    difference: Annotated[float | None, typer.Option("--difference", help="power: the one to plan for.")] = None,
    n: Annotated[int | None, typer.Option("--n", help="power: seeds per recipe.")] = None,
    cost: Annotated[str | None, typer.Option("--cost", help="pareto, scaling: columns, e.g. gmacs,gpu_ms.")] = None,
    columns: Annotated[str | None, typer.Option("--columns", help="ranks, ladder: columns to judge.")] = None,
    reference: Annotated[str | None, typer.Option("--reference", help="ranks, ladder: a sweep for the std.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Draw a picture."""  # replaced below
    question = kind_of(kind).question
    usual = {option.name: option.default for option in fields(where)}
    asked: dict[str, Any] = {name: x for name, x in options.values(where).items() if x != usual[name]}
    if question == "scaling" and "by" in asked:
        if len(asked["by"]) > 1:
            raise StudyError(f"plot {kind}: one --by, the column with the strategies.")
        (asked["by"],) = asked["by"]
    if eval_sets is not None and question in _ON_ONE_SET:
        asked["eval_set"] = options.one_eval_set(eval_sets)
    elif eval_sets is not None:
        asked["eval_sets"] = options.eval_names(eval_sets)
    given = {
        "margin": margin,
        "alpha": alpha if question != "race" else None,
        "level": level,
        "lower_is_better": lower_is_better,
        "all_pairs": all_pairs or None,
        "sd": sd if sd is None or question != "scaling" else _number(sd),
        "difference": difference,
        "n": n,
        "cost": None if cost is None else options.words(cost),
        "columns": None if columns is None else options.words(columns),
        "reference": reference,
        "plan": {"most": most, "alpha": alpha} if question == "race" else None,
    }
    if question != "race" and most is not None:
        raise StudyError(f"plot {kind}: --max-seeds is for races.")
    asked |= {name: value for name, value in given.items() if value is not None}
    path = save or Path(f"{kind}.svg")
    picture = ss.plot(kind, *what or (), width=width, **asked)  # type: ignore[arg-type]  # checked there
    files = ss.save_picture(picture, path)
    if as_json:
        document = {
            "kind": kind,
            "files": list(map(str, files)),
            "title": picture.title,
            "caption": picture.caption,
            "read": picture.read.to_dict(),
            "left_out": list(picture.left_out),
        }
        print(json.dumps(document, indent=1))
        return
    from seedstudy.show.format import show

    show(*[reading.line() for reading in picture.read], picture.description)
    options.tell(f"{', '.join(map(str, files))}: written.")
    options.name_left_out(picture.left_out)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise StudyError(f"--sd {text}: one number, such as 0.1, for all points of this picture.") from None


_LONGEST = max(map(len, KINDS))
plot.__doc__ = (
    "Draw a picture: seeds, differences, a race, costs, …\n\n"
    "Prints what the picture shows: its caption, and alternative text for a web page.\n\n"
    "\b\n" + "\n".join(f"{name:<{_LONGEST}}  {kind.help}" for name, kind in KINDS.items()) + "\n\n"
    "For example:\n"
    "seedstudy plot estimation a3 a2 --margin 0.5 --save fig.pdf --width column\n"
    "seedstudy plot distribution runs.csv --save fig.svg\n"
    "seedstudy plot power --sd rsb-val --difference 0.2"
)
