"""The shapes of answers, as the API's description tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from .formats import MEDIA


class Problem(BaseModel):
    """Why a request was refused, in one line."""

    error: str


class Rle(BaseModel):
    """A mask as COCO's compressed run lengths."""

    size: tuple[int, int]
    counts: str


class FoundObject(BaseModel):
    """One object: its number in the label image, class, score 0..1, box (xyxy), area in pixels, mask."""

    label: int
    class_: str = Field(alias="class")
    score: float
    box: tuple[float, float, float, float]
    area: int | None = None
    mask: Rle | None = None


class Prediction(BaseModel):
    """The objects of an image, in its pixels."""

    model: str
    version: str
    height: int
    width: int
    pixel_size: float | None
    notes: list[str]
    count: int
    objects: list[FoundObject]


class ModelCard(BaseModel):
    """A model that serves; ``fault`` tells why its last reload kept it."""

    name: str
    version: str
    family: str
    classes: list[str]
    licence: str
    loaded: float
    fault: str


class ModelList(BaseModel):
    """All models; ``default`` answers where none is named."""

    default: str
    models: list[ModelCard]


class JobCard(BaseModel):
    """A job: ``state`` is waiting, running or done (all images ended); ``progress`` 0..1."""

    id: str
    state: str
    progress: float
    images: int
    ended: int
    created: float
    finished: float | None


class JobList(BaseModel):
    """The latest jobs."""

    jobs: list[JobCard]


class Health(BaseModel):
    """Whether the server lives, or is ready for work; ``reason`` tells why not."""

    ok: bool
    version: str
    reason: str = ""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How the API's description tells of refusals."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        told[status] = {"model": Problem, "description": _TOLD[status]}
        if status in (429, 503):
            told[status]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            }
    return told


_TOLD = {
    400: "Not well formed",
    401: "No token, or an unknown one",
    403: "The token's role does not allow it, or the address was asked for from another site",
    404: "No such model or job",
    406: "None of the media types that are accepted can be given",
    408: "The request came too slowly",
    409: "Another request has this key",
    413: "Too many bytes",
    415: "Not a kind of body that is read",
    422: "Not an image, too many pixels, or a setting out of range",
    429: "Too many images of this client",
    503: "Too much work, too late, or the server ends",
}
GUARDED = problems(401, 403)
PREDICTING = problems(400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 503)
SHOWN: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Prediction,
        "description": "The objects, in the format that was asked for",
        "content": {
            media: {"schema": {"type": "string", "format": "binary"} if "image" in media else {}}
            for name, media in MEDIA.items()
            if name != "json"
        },
    }
}
