"""KServe's open inference protocol, version 2, over REST, beside the native API.

An image comes as a tensor ``image``: UINT8, UINT16 or FP32 of shape (H, W), (H, W, 3) or (B, H, W, 3), or as
files, BYTES of shape (B), in base64 or as they are. The objects of all B images come as tensors of N rows,
and ``image`` says which image a row belongs to.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from delineate import __version__

from . import kserve_answers as answers
from . import kserve_tensors as tensors
from .api import User, Works, client_of, left
from .asked import Asked
from .decoder import Picture
from .door import as_json
from .kserve_answers import OUTPUTS
from .kserve_tensors import LENGTH
from .limits import RefusedError
from .service import Service
from .shelf import Shown
from .told import GUARDED, problems
from .upload import unfit

router = APIRouter(prefix="/v2", tags=["KServe v2"])
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
            "items": _TENSOR,
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
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _REQUEST}, "application/octet-stream": _BYTES},
    },
    "parameters": [
        {
            "name": LENGTH,
            "in": "header",
            "description": "Bytes of the JSON, where the bytes of tensors follow it.",
            "schema": {"type": "integer", "minimum": 0},
        }
    ],
}
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
            },
            "application/octet-stream": _BYTES,
        },
        "headers": {LENGTH: {"description": "Bytes of the JSON.", "schema": {"type": "integer"}}},
    }
}


@router.get("", responses=GUARDED)
def server(_: User) -> Response:
    """What the server is."""
    return as_json({"name": "delineate", "version": __version__, "extensions": ["binary_tensor_data"]})


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
    given = await run_in_threadpool(tensors.read, await request.body(), request.headers.get(LENGTH))
    (image,), wanted = given.inputs, answers.wanted(given)
    asked = _asked(given.parameters, shown.name)
    count = tensors.count(image, service.limits.queue)
    deadline = time.monotonic() + service.limits.deadline
    with service.admitted(client_of(request, caller, service), count):
        pictures = await _pictures(image, service, asked)
        gone = asyncio.ensure_future(left(request))
        try:
            looks = [service.look(picture, asked, deadline, asyncio.shield(gone)) for picture in pictures]
            looked = await asyncio.gather(*looks, return_exceptions=True)
        finally:
            gone.cancel()
    found = []
    for answer in looked:
        if isinstance(answer, BaseException):
            raise answer
        found.append(answer)
    told = {"model_name": shown.name, "model_version": found[0].version}
    told |= {} if given.id is None else {"id": given.id}
    body, length = await service.in_thread(lambda: answers.written(found, wanted, told))
    if length is None:
        return Response(body, media_type="application/json")
    return Response(body, headers={LENGTH: str(length)}, media_type="application/octet-stream")


def _shown(service: Service, name: str, version: str | None) -> Shown:
    shown = service.model(name)
    if version is not None and version != shown.version:
        raise RefusedError(404, f"version: expected {shown.version}, got another; leave it out", "model")
    return shown


def _asked(parameters: dict[str, Any], model: str) -> Asked:
    known = {
        key: value for key, value in parameters.items() if key in PARAMETERS
    }  # others are other servers'
    try:
        return Asked(model=model, **known)
    except ValidationError as error:
        raise unfit(error) from None


async def _pictures(given: tensors.Input, service: Service, asked: Asked) -> list[Picture]:
    if given.datatype == "BYTES":
        return [await service.picture(each, asked) for each in tensors.files(given)]
    return await run_in_threadpool(tensors.arrays, given, service.limits)
