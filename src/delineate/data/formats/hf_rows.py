"""One row of a Hugging Face dataset: the objects of an image, however its author laid them out.

The column ``objects`` (or ``annotations``) holds lists of equal length, or one record an object: ``bbox``
(x, y, width, height in pixels, as the library's guide has it), ``category`` (a class's name, or its number),
``segmentation`` (COCO's run lengths, or polygons), ``iscrowd``, ``id``, ``score``. Or a column ``masks`` (or
``instances``) holds one black and white picture an object, beside ``categories``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from delineate.core.errors import MaskError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .coco_check import Bad, finite
from .drawing import dumps
from .drawn import Box, Crop, Drawn, Piece, polygon
from .json_file import show
from .png_mask import PngMask
from .yaml_file import load_values

OBJECTS = ("objects", "annotations", "instances", "labels")
MASKS = ("masks", "instances", "instance_masks")
CATEGORIES = ("category", "categories", "label", "labels", "class", "classes", "category_id")
LONGEST_VALUE = 100
"""Texts up to this length are columns of the dataset, longer ones are left aside."""
CARD = "README.md"
"""The dataset's card; its head lists the classes."""


@dataclass(frozen=True)
class RleMask:
    """A mask as COCO's run lengths."""

    counts: str | bytes | list[int]
    own_size: tuple[int, int] | None
    where: str

    def crop(self, size: tuple[int, int]) -> Crop:
        """The mask, (h, w) bool, and its corner.

        Raises:
            Bad: damaged, or of another size than the image.
        """
        try:
            rle = {"size": list(self.own_size or size), "counts": self.counts}
            return Masks.from_rle([rle], size, [self.where]).crop(0)
        except MaskError as error:
            raise Bad(str(error).split("; ")[0]) from None


def objects(row: Mapping[str, Any], names: Sequence[str], where: str) -> tuple[Drawn, ...]:
    """The objects of one row.

    Args:
        row: its columns.
        names: the classes that numbers count, from 0; empty where they are not told.
        where: its place in the file, for messages.

    Raises:
        Bad: no objects, or malformed ones.
    """
    for key in MASKS:
        column = row.get(key)
        if isinstance(column, list) and column and _picture(column[0]) is not None:
            return _pictures(column, row, names, f"{where}.{key}")
    held = next((k for k in OBJECTS if isinstance(row.get(k), dict | list)), None)
    if held is None:
        raise Bad(f"{where}: expected a column objects, or masks, got {', '.join(map(str, row))}")
    return tuple(
        _object(one, names, f"{where}.{held}[{i}]")
        for i, one in enumerate(_records(row[held], f"{where}.{held}"))
    )


def _picture(value: object) -> bytes | None:
    found = value.get("bytes") if isinstance(value, dict) else value
    return found if isinstance(found, bytes) else None


def _pictures(
    column: list[Any], row: Mapping[str, Any], names: Sequence[str], where: str
) -> tuple[Drawn, ...]:
    """An object for each black and white picture."""
    labels = next((row[key] for key in CATEGORIES if isinstance(row.get(key), list)), None)
    if labels is not None and len(labels) != len(column):
        raise Bad(f"{where}: expected a category for each of {len(column)} masks, got {len(labels)}")
    found = []
    for i, value in enumerate(column):
        data = _picture(value)
        if data is None:
            raise Bad(f"{where}[{i}]: expected a picture, got {show(value)}")
        name = "object" if labels is None else _name(labels[i], names, f"{where}[{i}]")
        found.append(Drawn(name, (PngMask(data, (0, 0), f"{where}[{i}]"),), f"{where}[{i}]"))
    return tuple(found)


def _records(column: object, where: str) -> list[Mapping[str, Any]]:
    """One record an object, of lists of equal length or as they are."""
    if isinstance(column, list):
        if not all(isinstance(one, dict) for one in column):
            raise Bad(f"{where}: expected objects, got {show(column[0]) if column else 'nothing'}")
        return column
    assert isinstance(column, dict)
    lists = {key: values for key, values in column.items() if isinstance(values, list)}
    lengths = {len(values) for key, values in lists.items() if values or key in ("bbox", "segmentation")}
    if len(lengths) > 1:
        told = ", ".join(f"{len(v)} {k}" for k, v in lists.items())
        raise Bad(f"{where}: expected lists of one length, got {told}")
    return [{key: v[i] for key, v in lists.items() if v} for i in range(max(lengths, default=0))]


def _object(one: Mapping[str, Any], names: Sequence[str], where: str) -> Drawn:
    category = next((one[key] for key in CATEGORIES if one.get(key) is not None), None)
    name = "object" if category is None else _name(category, names, where)
    identity, crowd, score = one.get("id"), one.get("iscrowd", 0), one.get("score")
    score = 1.0 if score is None else score
    if not finite(score) or not 0 <= score <= 1:
        raise Bad(f"{where}.score: expected a number in 0..1, got {show(score)}")
    return Drawn(
        name,
        _pieces(one, where),
        where,
        identity if type(identity) is int and 0 <= identity < 2**62 else None,
        float(score),
        bool(crowd),
    )


