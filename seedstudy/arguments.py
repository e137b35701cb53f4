"""Arguments of the public functions, checked where they come in: a wrong one is one line, not a traceback.

What an argument may be is read from the function's own annotations, so that a new parameter is checked without a line
here. A kind that is imported for type checkers only is not checked.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import os
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from seedstudy.errors import UsageError, suggest

P = ParamSpec("P")
T = TypeVar("T")


def public(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function with its arguments checked by :func:`check`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        check(function, args, kwargs)
        return function(*args, **kwargs)

    return call


def check(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], *, name: str | None = None
) -> None:
    """Raise UsageError where a function would be called with a wrong name, number or kind of arguments.

    `name` is what the message calls the function.
    """
    name, signature = name or function.__name__, inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{name}: {_what_is_wrong(error, signature, kwargs)}") from None
    kinds = _kinds(function)
    for argument, value in bound.arguments.items():
        given: Iterable[tuple[str, Any]] = [(argument, value)]
        if signature.parameters[argument].kind is inspect.Parameter.VAR_KEYWORD:
            given = value.items()
        elif signature.parameters[argument].kind is inspect.Parameter.VAR_POSITIONAL:
            given = [(argument, each) for each in value]
        for called, each in given:
            if not _fits(each, kinds[argument]):
                raise UsageError(f"{name}: {called} {_shown(each)}: expected {_words(kinds[argument])}.")


def options_of(function: Callable[..., Any]) -> list[str]:
    """Return the names that a function takes as keywords."""
    parameters = inspect.signature(function).parameters.values()
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind in named]


def _what_is_wrong(error: TypeError, signature: inspect.Signature, given: Mapping[str, Any]) -> str:
    known = [name for name, parameter in signature.parameters.items() if parameter.kind is not parameter.VAR_POSITIONAL]
    for name in given:
        if name not in known:
            return f'no option "{name}".{suggest(name, known)}'
    return f"{error}."


@functools.cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what each argument of a function, or field of a dataclass, may be."""
    names = _Names(vars(sys.modules[function.__module__]))
    return inspect.get_annotations(function, locals=names, eval_str=True)


class _Unknown:
    """What an annotation names that is imported for type checkers only: anything fits it."""

    def __getattr__(self, name: str) -> _Unknown:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __or__(self, other: Any) -> _Unknown:
        return self

    def __getitem__(self, parts: Any) -> _Unknown:
        return self

    __ror__ = __or__


_UNKNOWN = _Unknown()


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        return vars(builtins).get(name, _UNKNOWN)


def _fits(value: Any, kind: Any) -> bool:
    if kind is None or kind is types.NoneType:
        return value is None
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple | list) and len(value) == len(parts) and all(map(_fits, value, parts))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(x, parts[0]) and _fits(y, parts[1]) for x, y in value.items())
    if origin is Sequence:
        is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return is_list and all(_fits(each, parts[0]) for each in value)
    if origin is Iterable:
        return isinstance(value, Iterable) and not isinstance(value, str | bytes)
    if origin is Callable or kind is Callable:
        return callable(value)
    if kind is bool:
        return isinstance(value, bool) or type(value).__name__ == "bool"  # NumPy's too
    if kind is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if kind is Path:
        return isinstance(value, os.PathLike)
    return not isinstance(kind, type) or kind is Any or isinstance(value, kind)


_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a path",
    types.NoneType: "None",
}


def _words(kind: Any) -> str:
    """Return in words what an argument may be."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        kinds = [part for part in parts if part is not types.NoneType and not (part is int and float in parts)]
        return " or ".join(dict.fromkeys(map(_words, kinds)))
    if origin is Literal:
        return " or ".join(f'"{part}"' for part in parts)
    if origin is tuple:
        return " and ".join(map(_words, parts))
    if origin in (Sequence, Iterable):
        return f"a list, each entry {_words(parts[0])}"
    if origin is Mapping:
        return f"a dict of {_words(parts[0])} to {_words(parts[1])}"
    if origin is Callable or kind is Callable:
        return "a function"
    return _WORDS.get(kind, getattr(kind, "__name__", "something else"))


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} {text[:30]}…"
