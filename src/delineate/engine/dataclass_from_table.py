"""A dataclass from a table of plain values, as TOML or JSON holds them, each checked by its type hint."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import types
import typing
from typing import Any

from delineate.core.errors import InputError
from delineate.data.formats.json_file import show

_HUGE = 2**1000  # still a float


def from_table(kind: type[Any], values: Any, where: str) -> Any:
    """A dataclass from a table; nested dataclasses from nested tables.

    Args:
        kind: the dataclass, of booleans, numbers, texts, tuples of numbers, tables and other dataclasses.
        values: by field's name; fields that are left out keep their defaults.
        where: begins every message, for example "recipe.toml: train".

    Raises:
        InputError: not a table, an unknown key (with the nearest known one), or a value of another type.

    Example:
        >>> @dataclasses.dataclass
        ... class Rates:
        ...     lr: float = 1e-3
        >>> from_table(Rates, {"lr": "1e-2"}, "recipe")
        Rates(lr=0.01)
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected a table of settings, got {show(values)}")
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(str(key), _synonyms(hints), n=1, cutoff=0.5)
            hint = (
                f"did you mean '{_synonyms(hints)[near[0]]}'?"
                if near
                else f"it may be one of {', '.join(hints)}"
            )
            raise InputError(f"{where}: unknown key '{key}'; {hint}")
    built = {}
    for key, value in values.items():
        place = f"{where}: {key}" if ":" not in where.split("/")[-1] else f"{where}.{key}"
        built[key] = from_table(hints[key], value, place) if dataclasses.is_dataclass(hints[key]) else _cast(
            hints[key], value, place
        )  # fmt: skip
    return kind(**built)


def _synonyms(hints: dict[str, Any]) -> dict[str, str]:
    """What people write -> the setting it means."""
    others = {"learning_rate": "lr", "batch": "batch_size", "decay": "weight_decay", "num_workers": "workers"}
    others = {name: key for name, key in others.items() if key in hints}
    return {**others, **{name: name for name in hints}}


def _cast(hint: Any, value: Any, where: str) -> Any:
    """The value as the setting's type; whole numbers serve as floats, numbers written as text are read."""
    origin = typing.get_origin(hint)
    if origin is dict:
        if isinstance(value, dict):
            return dict(value)
    elif origin is tuple:
        if isinstance(value, list | tuple) and all(_is_number(v) and abs(v) < _HUGE for v in value):
            return tuple(float(v) for v in value)
    elif hint is bool or hint is str:
        if isinstance(value, hint):
            return value
    elif _is_number(value) or isinstance(value, str):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = float("nan")
        if hint is float and number == number:
            return number
        if hint is int and number == number and number.is_integer():
            return int(number)
    name = {tuple: "a list of numbers", dict: "a table"}.get(origin, getattr(hint, "__name__", str(hint)))
    raise InputError(f"{where}: expected {name}, got {_short(value)}; correct the value")


def _short(value: Any) -> str:
    text = "a huge number" if _is_number(value) and abs(value) > _HUGE else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool | types.NoneType)


def expand(values: Any, where: str) -> Any:
    """``${NAME}`` in every text, however nested, replaced by the environment variable.

    Raises:
        InputError: a variable that is not set.
    """
    if isinstance(values, dict):
        return {key: expand(value, where) for key, value in values.items()}
    if isinstance(values, list):
        return [expand(value, where) for value in values]
    if not isinstance(values, str):
        return values

    def variable(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise InputError(
                f"{where}: expected the environment variable {name} to be set; export {name}=..."
            )
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", variable, values)
