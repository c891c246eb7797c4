"""From a request to the bytes of its images and its settings: raw, as a form, or in JSON."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from .asked import Asked, JsonImage, over
from .fetch import Fetcher
from .limits import RefusedError

RAW = ("application/octet-stream", "", "application/x-www-form-urlencoded")  # the last: curl --data-binary
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/FormImage"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/JsonImage"}},
        },
    }
}
"""How the API's description tells of such a request."""


@dataclass(frozen=True)
class Sent:
    """An image as it came: a name for lists, and its bytes."""

    name: str
    data: bytes


class _Form(MultiPartParser):
    """Keeps parts in memory: the body was bounded before, and no file is left behind."""

    spool_max_size = 1 << 40

    def close(self) -> None:
        """Closes the files of parts that began, those that never ended too."""
        for file in self._files_to_close_on_error:
            file.close()


async def receive(
    request: Request, asked: Asked, fetcher: Fetcher, most: int = 1
) -> tuple[list[Sent], Asked]:
    """The images of a request.

    Args:
        request: its body is read whole; the door bounds it.
        asked: settings of the address.
        fetcher: for ``image_url``.
        most: images.

    Raises:
        RefusedError: 400, not well formed; 415, another kind of body; 422, a setting out of range.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "multipart/form-data":
        return await _form(request, body, asked, most)
    if kind == "application/json":
        return await _json(body, asked, fetcher)
    if kind in RAW or kind.startswith("image/"):
        return [Sent("image", body)], asked
    raise RefusedError(
        415,
        f"Content-Type: expected an image, a form or JSON, got {kind!r}; send image/png",
    )


async def _form(request: Request, body: bytes, asked: Asked, most: int) -> tuple[list[Sent], Asked]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = _Form(request.headers, stream(), max_files=most, max_fields=20, max_part_size=4096)
    try:
        sent, fields = await _parts(await parser.parse())
    except (MultiPartException, KeyError, ValueError) as error:
        reason = getattr(error, "message", None) or "a damaged form"
        raise RefusedError(
            400, f"form: expected parts image and settings, got: {reason}; send it again"
        ) from None
    finally:
        parser.close()
    if not sent:
        raise RefusedError(
            400, "form: expected a file in a part named image, got none; send curl -F image=@FILE"
        )
    return sent, _checked(asked, fields)


async def _parts(form: FormData) -> tuple[list[Sent], dict[str, Any]]:
    sent: list[Sent] = []
    fields: dict[str, Any] = {}
    for key, value in form.multi_items():
        if isinstance(value, UploadFile):
            if key != "image":
                raise RefusedError(
                    422, f"form: expected files in parts named image, got {_plain(key)!r}; rename it"
                )
            sent.append(Sent(base_name(value.filename), await value.read()))
        else:
            fields[key] = value
    return sent, fields


async def _json(body: bytes, asked: Asked, fetcher: Fetcher) -> tuple[list[Sent], Asked]:
    try:
        given = await run_in_threadpool(JsonImage.model_validate_json, body)
    except ValidationError as error:
        raise unfit(error) from None
    settings = _checked(asked, given.model_dump(exclude_unset=True))
    if (given.image is None) == (given.image_url is None):
        raise RefusedError(422, "image: expected image or image_url, got both or none; send one of them")
    if given.image_url is not None:
        data = await run_in_threadpool(fetcher.fetch, given.image_url)
    else:
        data = from_base64(str(given.image), "image")
    return [Sent("image", data)], settings


def from_base64(text: str, where: str) -> bytes:
    """The bytes that a text stands for.

    Raises:
        RefusedError: 400, it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(
            400, f"{where}: expected base64, got another text; encode the file's bytes"
        ) from None


def _checked(asked: Asked, fields: dict[str, Any]) -> Asked:
    try:
        return over(asked, fields)
    except ValidationError as error:
        raise unfit(error) from None


def unfit(error: ValidationError) -> RefusedError:
    """The first fault of a body, in one line: 400 where it is no JSON, 422 where it says something else."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = _plain(".".join(str(part) for part in first["loc"])) or "body"
    status = 400 if first["type"] == "json_invalid" else 422
    return RefusedError(status, f"{place}: {_plain(first['msg'])}; see /openapi.json")


def base_name(name: str | None) -> str:
    """The last part of a file's name, in printable characters: it is shown, never opened.

    Example:
        >>> base_name("../../etc/passwd"), base_name("C:\\\\cells\\\\a.png"), base_name(None)
        ('passwd', 'a.png', 'image')
    """
    last = PurePosixPath((name or "").replace("\\", "/")).name
    return "".join(c if c.isprintable() else "?" for c in last)[:200] or "image"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(text))[:200]
