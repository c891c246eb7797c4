"""The bodies of the servers' requests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from reading import Made, Read, check_message, target

# -- the server's bodies ------------------------------------------------------------------------------------


@target
def bodies(_: Path) -> Made:
    """Bodies of requests: forms, JSON, KServe's tensors, the studio's edits."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n123\r\n'
        b'--x\r\nContent-Disposition: form-data; name="confidence"\r\n\r\n0.5\r\n--x--\r\n'
    )
    tensor = {"inputs": [{"name": "image", "shape": [2, 3], "datatype": "UINT8", "data": [1, 2, 3, 4, 5, 6]}],
              "parameters": {"confidence": 0.5}, "outputs": [{"name": "boxes"}]}  # fmt: skip
    edits = [{"op": "add", "class_id": 1, "geometry": {"rings": [[1, 1, 9, 1, 9, 9]]}},
             {"op": "brush", "id": 1, "points": [[1, 1], [5, 5]], "radius": 2},
             {"op": "add", "class_id": 1, "geometry": {"rle": {"size": [12, 15], "counts": [20, 30, 130]}}},
             {"op": "split", "id": 1, "line": [[1, 1], [5, 5]]}]  # fmt: skip
    image = {"image": "aGVsbG8=", "confidence": 0.5, "tile": 512, "channels": "0,1,2"}
    texts = [b"0" + form, b"1" + json.dumps(image).encode(), b"2" + json.dumps(tensor).encode()]
    texts += [b"3" + json.dumps(edit).encode() for edit in edits]
    packed = {"name": "image", "shape": [2, 3], "datatype": "UINT8", "parameters": {"binary_data_size": 6}}
    texts += [b"4" + json.dumps({"inputs": [packed]}).encode() + b"\n" + b"123456"]

    def read(data: bytes) -> None:
        from delineate.server.predict.limits import RefusedError

        readers: dict[bytes, Read] = {
            b"0": _form_body, b"1": _json_body, b"2": _tensor_body, b"3": _edit_body,
            b"4": _packed_body,
        }  # fmt: skip
        try:
            readers.get(data[:1], _form_body)(data[1:])
        except RefusedError as error:
            check_message(str(error))

    return texts, read


def _form_body(body: bytes) -> None:
    from starlette.requests import Request

    from delineate.server.predict import upload
    from delineate.server.predict.asked import Asked

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"",
             "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}  # fmt: skip
    asyncio.run(upload._form(Request(scope), body, Asked(), 3))


def _json_body(body: bytes) -> None:
    from delineate.server.predict import upload
    from delineate.server.predict.asked import Asked
    from delineate.server.predict.fetch import Fetcher

    asyncio.run(upload._json(body, Asked(), Fetcher((), 1000, 1.0)))


def _tensor_body(body: bytes, length: str | None = None) -> None:
    from delineate.server.predict import kserve, kserve_answers, kserve_tensors
    from delineate.server.predict.limits import Limits

    given = kserve_tensors.read(body, length)
    kserve_answers.wanted(given)
    kserve._asked(given.parameters, "nuclei")
    kserve_tensors.count(given.inputs[0], 32)
    if given.inputs[0].datatype == "BYTES":
        kserve_tensors.files(given.inputs[0])
    else:
        kserve_tensors.arrays(given.inputs[0], Limits())


def _packed_body(body: bytes) -> None:
    head = body.find(b"\n") + 1
    _tensor_body(body, str(head))
    _tensor_body(body, body[:6].decode("latin-1"))


def _edit_body(body: bytes) -> None:
    from pydantic import TypeAdapter, ValidationError

    from delineate.core.errors import DelineateError
    from delineate.server.edits import _drawn
    from delineate.server.requests import Edit

    try:
        edit = TypeAdapter(Edit).validate_json(body)
    except ValidationError:
        return
    geometry = getattr(edit, "geometry", None)
    if geometry is not None:
        try:
            _drawn(geometry, (12, 15))
        except DelineateError as error:
            check_message(str(error))
