"""COCO annotations and results (T.-Y. Lin et al. 2014, https://cocodataset.org/#format-data)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes import from_xywh, to_xywh
from ..errors import InputError
from ..instances import Instances
from ..labels import Labels
from ..masks import Masks


def to_coco(instances: Instances, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
    """N annotations that are results too: plain Python values that ``json.dumps`` takes.

    Args:
        instances: the objects of one image.
        image_id: the image's id.
        first_id: id of the first object; the others count up from it.

    Returns:
        Dicts with id, image_id, category_id (the dataset's own), bbox (xywh), area, iscrowd, score, and where
        known segmentation (RLE) and track_id.

    Example:
        >>> to_coco(Instances((4, 4), boxes=[[0, 0, 2, 4]]))[0]["bbox"]
        [0.0, 0.0, 2.0, 4.0]
    """
    found: list[dict[str, Any]] = [
        {
            "id": first_id + i,
            "image_id": image_id,
            "category_id": instances.classes.id(label),
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
            "score": score,
        }
        for i, (label, box, area, crowd, score) in enumerate(
            zip(
                instances.labels.tolist(),
                to_xywh(instances.boxes.astype(np.float64)).tolist(),
                instances.area.tolist(),
                instances.crowd.tolist(),
                instances.scores.tolist(),
                strict=True,
            )
        )
    ]
    if instances.masks is not None:
        for annotation, segmentation in zip(found, instances.masks.to_rle(), strict=True):
            annotation["segmentation"] = segmentation
    if instances.ids is not None:
        for annotation, track in zip(found, instances.ids.tolist(), strict=True):
            annotation["track_id"] = track
    return found


def from_coco(
    annotations: Sequence[Mapping[str, Any]], size: tuple[int, int], classes: Labels | None = None
) -> Instances:
    """The objects of one image from its annotations or results.

    Args:
        annotations: dicts with category_id, and segmentation (polygons or RLE) or bbox (xywh) or both; area,
            iscrowd, score, track_id where known.
        size: (height, width) of the image.
        classes: whose ``ids`` the category ids are; default one class per category id seen.

    Raises:
        InputError: an annotation lacks what is needed, or holds what cannot be; the message names its id.
    """
    names = [_name(a, i) for i, a in enumerate(annotations)]
    if classes is None:
        seen = sorted({_value(a, "category_id", int, n) for a, n in zip(annotations, names, strict=True)})
        classes = Labels(tuple(f"class {i}" for i in seen), tuple(seen))
    masks = _masks(annotations, size, names)
    boxes = [_box(a, n, masks is None) for a, n in zip(annotations, names, strict=True)]
    corners: NDArray[np.floating[Any]] | None = None
    if masks is None or all(b is not None for b in boxes):
        corners = from_xywh(np.array(boxes, dtype=np.float64).reshape(-1, 4))
    known = {k: annotations and all(a.get(k) is not None for a in annotations) for k in ("area", "track_id")}

    def column(key: str, kind: type | tuple[type, ...], default: Any = None) -> list[Any]:
        return [_value(a, key, kind, n, default) for a, n in zip(annotations, names, strict=True)]

    return Instances(
        size,
        boxes=corners,  # type: ignore[arg-type]
        labels=_labels(column("category_id", int), classes, names),
        scores=np.array(column("score", (int, float), 1.0), dtype=np.float32),
        masks=masks,
        ids=np.array(column("track_id", int), dtype=np.int64) if known["track_id"] else None,
        crowd=np.array(column("iscrowd", (int, bool), 0), dtype=np.bool_),
        areas=np.array(column("area", (int, float)), dtype=np.float64) if known["area"] else None,
        classes=classes,
    )


def _labels(ids: list[int], classes: Labels, names: list[str]) -> NDArray[np.int64]:
    index = {dataset_id: i for i, dataset_id in enumerate(classes.ids)}
    for i, name in zip(ids, names, strict=True):
        if i not in index:
            raise InputError(f"{name}: category id {i} is none of the classes' {len(index)}; correct it")
    return np.array([index[i] for i in ids], dtype=np.int64)


def _name(annotation: object, i: int) -> str:
    if not isinstance(annotation, Mapping):
        raise InputError(
            f"annotation {i}: expected a dict, got {type(annotation).__name__}; give COCO annotations"
        )
    return f"annotation id {annotation['id']}" if "id" in annotation else f"annotation {i}"


def _value(
    annotation: Mapping[str, Any], key: str, kind: type | tuple[type, ...], name: str, default: Any = None
) -> Any:
    value = annotation.get(key, default)
    if value is None:
        value = default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise InputError(f"{name}: expected a number as {key}, got {value!r}; correct it")
    return value


def _box(annotation: Mapping[str, Any], name: str, needed: bool) -> list[float] | None:
    box = annotation.get("bbox")
    if box is None and not needed:
        return None
    numbers = isinstance(box, list | tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) for v in box
    )
    if not isinstance(box, list | tuple) or not numbers or len(box) != 4 or box[2] < 0 or box[3] < 0:
        raise InputError(
            f"{name}: expected bbox [x, y, width, height] of finite numbers, got {box!r}; correct it"
        )
    return [float(v) for v in box]


def _masks(annotations: Sequence[Mapping[str, Any]], size: tuple[int, int], names: list[str]) -> Masks | None:
    """Masks of all annotations, in order; None where none has a segmentation."""
    given = [a.get("segmentation") for a in annotations]
    if annotations and all(not s for s in given):
        return None
    encoded = [i for i, s in enumerate(given) if isinstance(s, Mapping)]
    drawn = [i for i, s in enumerate(given) if not isinstance(s, Mapping)]
    for i in drawn:
        if not isinstance(given[i], list | tuple) or not given[i]:
            raise InputError(
                f"{names[i]}: expected a segmentation as the others have, got none; add or drop it"
            )
    parts = Masks.concatenate(
        [
            Masks.from_rle([given[i] for i in encoded], size, [names[i] for i in encoded]),
            Masks.from_polygons([given[i] or () for i in drawn], size, [names[i] for i in drawn]),
        ]
    )
    return parts if not encoded or not drawn else parts[np.argsort(encoded + drawn)]
