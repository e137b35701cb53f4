"""The snippet of a model card: results with their spread over seeds, as Hugging Face's ``model-index`` has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seedstudy.show.format import ends, percent
from seedstudy.stats.result import decimals_of

if TYPE_CHECKING:
    from seedstudy.decide.summary import Summaries, Summary


def model_index(summaries: Summaries) -> str:
    """Return YAML for the head of a model card, with one entry per recipe; every text is quoted as JSON quotes it."""
    by_label: dict[str, list[Summary]] = {}
    for summary in summaries:
        by_label.setdefault(summary.group.label, []).append(summary)
    lines = ["model-index:"]
    for label, of_label in by_label.items():
        lines += [f"- name: {_text(label)}", "  results:"]
        lines += [line for summary in of_label for line in _result(summary)]
    return "\n".join(lines) + "\n"


def _result(summary: Summary) -> Iterator[str]:
    group, mean, std = summary.group, summary.description.mean, summary.description.std
    decimals = decimals_of(mean)
    is_accuracy = group.metric == "top1"
    data = str(group.data or "unknown")
    spread = f", std {std.value:.{decimals}f}" if summary.description.n > 1 else ""
    interval = f", {percent(mean.level)} CI {ends(mean.low, mean.high, decimals)}" if mean.has_interval else ""
    n = "1 seed" if summary.description.n == 1 else f"{summary.description.n} seeds"
    unit = " in %" if group.unit == "pp" else ""
    name = f"{'top-1' if is_accuracy else group.metric}{unit}, mean of {n}{spread}{interval}"
    if is_accuracy:
        yield from ("  - task:", "      type: image-classification")
    else:
        yield from ("  - task:", "      type: other")
    yield from ("    dataset:", f"      name: {_text(data)}", f"      type: {_text(data)}")
    yield f"      split: {_text(group.eval_set)}"
    yield from ("    metrics:", f"    - type: {_text('accuracy' if is_accuracy else group.metric)}")
    yield from (f"      value: {mean.value:.{decimals}f}", f"      name: {_text(name)}")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
