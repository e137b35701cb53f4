"""Answers for eyes: every kind of picture from one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from seedstudy.arguments import options_of, public
from seedstudy.errors import StudyError
from seedstudy.study.group import NOTHING_READ

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedstudy.decide.given import Given


@public
def plot(
    kind: str,
    *what: Given,
    width: Literal["column", "page"] = "page",
    ax: Axes | None = None,
    **options: Any,
) -> Any:
    """Draw a picture: a matplotlib figure with caption and alternative text, or `ax` with the picture in it.

    Parameters
    ----------
    kind
        ``distribution``, ``estimation``, ``forest``, …: ``seedstudy plot --help`` lists them all.
    what
        As for the question that the picture answers: recipes of a study, files, TRIALS frames, numbers. For ``ranks``
        and ``ladder`` a published table, for ``power`` a pilot.
    width
        ``page`` (17.8 cm) or ``column`` (8.5 cm): words have one size in print.
    ax
        Axes to draw into; for pictures of one panel.
    options
        Of that question, for example ``margin`` of :func:`compare`; for ``pareto`` `cost` may name several columns.

    Examples
    --------
    >>> import seedstudy as ss
    >>> ss.plot("estimation", [78.0, 78.1, 78.2], [79.6, 79.7, 79.8], margin=0.5).title
    'Every seed, the means and their differences'

    """
    from seedstudy.show.notebook import picture
    from seedstudy.show.plots import kind_of

    question = kind_of(kind).question
    ask = _questions()[question]
    for name in options:
        if name not in options_of(ask) and any(name in options_of(other) for other in _questions().values()):
            raise StudyError(f"plot {kind}: `{name}` is not an option of the question behind it, `{question}`.")
    if question == "scaling":
        return _of_costs(kind, what, options, width=width, ax=ax)
    if question == "race":
        answer = ask(*what, replay=True, **options)
    elif question == "power":
        answer = ask(pilots=what, **options)
    elif question == "audit":
        if len(what) != 1:
            raise StudyError(f"plot {kind}: needs one published table, such as table3.csv.")
        answer = ask(what[0], is_ladder=kind == "ladder", **options)
    else:
        answer = ask(*what, **options)
    return _about(picture(answer, kind, width=width, ax=ax), answer)


def _about(drawn: Any, answer: Any) -> Any:
    """Return a picture that knows what was read for it, and what was left out; axes as they are."""
    from seedstudy.show.plots.canvas import Picture

    if isinstance(drawn, Picture):
        about = getattr(answer, "summaries", answer)
        drawn.read, drawn.left_out = getattr(about, "read", NOTHING_READ), tuple(getattr(about, "left_out", ()))
    return drawn


def _questions() -> dict[str, Callable[..., Any]]:
    from seedstudy.api import images, judging, planning, reporting

    return {
        "summary": judging.summary,
        "fit": judging.fit,
        "compare": judging.compare,
        "grid": judging.grid,
        "variance": judging.variance,
        "images": images.images,
        "race": judging.race,
        "scaling": judging.scaling,
        "power": planning.power,
        "audit": planning.audit,
        "report": reporting.report,
    }


def _of_costs(kind: str, what: Sequence[Given], options: Mapping[str, Any], *, width: Any, ax: Any) -> Any:
    """Draw error or accuracy against cost; against several costs, where several columns are named."""
    from seedstudy.api.judging import scaling
    from seedstudy.show.plots.scaling import plot_pareto, plot_scaling

    costs = options.get("cost")
    names = [costs] if costs is None or isinstance(costs, str) else list(costs)
    answers = [scaling(*what, **{**options, "cost": name}) for name in names]
    if kind == "pareto":
        return _about(plot_pareto(answers, width=width, ax=ax), answers[0])
    if len(answers) > 1:
        raise StudyError("plot scaling: one cost; `plot pareto` takes several.")
    return _about(plot_scaling(answers[0], width=width, ax=ax), answers[0])
