"""Reading an XML file that somebody else wrote: no DTD, no entities, nothing fetched, bounded depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from delineate.core.errors import DatasetError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

DEEPEST = 64
"""Elements inside one another, at most."""


def root(path: Path) -> Element:
    """The whole tree of a small file.

    Raises:
        DatasetError: missing, not XML (with line and column), a DTD or entities, nested too deeply.
    """
    top = None
    for element in _walk(path):
        top = element
    if top is None:
        raise DatasetError(f"{path}: expected XML, got an empty file; write it again")
    return top


def children(path: Path) -> Iterator[Element]:
    """The elements inside the root, each whole; before them the root itself, for its name and attributes.

    Each is freed when the next is asked for, so that a file of any length takes little memory.

    Raises:
        DatasetError: as :func:`root`.
    """
    yield from _walk(path, apart=True)


def _walk(path: Path, apart: bool = False) -> Iterator[Element]:
    """The root at its end; with ``apart`` the root at its beginning, then its children, which are freed."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    depth, top = 0, None
    try:
        with path.open("rb") as file:
            for event, element in iterparse(file, ("start", "end"), forbid_dtd=True):
                if event == "start":
                    depth += 1
                    if depth > DEEPEST:
                        raise DatasetError(
                            f"{path}: expected XML of an annotation file, got elements nested more than "
                            f"{DEEPEST} deep; write it again"
                        )
                    if top is None:
                        top = element
                        if apart:
                            yield top
                    continue
                depth -= 1
                if apart and depth == 1 and top is not None:
                    yield element
                    top.clear()
                elif not apart and depth == 0:
                    yield element
    except DefusedXmlException:
        raise DatasetError(
            f"{path}: expected XML without a DTD and without entities, got some, which can name other files "
            "or grow without end; write it again without <!DOCTYPE>"
        ) from None
    except ParseError as error:
        line, column = error.position
        reason = str(error).split(":")[0]
        raise DatasetError(
            f"{path}: expected XML, got an error in line {line}, column {column + 1}: {reason}; mend it there"
        ) from None
    except (OSError, UnicodeError, LookupError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{path}: expected a readable XML file, got {error}; check it") from None


def tag(name: str, /, **attributes: object) -> str:
    """The inside of a start tag, ``name a="1"``, quoted; characters that XML cannot hold become ``?``.

    Example:
        >>> tag("box", label="a<b", xtl=1.5)
        'box label="a&lt;b" xtl="1.5"'
    """
    return " ".join([name, *(f"{key}={quoteattr(clean(str(value)))}" for key, value in attributes.items())])


def clean(text: str) -> str:
    """The text without the control characters that XML 1.0 forbids."""
    return "".join(
        c
        if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
        else "?"
        for c in text
    )
