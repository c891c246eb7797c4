"""Reading a JSON file that somebody else wrote."""

from __future__ import annotations

import codecs
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from delineate.core.errors import DatasetError, InputError

from ..sniff import foreign, sniff

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@contextmanager
def without_collection() -> Iterator[None]:
    """Pauses the search for cyclic garbage, which looks at millions of new lists again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def ends(path: Path, number: int = 65536) -> bytes:
    """The first and last ``number`` bytes of a file, for recognising it; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.read(number)
            file.seek(max(len(first), path.stat().st_size - number))
            return first + file.read()
    except OSError:
        return b""


def load_json(path: Path) -> Any:
    """The content of a JSON file in UTF-8, with or without a byte order mark.

    Raises:
        DatasetError: missing, empty, another encoding, not JSON (with line and column), nested too deeply,
            a number too long, half a character.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: expected a JSON file, got {error.strerror!r}; check the path") from None
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            raise DatasetError(f"{path}: expected UTF-8, got {encoding}; save it as UTF-8")
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # the slower reader below takes NaN and a byte order mark too, and says what is wrong
    if not data.strip():
        raise DatasetError(f"{path}: expected JSON, got an empty file; write it again")
    try:
        found = json.loads(data.decode("utf-8-sig"))
        if b"\\ud" in data.lower():  # an escape of half a character, which Python takes and nothing else does
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError as error:
        half = error.object[error.start].encode("unicode_escape").decode()
        raise DatasetError(f"{path}: expected text, got half a character ({half}); write it again") from None
    except UnicodeDecodeError as error:
        if b"\0" in data[:512] or data[:1] > b"\x7f":
            raise DatasetError(
                f"{path}: expected JSON, got {_kind(data[:512])}; give the JSON file"
            ) from None
        raise DatasetError(
            f"{path}: expected UTF-8, got byte 0x{data[error.start]:02x} at {error.start} "
            "(Latin-1, as Windows writes it?); save it as UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path}: expected JSON, got an error in line {error.lineno}, column {error.colno}: {error.msg}; "
            "mend it there"
        ) from None
    except RecursionError:
        raise DatasetError(
            f"{path}: expected JSON of an annotation file, got it nested too deeply; write it again"
        ) from None
    except ValueError:  # an integer of more digits than Python converts
        raise DatasetError(
            f"{path}: expected numbers of at most 4300 digits, got a longer one; write it again"
        ) from None


def _kind(head: bytes) -> str:
    """What a binary file is."""
    try:
        return f"a {sniff(head, '')} image"
    except InputError:
        return foreign(head)


def show(value: object) -> str:
    """A short form of a JSON value for messages."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(repr, list(value)[:3])) or 'no keys'}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = (
        json.dumps(value, ensure_ascii=False)
        if not isinstance(value, int) or abs(value) < 10**20
        else "a huge number"
    )
    return text if len(text) <= 40 else text[:39] + "…"
