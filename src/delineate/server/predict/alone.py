"""An image looked at in a process of its own: one that was in hand when servers ended may be what ended them.

The process gets a line of JSON and the image's pixels, and answers by what the store keeps of an image. When
two of them die, the image is what they died of; when the server dies meanwhile, nothing is known of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from delineate.core.errors import DelineateError, InputError

from .asked import Asked
from .decoder import Picture
from .formats import Context
from .kept import packed
from .limits import RefusedError
from .shelf import Shelf, Shown

COMMAND = (sys.executable, "-m", "delineate.server.predict.alone")
STEP = 5.0  # seconds between two ticks


def look_alone(
    shown: Shown,
    shelf: Shelf,
    asked: Asked,
    picture: Picture,
    tick: Callable[[], object],
    command: Sequence[str] = COMMAND,
) -> bytes:
    """What the model says of an image, packed.

    Args:
        shown: the model; the process loads its file again.
        shelf: where it stands; device and threads are the same.
        asked: settings.
        picture: the image.
        tick: called every few seconds; what it raises ends the process.
        command: the process.

    Raises:
        InputError: the model refuses the image.
        RefusedError: 422, the process died of it.
    """
    head = {
        "name": shown.name, "source": shown.source, "device": shelf.device,
        "threads": shelf.threads,
        "asked": asked.model_dump(exclude_unset=True), "pixel_size": picture.pixel_size,
        "notes": picture.notes, "shape": picture.pixels.shape, "dtype": picture.pixels.dtype.str,
    }  # fmt: skip
    sent = json.dumps(head).encode() + b"\n" + picture.pixels.tobytes()
    for _ in range(2):  # somebody may have killed the first
        if answer := _asked(command, sent, tick):
            break
    else:
        raise RefusedError(422, "image: expected one that the model survives, got one that ends it; crop it")
    if answer[:1] == b"!":
        raise InputError(answer[1:].decode())
    return answer


def _asked(command: Sequence[str], sent: bytes, tick: Callable[[], object]) -> bytes:
    """What one process says; nothing where it dies."""
    with tempfile.TemporaryFile() as file:  # a pipe would need somebody who fills it
        file.write(sent)
        file.seek(0)
        with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE) as process:
            try:
                while True:
                    try:
                        answer, _ = process.communicate(timeout=STEP)
                        return answer if process.returncode == 0 else b""
                    except subprocess.TimeoutExpired:
                        tick()
            except BaseException:
                process.kill()
                raise


def answered(head: dict[str, Any], data: bytes) -> bytes:
    """What the process says: a packed result, or ``!`` and why there is none."""
    try:
        asked = Asked.model_validate(head["asked"])
        pixels = np.frombuffer(data, np.dtype(head["dtype"])).reshape(head["shape"])
        shown = Shelf([f"{head['name']}={head['source']}"], head["device"], head["threads"]).find("")
        assert shown is not None
        limits: dict[str, Any] = {"confidence": asked.confidence, "iou": asked.iou, "max_det": asked.max_det}
        found = shown.model.predict(pixels, tile=asked.finding.tile, **limits)
    except DelineateError as error:
        return f"!{error}".encode()
    return packed(found, Context(shown.name, shown.version, head["pixel_size"], tuple(head["notes"])))


if __name__ == "__main__":
    import os

    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to standard error
    sink.write(answered(json.loads(source.readline()), source.read()))
    sink.flush()
