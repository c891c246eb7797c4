"""What comes by KServe's protocol: tensors as JSON, and as bytes behind it (its binary extension).

A request whose header ``Inference-Header-Content-Length`` is N is N bytes of JSON, then the bytes of its
input, little-endian and row by row; of a file, four bytes of its length come first.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from .decoder import Picture
from .limits import Limits, RefusedError
from .upload import from_base64

LENGTH = "Inference-Header-Content-Length"
DTYPES = {"UINT8": "<u1", "UINT16": "<u2", "FP32": "<f4"}
BINARY_DTYPES = {**DTYPES, "FP16": "<f2"}  # JSON has no such numbers


class Input(msgspec.Struct):
    """A tensor that comes."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = None
    parameters: dict[str, Any] = {}


class Output(msgspec.Struct):
    """A tensor that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class Inference(msgspec.Struct):
    """A request."""

    inputs: list[Input]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[Output] | None = None


def read(body: bytes, length: str | None) -> Inference:
    """A request's JSON; where bytes follow it, they are the ``data`` of its input.

    Args:
        body: all of it.
        length: the header :data:`LENGTH`; None where there is none.

    Raises:
        RefusedError: 400, it is none.
    """
    if length is not None and not (length.isdecimal() and int(length[:20]) <= len(body)):
        raise RefusedError(400, f"{LENGTH}: expected bytes of the JSON, got another number; correct it")
    end = len(body) if length is None else int(length)
    try:
        given = msgspec.json.decode(memoryview(body)[:end], type=Inference)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefusedError(400, f"body: {str(error).splitlines()[0]}; see the protocol") from None
    if len(given.inputs) != 1 or given.inputs[0].name != "image":
        raise RefusedError(400, "inputs: expected one, named image, got others; see the model's metadata")
    (image,) = given.inputs
    size = image.parameters.get("binary_data_size")
    if size is not None:
        if type(size) is not int or size != len(body) - end or image.data is not None:
            raise RefusedError(
                400, f"binary_data_size: expected as many bytes after the JSON, got {len(body) - end}; "
                f"say by {LENGTH} where the JSON ends, and leave data out"
            )  # fmt: skip
        image.data = body[end:]
    elif image.data is None or end != len(body):
        raise RefusedError(400, "image: expected data or binary_data_size, got none or both; correct it")
    return given


def count(given: Input, most: int) -> int:
    """How many images a tensor holds, as it says.

    Raises:
        RefusedError: 400, none; 422, too many.
    """
    found = given.shape[0] if len(given.shape) == (1 if given.datatype == "BYTES" else 4) else 1
    if found < 1:
        raise RefusedError(400, "shape: expected numbers from 1 up, got others; correct it")
    if found > most:
        raise RefusedError(422, f"shape: expected at most {most} images, got more; send less")
    return found


def files(given: Input) -> list[bytes]:
    """The files of a tensor of BYTES.

    Raises:
        RefusedError: 400, they are not as the shape says.
    """
    if isinstance(given.data, bytes):
        found = _parts(given.data)
    else:
        texts = given.data if isinstance(given.data, list) else []
        if not all(isinstance(each, str) for each in texts):
            raise RefusedError(400, "image: expected texts of base64, got others; correct them")
        found = [from_base64(text, "image") for text in texts]
    if given.shape != [len(found)] or not found:
        raise RefusedError(400, "image: expected shape [B] and B files, got others; correct them")
    return found


def _parts(data: bytes) -> list[bytes]:
    """What stands behind one another, each after four bytes of its length."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4 + size
        if at > len(data):
            raise RefusedError(400, "image: expected files with their lengths, got less; correct them")
        found.append(data[at - size : at])
    return found


def arrays(given: Input, limits: Limits) -> list[Picture]:
    """The pictures of a tensor of numbers, whose shape is believed only as far as its data go.

    Raises:
        RefusedError: 400, they are not as the shape says; 422, too many pixels.
    """
    binary, shape = isinstance(given.data, bytes), given.shape
    known = BINARY_DTYPES if binary else DTYPES
    kind = known.get(given.datatype)
    if kind is None:
        raise RefusedError(
            400, f"datatype: expected BYTES, {', '.join(known)}, got another; convert the image"
        )
    grey, colour = len(shape) == 2, len(shape) in (3, 4) and shape[-1] in (1, 3)
    if not (grey or colour) or min(shape) < 1:
        raise RefusedError(400, "shape: expected [H, W], [H, W, 3] or [B, H, W, 3], got another; correct it")
    images, pixels = (shape[0], shape[1:]) if len(shape) == 4 else (1, shape)
    if pixels[0] * pixels[1] > limits.max_pixels:
        raise RefusedError(
            422, f"shape: expected at most {limits.max_pixels} pixels, got more; cut it in parts", "pixels"
        )
    values = (_packed if binary else _numbers)(given.data, np.dtype(kind), math.prod(shape))
    stack = values.reshape(images, *pixels)
    return [
        Picture(np.ascontiguousarray(a[:, :, 0] if a.ndim == 3 and a.shape[2] == 1 else a)) for a in stack
    ]


def _packed(data: bytes, kind: np.dtype[Any], size: int) -> NDArray[Any]:
    """Numbers from their bytes."""
    if len(data) != size * kind.itemsize:
        raise RefusedError(
            400, f"binary_data_size: expected {size * kind.itemsize} as the shape says, got {len(data)}; "
            "correct it"
        )  # fmt: skip
    values = np.frombuffer(data, kind)
    if kind.kind == "u":
        return values
    if not np.isfinite(values).all():
        raise RefusedError(400, "data: expected finite numbers, got NaN or infinity; replace them")
    return values.astype(np.float32)


def _numbers(data: Any, kind: np.dtype[Any], size: int) -> NDArray[Any]:
    """Numbers from lists, flat or nested."""
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(data, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(
            400, "data: expected numbers, flat or nested as the shape says, got others"
        ) from None
    if values.size != size:
        raise RefusedError(
            400, f"data: expected {size} numbers as the shape says, got {values.size}; correct it"
        )
    if not np.isfinite(values).all():
        raise RefusedError(400, "data: expected finite numbers, got NaN or infinity; replace them")
    if kind.kind == "u":
        top = np.iinfo(kind).max
        if ((values < 0) | (values > top) | (values != np.rint(values))).any():
            raise RefusedError(400, f"data: expected whole numbers in 0..{top}, got others; use FP32")
    elif np.abs(values).max() > np.finfo(np.float32).max:
        raise RefusedError(400, "data: expected numbers that fit into 32 bits, got larger ones; scale them")
    return values.astype(kind)
