"""The tables of `summary`."""

from __future__ import annotations

from collections.abc import Callable

from seedstudy.decide.summary import summarise
from seedstudy.show.summary import summary_tables
from seedstudy.study.group import Group


def test_details_are_shown_on_demand_and_fit_80_columns(
    drawn_group: Callable[..., Group], rendered: Callable[..., str]
) -> None:
    summaries = [summarise(drawn_group(name, 7, std=0.03)) for name in ("a3@resnet50", "a22@resnet50")]
    assert "new seed" not in rendered(summary_tables(summaries))
    text = rendered(summary_tables(summaries, with_details=True)).partition("median")[2]
    for summary in summaries:
        median, seed, std = summary.details.median, summary.details.new_seed, summary.details.std_robust
        rank = f"#{summary.seed0_rank.n_above + 1}"
        (line,) = [each for each in text.splitlines() if f"[{seed.low:.3f}, {seed.high:.3f}]" in each]
        assert f"{median.value:.3f} [{median.low:.3f}, {median.high:.3f}]" in line
        assert line.endswith(rank)
        assert f"[{std.low:.3f}, {std.high:.3f}]" in text
    assert "…" not in text
