"""Settings of a run in a YAML file that a program wrote: nested names and plain values, nothing else.

Only the block style is read that PyYAML and OmegaConf write. A value in any other style (a list on one line, a block of
text, an object) is kept as its text: nothing is constructed, so that such a file can do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_LINE = re.compile(
    r"""(?P<indent> *)(?P<quote>['"]?)(?P<name>[^\s'"#:{}\[\],-][^'":]{0,200}?)(?P=quote) *:(?: +(?P<value>.*))?"""
)
_ITEM = re.compile(r"(?P<indent> *)- (?P<value>.*)")
_INT, _FLOAT = re.compile(r"[+-]?\d{1,18}"), re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)(e[+-]?\d+)?", re.IGNORECASE)
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None, "yes": True, "no": False}
_BLOCK = re.compile(r"[|>][+-]?\d?")


def yaml_settings(text: str, separator: str = ".") -> dict[str, Any]:
    """Return the values of a YAML text by their joined names: ``optimizer.lr``. Items of a list become one text."""
    settings: dict[str, Any] = {}
    for name, value in _lines(text, separator):
        if name in settings and isinstance(value, _Item):
            settings[name] = value if settings[name] is None else _Item(f"{settings[name]}, {value}")
        else:
            settings[name] = value
    parents = {name.rpartition(separator)[0] for name in settings}
    return {
        name: f"[{value}]" if isinstance(value, _Item) else value
        for name, value in settings.items()
        if value is not None or name not in parents
    }


class _Item(str):
    """An item of a list."""


def _lines(text: str, separator: str) -> Iterator[tuple[str, Any]]:
    parents: list[tuple[int, str]] = []
    block: int | None = None
    for line in text.splitlines():
        bare = line.strip()
        indent = len(line) - len(line.lstrip(" "))
        if not bare or bare.startswith("#") or (block is not None and indent > block):
            continue
        block = None
        item, match = _ITEM.fullmatch(line.rstrip()), _LINE.fullmatch(line.rstrip())
        if item and parents:
            while len(parents) > 1 and parents[-1][0] > indent:
                parents.pop()
            yield separator.join(name for _, name in parents), _Item(item["value"])
            block = indent
        elif match:
            while parents and parents[-1][0] >= indent:
                parents.pop()
            parents.append((indent, match["name"]))
            value = (match["value"] or "").strip()
            if _BLOCK.fullmatch(value):
                block = indent
            yield separator.join(name for _, name in parents), plain_value(value)


def plain_value(text: str) -> Any:
    """Return the number, truth value, text or None that a plain YAML value means."""
    quoted = re.fullmatch(r"""(['"])(.*)\1(?: +#.*)?""", text)
    if quoted:
        return quoted[2].replace("''", "'") if quoted[1] == "'" else quoted[2]
    text = re.sub(r" +#.*", "", text).strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
