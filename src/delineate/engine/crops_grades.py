"""Grades of fruit from a file of one's own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from delineate.apply.ripeness import GRADES, Grades
from delineate.core.errors import InputError

FORM = 'hue = [330, 50], chroma = 15 and a [[grade]] for each, with name = "…" and least = 0.0 (share 0..1)'


def grades_of(choice: str) -> Grades | None:
    """The grades that an option names.

    Args:
        choice: a known set, a TOML file, or empty for none.

    Raises:
        InputError: neither, or a file with other contents.
    """
    if not choice:
        return None
    if choice in GRADES:
        return GRADES[choice]
    path = Path(choice)
    if not path.is_file():
        raise InputError(f"--grades: expected {', '.join(GRADES)} or a file, got {choice!r}; check the name")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: expected TOML with {FORM}; got {error}") from None
    return _grades(values, path)


def _grades(values: dict[str, Any], path: Path) -> Grades:
    strange = sorted(set(values) - {"name", "source", "hue", "chroma", "grade"})
    steps = values.get("grade")
    hue, chroma = values.get("hue"), values.get("chroma", 0)
    right = (
        not strange
        and isinstance(steps, list)
        and all(isinstance(s, dict) and set(s) == {"name", "least"} for s in steps)
        and all(isinstance(s["name"], str) and _is_number(s["least"]) for s in steps)
        and isinstance(hue, list)
        and len(hue) == 2
        and all(_is_number(h) for h in hue)
        and _is_number(chroma)
    )
    if not right:
        got = f"unknown {strange[0]!r}" if strange else "others"
        raise InputError(f"{path}: expected {FORM}, got {got}; correct the file")
    assert isinstance(steps, list) and isinstance(hue, list)
    named = tuple((s["name"], float(s["least"])) for s in steps)
    return Grades(
        str(values.get("name", path.stem)),
        str(values.get("source", path.name)),
        (float(hue[0]), float(hue[1])),
        float(chroma),
        named,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
