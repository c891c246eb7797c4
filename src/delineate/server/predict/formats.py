"""What an answer looks like: chosen by ``format`` or by the header ``Accept``, and rendered."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import imagecodecs
import msgspec
import numpy as np
from numpy.typing import NDArray

from delineate.apply.draw import overlay
from delineate.apply.geojson import to_geojson
from delineate.core.instances import Instances

from .limits import RefusedError

MEDIA = {
    "json": "application/json",
    "coco": "application/vnd.coco+json",
    "geojson": "application/geo+json",
    "labels": "image/png",
    "overlay": "image/png; content=overlay",
    "csv": "text/csv; charset=utf-8",
}
"""Media type of each format."""

FORMATS = tuple(MEDIA)
MOST_LABELS = 65_535  # numbers that a 16-bit PNG holds


@dataclass(frozen=True)
class Answer:
    """A rendered answer: bytes and their media type."""

    content: bytes
    media: str


@dataclass(frozen=True)
class Context:
    """What goes along with the objects.

    Attributes:
        model: name of the model.
        version: of it.
        pixel_size: µm, or None.
        notes: of the decoder.
        tolerance: pixels that an outline may be simplified by.
    """

    model: str
    version: str
    pixel_size: float | None = None
    notes: tuple[str, ...] = ()
    tolerance: float = 0.0


def choose(name: str | None, accept: str | None) -> str:
    """The format of an answer.

    Args:
        name: one of :data:`FORMATS`, which wins; None: as ``accept`` says.
        accept: the header; None or ``*/*``: json.

    Raises:
        RefusedError: 406, nothing of what is accepted can be given.

    Example:
        >>> choose(None, "text/html, image/png;q=0.9"), choose(None, "image/png; content=overlay")
        ('labels', 'overlay')
    """
    if name is not None:
        return name
    best, quality = None, 0.0
    for position, part in enumerate((accept or "*/*").split(",")):
        kind, given = _range(part)
        if (found := _match(kind, given)) is not None and _share(given) - position * 1e-6 > quality:
            best, quality = found, _share(given) - position * 1e-6
    if best is None:
        kinds = ", ".join(MEDIA.values())
        raise RefusedError(406, f"Accept: expected one of {kinds}, got others; or say ?format=", "format")
    return best


def _range(part: str) -> tuple[str, dict[str, str]]:
    kind, *parameters = (word.strip().lower() for word in part.split(";"))
    return kind, {k.strip(): v.strip() for k, _, v in (p.partition("=") for p in parameters)}


def _share(given: dict[str, str]) -> float:
    try:
        return min(max(float(given.get("q", "1")), 0.0), 1.0)
    except ValueError:
        return 0.0


def _match(kind: str, given: dict[str, str]) -> str | None:
    if kind in ("*/*", "application/*"):
        return "json"
    if kind in ("image/png", "image/*"):
        return "overlay" if given.get("content") == "overlay" else "labels"
    plain = {media.partition(";")[0]: name for name, media in MEDIA.items() if name != "overlay"}
    return "csv" if kind == "text/*" else plain.get(kind)


def render(kind: str, found: Instances, pixels: NDArray[Any] | None, context: Context) -> Answer:
    """The answer's bytes. Takes processor time: call it in a thread.

    Args:
        kind: one of :data:`FORMATS`.
        found: the objects.
        pixels: their image, for the overlay and the brightness in tables; None draws on black.
        context: what else is told.

    Raises:
        RefusedError: 422, the model has no masks, or more objects than the format holds.
    """
    if found.masks is None and kind in ("labels", "geojson"):
        raise RefusedError(
            422, f"format: expected json, coco, csv or overlay, got {kind}; the model finds boxes only"
        )
    return Answer(_RENDER[kind](found, pixels, context), MEDIA[kind])


def _json(found: Instances, _: NDArray[Any] | None, context: Context) -> bytes:
    objects = [
        {
            "label": k + 1,
            "class": name,
            "score": round(float(score), 6),
            "box": [round(float(v), 3) for v in box],
        }
        for k, (name, score, box) in enumerate(zip(found.names, found.scores, found.boxes, strict=True))
    ]
    if found.masks is not None:
        for each, area, rle in zip(objects, found.masks.area.tolist(), found.masks.to_rle(), strict=True):
            each |= {"area": area, "mask": rle}
    return msgspec.json.encode(
        {
            "model": context.model,
            "version": context.version,
            "height": found.size[0],
            "width": found.size[1],
            "pixel_size": context.pixel_size,
            "notes": context.notes,
            "count": len(found),
            "objects": objects,
        }
    )


def _coco(found: Instances, _: NDArray[Any] | None, __: Context) -> bytes:
    return msgspec.json.encode(found.to_coco(image_id=1), enc_hook=_number)


def _geojson(found: Instances, _: NDArray[Any] | None, context: Context) -> bytes:
    return msgspec.json.encode(to_geojson(found, context.tolerance), enc_hook=_number)


def _number(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"no JSON for {type(value).__name__}")


def _labels(found: Instances, _: NDArray[Any] | None, __: Context) -> bytes:
    if len(found) > MOST_LABELS:
        raise RefusedError(
            422, f"format: expected at most {MOST_LABELS} objects for a PNG, got {len(found)}; ask coco"
        )
    return bytes(imagecodecs.png_encode(found.to_label_image().astype(np.uint16), level=4))


def _overlay(found: Instances, pixels: NDArray[Any] | None, _: Context) -> bytes:
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(overlay(found, pixels)), level=4))


def _csv(found: Instances, pixels: NDArray[Any] | None, context: Context) -> bytes:
    from delineate.measurements import table  # it brings pandas, which no other answer needs

    rows = table(found, pixels, context.pixel_size)
    rows["class"] = [safe_cell(name) for name in rows["class"]]
    text = io.StringIO()
    rows.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode("utf-8", "backslashreplace")


def safe_cell(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


_RENDER = {
    "json": _json,
    "coco": _coco,
    "geojson": _geojson,
    "labels": _labels,
    "overlay": _overlay,
    "csv": _csv,
}
