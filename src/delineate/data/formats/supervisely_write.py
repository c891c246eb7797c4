"""Writing Supervisely projects: every mask a bitmap, which keeps holes and parts to the pixel."""

from __future__ import annotations

import io
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset
from .drawing import ToDraw, dumps, text_file, to_draw
from .png_mask import to_base64


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``meta.json`` and, for each split, a dataset with ``ann/`` and ``img/``; without splits ``ds0``.

    ``crowd``, ``confidence`` and ``track`` are tags of objects; columns are tags of images, and so are the
    numbers of images where they are not 1, 2, 3, …

    Args:
        out: the folder, which exists.
        data: the dataset; the numbers of classes are kept.
        losses: counts objects without any pixel; a project holds all else.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    numbered = all(record.image_id == number for number, record in enumerate(data.records, 1))
    shapes: set[str] = set()
    for index, record in enumerate(data.records):
        truth, drawn = to_draw(data, index, losses, outlined=False)
        name = safe_name(record.name)
        folder = out / safe_name(record.groups.get("split", "") or "ds0")
        columns = {k: v for k, v in record.groups.items() if v and k != "split"}
        if not numbered:
            columns["image_id"] = str(record.image_id)
        shapes |= {"rectangle" if one.crop is None else "bitmap" for one in drawn}
        content = {
            "description": "",
            "name": PurePosixPath(name).name,
            "size": {"height": truth.size[0], "width": truth.size[1]},
            "tags": [{"name": key, "value": value} for key, value in columns.items()],
            "objects": [_object(one, "frame" in record.groups) for one in drawn],
        }
        with text_file(folder / "ann" / f"{name}.json") as file:
            file.write(dumps(content) + "\n")
        place(record, folder / "img" / name)
    with text_file(out / "meta.json") as file:
        file.write(dumps(_meta(data, shapes, numbered)) + "\n")


def _object(one: ToDraw, tracked: bool) -> dict[str, Any]:
    tags: list[dict[str, Any]] = [{"name": "crowd", "value": None}] if one.crowd else []
    if one.score < 1:
        tags.append({"name": "confidence", "value": round(one.score, 6)})
    if tracked and one.id is not None:
        tags.append({"name": "track", "value": one.id})
    row: dict[str, Any] = {"classTitle": one.name, "description": "", "tags": tags}
    if one.crop is None:
        x1, y1, x2, y2 = one.box
        if all(v == int(v) for v in one.box):
            corners = [[int(x1), int(y1)], [int(x2) - 1, int(y2) - 1]]
        else:
            corners = [[x1, y1], [x2, y2]]  # type: ignore[list-item]
        return row | {"geometryType": "rectangle", "points": {"exterior": corners, "interior": []}}
    mask, corner = one.crop
    return row | {"geometryType": "bitmap", "bitmap": {"data": packed(mask), "origin": list(corner)}}


def packed(mask: NDArray[np.bool_]) -> str:
    """A bitmap's data: base64 of the zlib stream of a PNG whose background is transparent."""
    image = Image.fromarray(mask.astype(np.uint8))
    image.putpalette([0, 0, 0, 255, 255, 255])
    png = io.BytesIO()
    image.save(png, format="PNG", transparency=0, bits=1, optimize=False)
    return to_base64(zlib.compress(png.getvalue()))


def _meta(data: Dataset, shapes: set[str], numbered: bool) -> dict[str, Any]:
    shape = shapes.pop() if len(shapes) == 1 else "any" if shapes else "bitmap"
    classes = [
        {
            "title": name,
            "shape": shape,
            "color": "#{:02X}{:02X}{:02X}".format(*color),
            "geometry_config": {},
            "id": identity,
            "hotkey": "",
        }
        for name, color, identity in zip(
            data.classes.names, data.classes.colors.tolist(), data.classes.ids, strict=True
        )
    ]
    columns = [name for name in data.groups if name != "split"] + ([] if numbered else ["image_id"])
    kinds = {"crowd": "none", "confidence": "any_number", "track": "any_number"}
    tags = [
        {
            "name": name,
            "value_type": kind,
            "color": "#A0A08C",
            "applicable_type": "objectsOnly",
            "classes": [],
        }
        for name, kind in kinds.items()
    ]
    tags += [
        {
            "name": name,
            "value_type": "any_string",
            "color": "#855D79",
            "applicable_type": "imagesOnly",
            "classes": [],
        }
        for name in columns
    ]
    return {"classes": classes, "tags": tags, "projectType": "images"}
