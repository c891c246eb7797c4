"""Valid files made wrong in one place or several, by what the file is; checksums are mended."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**32, 2**63, -(2**63) - 1, 10**30, 1e308, -1e308, 1e-320, float("nan"),
    float("inf"), 0.5, "", "x", "../../x", "/etc/passwd", "a\0b", "\ud800", "1e999", "9" * 50, "=1+1",
    "<b>", [], [[]], [None], {}, {"a": 1}, [1, 2, 3], [0, 0, 2**40, 2**40], [[1, 2]] * 3,
    [[1e300, -1e300]] * 4,
)  # fmt: skip
WORDS = (
    "", "-1", "0", "1", "nan", "inf", "1e308", "99999999999999999999", "2147483648", "../../x", "/", "\0",
    "é", "<", ">", "&", '"', "'", "\n", ",", ";", "\t", "=", "[", "]", "{", "}", "%s", "\\", "\ufeff",
    "\ud7ff",
)  # fmt: skip
NUMBERS = (
    0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
REALS = (0.0, 1e308, -1e308, float("nan"))

Bytes = Callable[[bytes, random.Random], bytes]


def mutated(data: bytes, rng: random.Random, spare: Bytes | None = None) -> bytes:
    """The bytes with something changed.

    Args:
        data: a file.
        rng: what chance says.
        spare: what else changes bytes, a fuzzer's own say; used for half of what is not a known structure.
    """
    if data[:2] == b"PK" and rng.random() < 0.7:
        return _zip(data, rng)
    if data[:1] in b'{["' and rng.random() < 0.8:
        found = _json(data, rng)
        if found is not None:
            return found
    if _is_text(data) and rng.random() < 0.8:
        return _text(data.decode(), rng).encode("utf-8", "surrogatepass")
    changed = spare(data, rng) if spare is not None and rng.random() < 0.5 else _bytes(data, rng)
    return _png(changed) if changed[1:4] == b"PNG" and rng.random() < 0.8 else changed


def _is_text(data: bytes) -> bool:
    try:
        return b"\0" not in data[:200] and bool(data.decode()) is not None
    except UnicodeDecodeError:
        return False


def _bytes(data: bytes, rng: random.Random) -> bytes:
    """Single bytes, numbers of two, four or eight bytes, or a piece cut out, doubled or moved."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if not changed:
            return rng.randbytes(rng.randrange(1, 64))
        head = rng.random() < 0.5
        at = rng.randrange(min(len(changed), 256) if head else len(changed))
        way = rng.random()
        if way < 0.4:
            changed[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif way < 0.75:
            form = rng.choice("<>") + rng.choice("HIQd")
            number = rng.choice(NUMBERS) % 256 ** struct.calcsize(form)
            raw = struct.pack(form, rng.choice(REALS) if form[1] == "d" else number)
            changed[at : at + len(raw)] = raw
        elif way < 0.85:
            del changed[at : at + rng.choice((1, 2, 4, 16, 200))]
        elif way < 0.92:
            piece = changed[at : at + rng.choice((1, 4, 16, 64))]
            changed[at:at] = piece
        else:
            changed[at:] = b""
    return bytes(changed)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    else:
        inner = []
    return [path, *(place for key, v in inner[:30] for place in _places(v, (*path, key)))]


def _json(data: bytes, rng: random.Random) -> bytes | None:
    """One or two values replaced, copied, moved or taken away; None where it is no JSON."""
    try:
        content = json.loads(data)
        for _ in range(rng.choice((1, 1, 2))):
            content = _one_value(content, rng)
        return json.dumps(content).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return None


def _one_value(content: Any, rng: random.Random) -> Any:
    every = _places(content)
    path = rng.choice(every[1:] or every)
    if not path:
        return rng.choice(JUNK)
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    way, last = rng.random(), path[-1]
    if way < 0.15:
        del holder[last]
    elif way < 0.25 and isinstance(holder, list):
        holder.extend([holder[last]] * rng.choice((1, 2, 1000)))
    elif way < 0.4:  # a value from elsewhere in the same file
        source = content
        for key in rng.choice(every):
            source = source[key]
        holder[last] = json.loads(json.dumps(source))
    elif way < 0.5 and isinstance(holder[last], str):
        holder[last] = _text(holder[last], rng)
    elif way < 0.6 and type(holder[last]) in (int, float):
        holder[last] = -holder[last] if rng.random() < 0.5 else holder[last] * rng.choice((0.5, 10, 1e6))
    elif way < 0.63:
        holder[last] = _deep(rng)
    else:
        holder[last] = rng.choice(JUNK)
    return content


def _deep(rng: random.Random) -> Any:
    value: Any = 1
    for _ in range(rng.choice((20, 200, 900))):
        value = [value] if rng.random() < 0.9 else {"a": value}
    return value


def _text(text: str, rng: random.Random) -> str:
    """Words, lines or single characters replaced, doubled or taken away."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not text:
            return rng.choice(WORDS)
        cut = rng.choice(("\n", " ", '"', ",", "=", "<", ""))
        pieces = text.split(cut) if cut else list(text)
        at = rng.randrange(len(pieces))
        way = rng.random()
        if way < 0.5:
            pieces[at] = rng.choice(WORDS)
        elif way < 0.7:
            pieces[at:at] = [pieces[at]] * min(rng.choice((1, 2, 300)), 100_000 // (len(pieces[at]) + 1))
        elif way < 0.85:
            del pieces[at]
        else:
            other = rng.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
        text = cut.join(pieces)
    return text[:200_000]


def _png(data: bytes) -> bytes:
    """The chunks' checksums as they should be, so that the decoder looks inside."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4], "big")
        if at + 12 + length > len(out):
            break
        end = at + 8 + length
        out[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(out[at + 4 : end])))
        at = end + 4
    return bytes(out)


def _zip(data: bytes, rng: random.Random) -> bytes:
    """One entry's content or name changed, the archive written anew around it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [(info, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError, RuntimeError, zlib.error):
        return _bytes(data, rng)
    if not entries:
        return _bytes(data, rng)
    chosen = rng.randrange(len(entries))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for at, (info, content) in enumerate(entries):
            name = info.filename
            if at == chosen and rng.random() < 0.1:
                name = rng.choice(("../x", "/x", "a" * 300, name + "/x", "", "C:\\x", name.upper()))
            elif at == chosen and len(content) < 1_000_000:
                content = mutated(content, rng)
            again = zipfile.ZipInfo(name.replace("\0", "?") or "x", (2020, 1, 1, 0, 0, 0))
            again.compress_type = zipfile.ZIP_DEFLATED if rng.random() < 0.3 else zipfile.ZIP_STORED
            archive.writestr(again, content)
    return target.getvalue()