def _name(category: object, names: Sequence[str], where: str) -> str:
    if isinstance(category, str) and category.strip():
        return category.strip()
    if type(category) is not int or category < 0:
        raise Bad(f"{where}.category: expected a class's name or number, got {show(category)}")
    if not names:
        return f"class {category}"
    if category >= len(names):
        raise Bad(f"{where}.category: expected a number in 0..{len(names) - 1}, got {category}")
    return names[category]


def _pieces(one: Mapping[str, Any], where: str) -> tuple[Piece, ...]:
    drawn = next((one[key] for key in ("segmentation", "mask", "segments") if one.get(key)), None)
    if drawn is None:
        box = one.get("bbox")
        if not isinstance(box, list) or len(box) != 4 or not all(map(finite, box)) or min(box[2:]) < 0:
            raise Bad(f"{where}.bbox: expected x, y, width, height in pixels, got {show(box)}")
        x, y, width, height = map(float, box)
        return (Box(x, y, x + width, y + height),)
    at = f"{where}.segmentation"
    if isinstance(drawn, str | bytes):
        return (RleMask(drawn, None, at),)
    if isinstance(drawn, dict):
        size, counts = drawn.get("size"), drawn.get("counts")
        if not (isinstance(size, list) and len(size) == 2 and all(type(v) is int and v > 0 for v in size)):
            raise Bad(f"{at}.size: expected height and width, got {show(size)}")
        if not isinstance(counts, str | bytes | list):
            raise Bad(f"{at}.counts: expected run lengths, got {show(counts)}")
        return (RleMask(counts, (size[0], size[1]), at),)
    if not isinstance(drawn, list):
        raise Bad(f"{at}: expected run lengths or polygons, got {show(drawn)}")
    rings = [drawn] if drawn and finite(drawn[0]) else drawn
    return tuple(polygon(_points(ring, f"{at}[{i}]"), f"{at}[{i}]") for i, ring in enumerate(rings))


def _points(ring: object, where: str) -> object:
    """COCO's flat x1, y1, x2, y2, … as pairs; pairs as they are."""
    if not isinstance(ring, list) or not ring or not finite(ring[0]):
        return ring
    if len(ring) % 2 or not all(map(finite, ring)):
        raise Bad(f"{where}: expected x1, y1, x2, y2, …, got {len(ring)} values")
    return [ring[i : i + 2] for i in range(0, len(ring), 2)]


def groups(row: Mapping[str, Any]) -> dict[str, str]:
    """The short texts of a row but for its image: columns such as ``split`` or ``patient``."""
    return {
        str(key): value
        for key, value in row.items()
        if isinstance(value, str)
        and key not in ("file_name", "image", "path")
        and len(value) <= LONGEST_VALUE
    }


# -- writing ---------------------------------------------------------------------------------------------


def columns(truth: Instances) -> dict[str, list[Any]]:
    """The objects of an image as lists of equal length; ``segmentation`` only where there are masks."""
    corners = truth.boxes.astype(np.float64)
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    ids = np.arange(1, len(truth) + 1) if truth.ids is None else truth.ids
    found: dict[str, list[Any]] = {
        "id": ids.tolist(),
        "bbox": sides.tolist(),
        "area": truth.area.tolist(),
        "category": truth.labels.tolist(),
        "category_id": [truth.classes.id(int(label)) for label in truth.labels],
        "iscrowd": truth.crowd.astype(int).tolist(),
        "score": truth.scores.astype(np.float64).tolist(),
    }
    if truth.masks is not None:
        found["segmentation"] = truth.masks.to_rle()
    return found


def write_card(path: Path, classes: Labels, images: int, body: str) -> None:
    """Writes the card, with the classes in its head; YAML takes JSON as it is."""
    rows = [{"id": own, "name": name} for own, name in zip(classes.ids, classes.names, strict=True)]
    head = f"---\ntask_categories: [image-segmentation]\nclasses: {dumps(rows)}\n---\n"
    path.write_text(f"{head}\n{images} images. {body}\n", encoding="utf-8")


def classes_of(folder: Path) -> Labels | list[str]:
    """The classes in the head of the card, as :func:`write_card` has them; empty where it has none."""
    card = folder / CARD
    if not card.is_file():
        return []
    _, mark, rest = card.read_text(encoding="utf-8", errors="replace").partition("---\n")
    head, end, _ = rest.partition("\n---")
    if not mark or not end:
        return []
    try:
        content = load_values(head)
        rows = msgspec.convert(content.get("classes"), list[_Class])
        return Labels(tuple(row.name for row in rows), tuple(row.id for row in rows))
    except (msgspec.ValidationError, AttributeError, ValueError):
        return []


class _Class(msgspec.Struct):
    """A class of the card."""

    id: int
    name: str
