"""KServe's open inference protocol, version 2, over REST, beside the native API.

An image comes as a tensor ``image``: UINT8, UINT16 or FP32 of shape (H, W), (H, W, 3) or (B, H, W, 3), or as
files in base64, BYTES of shape (B). The objects of all B images come as tensors of N rows, and ``image`` says
which image a row belongs to.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from numpy.typing import NDArray
from pydantic import ValidationError

from delineate import __version__

from .api import GUARDED, User, Works, client_of, left, problems
from .asked import Asked
from .decoder import Picture
from .door import as_json
from .limits import RefusedError
from .queue import Found
from .service import Service
from .shelf import Shown
from .upload import from_base64, unfit

router = APIRouter(prefix="/v2", tags=["KServe v2"])
DTYPES = {"UINT8": np.uint8, "UINT16": np.uint16, "FP32": np.float32}
OUTPUTS = {
    "image": ("INT64", [-1]),
    "boxes": ("FP32", [-1, 4]),
    "labels": ("INT64", [-1]),
    "scores": ("FP32", [-1]),
    "classes": ("BYTES", [-1]),
    "masks": ("BYTES", [-1]),
    "sizes": ("INT64", [-1, 2]),
}
"""Outputs: boxes are xyxy in pixels, masks COCO's compressed run lengths, sizes (height, width) by image."""
PARAMETERS = ("confidence", "iou", "max_det", "tile")
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array", "items": {}},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {**_TENSOR, "required": [*_TENSOR["required"], "data"]},
        },
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"enum": list(OUTPUTS)}, "parameters": {"type": "object"}},
            },
        },
    },
}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}}}
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Tensors of N objects",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model_name", "outputs"],
                    "properties": {"outputs": {"type": "array", "items": _TENSOR}},
                }
            }
        },
    }
}


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: Any
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    parameters: dict[str, Any] = {}
    outputs: list[_Output] | None = None


@router.get("", responses=GUARDED)
def server(_: User) -> Response:
    """What the server is."""
    return as_json({"name": "delineate", "version": __version__, "extensions": []})


@router.get("/health/live", responses=problems(503))
async def live(service: Works) -> Response:
    """Whether it works at all."""
    return as_json({"live": service.live}, 200 if service.live else 503)


@router.get("/health/ready", responses=problems(503))
async def ready(service: Works) -> Response:
    """Whether requests should be sent here now."""
    fine = service.live and not service.draining
    return as_json({"live": service.live, "ready": fine}, 200 if fine else 503)


