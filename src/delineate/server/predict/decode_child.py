"""The process that decodes images of strangers: it may crash, hang or be killed, and nothing else suffers.

It reads requests on standard input and answers on standard output, each a line of JSON, then bytes: for a
request the file's, for an answer the pixels'.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import IO, Any

from delineate.core.errors import DelineateError
from delineate.data.images import read

READY = b"ready\n"


def answer(request: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """What the parent is told of one file, and its pixels."""
    try:
        image = read(
            data, channels=request["channels"], page=request["page"], max_pixels=request["max_pixels"]
        )
    except DelineateError as error:
        return {
            "error": str(error).replace("<bytes>", "image").replace("`--max-pixels ", "`max_pixels ")
        }, b""
    except MemoryError:
        return {"error": "image: expected one that fits into memory, got a larger one; crop it"}, b""
    except Exception as error:  # a fault of a decoder is that image's, not the server's
        return {
            "error": f"image: expected a whole image file, got {type(error).__name__}; save it again"
        }, b""
    told = {
        "shape": image.pixels.shape,
        "dtype": image.pixels.dtype.name,
        "pixel_size": image.pixel_size,
        "pages": image.pages,
        "notes": image.notes,
    }
    return told, image.pixels.tobytes()


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Says that it is ready, then answers until the parent closes the pipe."""
    sink.write(READY)
    sink.flush()
    while line := source.readline():
        request = json.loads(line)
        told, pixels = answer(request, source.read(request["length"]))
        sink.write(json.dumps({**told, "length": len(pixels)}).encode() + b"\n")
        sink.write(pixels)
        sink.flush()


def _bounded(megabytes: int) -> None:
    """No more memory than this, where the system knows such limits."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _bounded(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to standard error, not between the answers

    serve(sys.stdin.buffer, answers)
