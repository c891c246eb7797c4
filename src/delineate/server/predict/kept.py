"""A result as the store keeps it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from .formats import Context


def packed(found: Instances, context: Context) -> bytes:
    """Objects as they are kept."""
    kept: dict[str, Any] = {
        "size": found.size,
        "classes": found.classes.to_dict(),
        "boxes": found.boxes.tolist(),
        "labels": found.labels.tolist(),
        "scores": found.scores.tolist(),
        "masks": None if found.masks is None else [rle["counts"] for rle in found.masks.to_rle()],
        "model": context.model,
        "version": context.version,
        "pixel_size": context.pixel_size,
        "notes": context.notes,
    }
    return msgspec.json.encode(kept)


def unpacked(data: bytes, tolerance: float = 0.0) -> tuple[Instances, Context]:
    """The inverse of :func:`packed`."""
    kept = msgspec.json.decode(data)
    size = (int(kept["size"][0]), int(kept["size"][1]))
    masks = None
    if kept["masks"] is not None:
        masks = Masks.from_rle([{"size": list(size), "counts": counts} for counts in kept["masks"]], size)
    found = Instances(
        size,
        boxes=np.array(kept["boxes"], np.float32).reshape(-1, 4),
        labels=np.array(kept["labels"], np.int64),
        scores=np.array(kept["scores"], np.float32),
        masks=masks,
        classes=Labels.from_dict(kept["classes"]),
    )
    context = Context(kept["model"], kept["version"], kept["pixel_size"], tuple(kept["notes"]), tolerance)
    return found, context