@router.get("/models/{name}", responses=problems(401, 403, 404))
@router.get("/models/{name}/versions/{version}", responses=problems(401, 403, 404))
def metadata(name: str, _: User, service: Works, version: str | None = None) -> Response:
    """What a model takes and gives."""
    shown = _shown(service, name, version)
    outputs = [{"name": key, "datatype": kind, "shape": shape} for key, (kind, shape) in OUTPUTS.items()]
    inputs = [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    return as_json(
        {
            "name": shown.name,
            "versions": [shown.version],
            "platform": "delineate",
            "inputs": inputs,
            "outputs": outputs,
        }
    )


@router.get("/models/{name}/ready", responses=problems(401, 403, 404, 503))
@router.get("/models/{name}/versions/{version}/ready", responses=problems(401, 403, 404, 503))
def model_ready(name: str, _: User, service: Works, version: str | None = None) -> Response:
    """Whether a model answers."""
    shown = _shown(service, name, version)
    fine = service.live and not service.draining
    return as_json({"name": shown.name, "ready": fine}, 200 if fine else 503)


_REFUSALS = problems(400, 401, 403, 404, 408, 413, 422, 429, 503)


@router.post("/models/{name}/infer", responses=_ANSWER | _REFUSALS, openapi_extra=_BODY)
@router.post("/models/{name}/versions/{version}/infer", responses=_ANSWER | _REFUSALS, openapi_extra=_BODY)
async def infer(
    request: Request, name: str, caller: User, service: Works, version: str | None = None
) -> Response:
    """The objects of one image or of several."""
    shown = _shown(service, name, version)
    if (refusal := service.closed()) is not None:
        raise refusal
    given = await run_in_threadpool(_read, await request.body())
    wanted = _wanted(given)
    asked = _asked(given.parameters, shown.name)
    count = _count(given.inputs[0], service)
    deadline = time.monotonic() + service.limits.deadline
    with service.admitted(client_of(request, caller, service), count):
        pictures = await _pictures(given.inputs[0], service, asked)
        gone = asyncio.ensure_future(left(request))
        try:
            looks = [service.look(picture, asked, deadline, asyncio.shield(gone)) for picture in pictures]
            answers = await asyncio.gather(*looks, return_exceptions=True)
        finally:
            gone.cancel()
    found = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    tensors = await service.in_thread(lambda: _tensors(found, wanted))
    told = {"model_name": shown.name, "model_version": found[0].version, "outputs": tensors}
    return as_json(told if given.id is None else {**told, "id": given.id})


def _shown(service: Service, name: str, version: str | None) -> Shown:
    shown = service.model(name)
    if version is not None and version != shown.version:
        raise RefusedError(404, f"version: expected {shown.version}, got another; leave it out", "model")
    return shown


def _read(body: bytes) -> _Request:
    try:
        given = msgspec.json.decode(body, type=_Request)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RefusedError(400, f"body: {str(error).splitlines()[0]}; see the protocol") from None
    if len(given.inputs) != 1 or given.inputs[0].name != "image":
        raise RefusedError(400, "inputs: expected one, named image, got others; see the model's metadata")
    return given


def _wanted(given: _Request) -> list[str]:
    wanted = [each.name for each in given.outputs] if given.outputs else list(OUTPUTS)
    strange = [name for name in wanted if name not in OUTPUTS]
    if strange:
        raise RefusedError(400, f"outputs: expected some of {', '.join(OUTPUTS)}, got others; correct them")
    return wanted


def _asked(parameters: dict[str, Any], model: str) -> Asked:
    known = {
        key: value for key, value in parameters.items() if key in PARAMETERS
    }  # others are other servers'
    try:
        return Asked(model=model, **known)
    except ValidationError as error:
        raise unfit(error) from None


async def _pictures(given: _Input, service: Service, asked: Asked) -> list[Picture]:
    if given.datatype == "BYTES":
        files = given.data if isinstance(given.data, list) else []
        if given.shape != [len(files)] or not files or not all(isinstance(each, str) for each in files):
            raise RefusedError(
                400, "image: expected shape [B] and B texts of base64, got others; correct them"
            )
        data = [from_base64(text, "image") for text in files]
        return [await service.picture(each, asked) for each in data]
    return await run_in_threadpool(_arrays, given, service)


def _count(given: _Input, service: Service) -> int:
    """How many images a tensor holds, as it says."""
    count = given.shape[0] if len(given.shape) == (1 if given.datatype == "BYTES" else 4) else 1
    if count < 1:
        raise RefusedError(400, "shape: expected numbers from 1 up, got others; correct it")
    if count > service.limits.queue:
        raise RefusedError(422, f"shape: expected at most {service.limits.queue} images, got more; send less")
    return count


def _arrays(given: _Input, service: Service) -> list[Picture]:
    """The pictures of a tensor, whose shape is believed only as far as its data go."""
    kind, shape = DTYPES.get(given.datatype), given.shape
    if kind is None:
        raise RefusedError(
            400, f"datatype: expected BYTES, {', '.join(DTYPES)}, got another; convert the image"
        )
    grey, colour = len(shape) == 2, len(shape) in (3, 4) and shape[-1] in (1, 3)
    if not (grey or colour) or min(shape) < 1:
        raise RefusedError(400, "shape: expected [H, W], [H, W, 3] or [B, H, W, 3], got another; correct it")
    count, pixels = (shape[0], shape[1:]) if len(shape) == 4 else (1, shape)
    if pixels[0] * pixels[1] > service.limits.max_pixels:
        most = service.limits.max_pixels
        raise RefusedError(422, f"shape: expected at most {most} pixels, got more; cut it in parts", "pixels")
    array = _numbers(given.data, np.dtype(kind), math.prod(shape)).reshape(count, *pixels)
    return [
        Picture(np.ascontiguousarray(a[:, :, 0] if a.ndim == 3 and a.shape[2] == 1 else a)) for a in array
    ]


def _numbers(data: Any, kind: np.dtype[Any], count: int) -> NDArray[Any]:
    flat = data
    try:
        with np.errstate(all="ignore"):
            values = np.asarray(flat, dtype=np.float64).ravel()
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(
            400, "data: expected numbers, flat or nested as the shape says, got others"
        ) from None
    if values.size != count:
        raise RefusedError(
            400, f"data: expected {count} numbers as the shape says, got {values.size}; correct it"
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


def _tensors(found: list[Found], wanted: list[str]) -> list[dict[str, Any]]:
    """The outputs, each with its shape."""
    all_ = [each.instances for each in found]
    count = sum(len(each) for each in all_)
    data: dict[str, tuple[list[int], list[Any]]] = {
        "image": ([count], [k for k, each in enumerate(all_) for _ in range(len(each))]),
        "boxes": ([count, 4], [float(v) for each in all_ for v in each.boxes.ravel()]),
        "labels": ([count], [int(v) for each in all_ for v in each.labels]),
        "scores": ([count], [float(v) for each in all_ for v in each.scores]),
        "classes": ([count], [name for each in all_ for name in each.names]),
        "sizes": ([len(all_), 2], [v for each in all_ for v in each.size]),
    }
    if "masks" in wanted:
        masks = [each.masks for each in all_ if each.masks is not None]
        if len(masks) < len(all_):
            raise RefusedError(422, "outputs: expected some but masks, got masks; the model finds boxes only")
        data["masks"] = ([count], [rle["counts"] for each in masks for rle in each.to_rle()])
    return [
        {"name": name, "datatype": OUTPUTS[name][0], "shape": data[name][0], "data": data[name][1]}
        for name in wanted
    ]
