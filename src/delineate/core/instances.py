"""The one type for truth and for prediction: the N objects of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .labels import Labels
from .masks import Masks

if TYPE_CHECKING:
    import pandas as pd
    import supervision
    import torch
    from PIL import Image

    from .polygons import Polygon

PER_OBJECT = ("boxes", "labels", "scores", "masks", "ids", "crowd", "areas")


@dataclass(frozen=True, eq=False)
class Instances:
    """N objects of one image, in the pixels of the original image. NumPy, frozen, checked at birth.

    Attributes:
        size: (height, width) of the image in pixels.
        boxes: (N, 4) float32, xyxy, absolute pixels, corner coordinates (x2 - x1 is the width).
            Default: the masks' tight boxes.
        labels: (N,) int64 class indices 0..K-1. Default zeros.
        scores: (N,) float32 confidence in 0..1. Default ones (truth).
        masks: N masks of this image, or None where only boxes are known.
        ids: (N,) int64 track or object ids, or None.
        crowd: (N,) bool, regions that stand for a group (COCO ``iscrowd``). Default all False.
        areas: (N,) float64, areas in pixels as annotated (COCO's ``area``, which decides the size
            class there), or None: the masks' own areas.
        classes: the class names; default ``class 0`` .. as many as the labels need.

    Raises:
        InputError: fields of different length, boxes not finite or reversed, labels outside the classes,
            scores outside 0..1, masks of another image size.

    Example:
        >>> import numpy as np
        >>> r = Instances((4, 6), masks=Masks.from_label_image(np.array([[1, 1, 0, 0, 2, 2]] * 4)))
        >>> len(r), r.boxes.tolist(), r[r.boxes[:, 0] > 1].masks.area.tolist()
        (2, [[0.0, 0.0, 2.0, 4.0], [4.0, 0.0, 6.0, 4.0]], [8])
    """

    size: tuple[int, int]
    boxes: NDArray[np.float32] = None  # type: ignore[assignment]
    labels: NDArray[np.int64] = None  # type: ignore[assignment]
    scores: NDArray[np.float32] = None  # type: ignore[assignment]
    masks: Masks | None = None
    ids: NDArray[np.int64] | None = None
    crowd: NDArray[np.bool_] = None  # type: ignore[assignment]
    areas: NDArray[np.float64] | None = None
    classes: Labels = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("size", (int(self.size[0]), int(self.size[1])))
        if self.boxes is None:
            put("boxes", self.masks.boxes if self.masks is not None else np.zeros((0, 4)))
        put("boxes", np.asarray(self.boxes, dtype=np.float32).reshape(-1, 4))
        count = len(self.boxes)
        put("labels", _column(self.labels, count, np.int64, 0))
        put("scores", _column(self.scores, count, np.float32, 1))
        put("crowd", _column(self.crowd, count, np.bool_, False))
        if self.ids is not None:
            put("ids", _column(self.ids, count, np.int64, 0))
        if self.areas is not None:
            put("areas", _column(self.areas, count, np.float64, 0))
        if self.classes is None:
            top = int(self.labels.max()) + 1 if len(self.labels) else 1
            put("classes", Labels(tuple(f"class {i}" for i in range(top))))
        self._check(count)
        for name in PER_OBJECT:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = value.view()
                value.flags.writeable = False
                put(name, value)

    def _check(self, count: int) -> None:
        for name in PER_OBJECT:
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise InputError(
                    f"Instances: expected {count} {name} (one per box), got {len(value)}; "
                    "give every field the same length"
                )
        if self.masks is not None and self.masks.size != self.size:
            raise InputError(
                f"Instances: expected masks of the image's size {self.size} (height, width), "
                f"got {self.masks.size}; do not resize masks silently"
            )
        if not np.isfinite(self.boxes).all() or (self.boxes[:, 2:] < self.boxes[:, :2]).any():
            raise InputError(
                "Instances: expected finite boxes with x1 <= x2 and y1 <= y2, got others; use xyxy"
            )
        if count and (self.labels.min() < 0 or self.labels.max() >= len(self.classes)):
            raise InputError(
                f"Instances: expected labels in 0..{len(self.classes) - 1}, "
                f"got {self.labels.min()}..{self.labels.max()}; map them through Labels.index"
            )
        if count and not ((self.scores >= 0) & (self.scores <= 1)).all():
            raise InputError("Instances: expected scores in 0..1, got others; apply sigmoid or softmax first")

    # -- as one record -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int | slice | ArrayLike) -> Instances:
        """Chosen objects, all fields together; ``index`` is an int, slice, boolean mask or index array."""
        keep = np.arange(len(self))[index]  # type: ignore[index]
        keep = np.atleast_1d(keep)
        picked: dict[str, Any] = {}
        for name in PER_OBJECT:
            value = getattr(self, name)
            picked[name] = None if value is None else value[keep]
        return Instances(self.size, classes=self.classes, **picked)

    def replace(self, **changes: Any) -> Instances:
        """A copy with some fields changed, checked anew."""
        current = {f.name: getattr(self, f.name) for f in fields(self)}
        return Instances(**{**current, **changes})

    @classmethod
    def empty(cls, size: tuple[int, int], classes: Labels | None = None) -> Instances:
        """No objects on an image of ``size`` (height, width)."""
        return cls(size, masks=Masks.empty(size), classes=classes)  # type: ignore[arg-type]

    @classmethod
    def concatenate(cls, parts: Sequence[Instances]) -> Instances:
        """All objects of several results on the same image, in order.

        Raises:
            InputError: no parts, or parts of different image sizes or classes.
        """
        if not parts:
            raise InputError(
                "Instances.concatenate: expected at least one part, got none; use Instances.empty"
            )
        first = parts[0]
        if any(p.size != first.size or p.classes != first.classes for p in parts):
            raise InputError(
                "Instances.concatenate: expected parts of one image and one set of classes, got several"
            )
        joined: dict[str, Any] = {}
        for name in PER_OBJECT:
            values = [getattr(p, name) for p in parts]
            if any(v is None for v in values):
                joined[name] = None
            elif name == "masks":
                joined[name] = Masks.concatenate(values)
            else:
                joined[name] = np.concatenate(values)
        return cls(first.size, classes=first.classes, **joined)

    @property
    def area(self) -> NDArray[np.float64]:
        """(N,) areas in pixels: as annotated, else of the masks, else of the boxes."""
        if self.areas is not None:
            return self.areas
        if self.masks is not None:
            return self.masks.area.astype(np.float64)
        return np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1).astype(np.float64)

    @property
    def names(self) -> list[str]:
        """N class names."""
        return [self.classes.name(int(i)) for i in self.labels]

    # -- to other forms --------------------------------------------------------------------------------

    def _masks(self, purpose: str) -> Masks:
        if self.masks is None:
            raise InputError(f"{purpose}: expected masks, got boxes only; use a model that predicts masks")
        return self.masks

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """N COCO annotations/results: ``image_id, category_id, bbox (xywh), segmentation (RLE), score, …``.

        Category ids are the dataset's own (``classes.ids``). ``json.dumps`` accepts the result as it is.
        """
        from .convert.coco import to_coco

        return to_coco(self, image_id=image_id, first_id=first_id)

    def to_label_image(self) -> NDArray[np.int32]:
        """(H, W) int32: 0 background, i + 1 for object i; where masks overlap the higher score is on top."""
        return self._masks("to_label_image").to_label_image(order=np.argsort(self.scores, kind="stable"))

    def to_polygons(self, tolerance: float = 0.0) -> list[list[Polygon]]:
        """Per object its parts, each an exterior ring with holes; see :meth:`Masks.to_polygons`."""
        return self._masks("to_polygons").to_polygons(tolerance)

    def to_table(
        self, image: ArrayLike | None = None, pixel_size: float | None = None, unit: str = "µm"
    ) -> pd.DataFrame:
        """One row per object: class, score, box, area, shape, intensity; see ``delineate.measurements``."""
        from delineate.measurements.table import table

        return table(self, image=image, pixel_size=pixel_size, unit=unit)

    def plot(self, image: ArrayLike | None = None) -> Image.Image:
        """The outlines, washes and labels drawn on ``image`` (or on black), as a PIL image."""
        from delineate.apply.draw import overlay

        return overlay(self, image)

    def to_supervision(self) -> supervision.Detections:
        """The same for supervision, with dense masks.

        Raises:
            MissingDependencyError: supervision is not installed.
        """
        from .convert.supervision import to_supervision

        return to_supervision(self)

    @classmethod
    def from_supervision(
        cls, detections: supervision.Detections, size: tuple[int, int], classes: Labels | None = None
    ) -> Instances:
        """The inverse of :meth:`to_supervision`; ``size`` is the image's (height, width)."""
        from .convert.supervision import from_supervision

        return from_supervision(detections, size, classes)

    def to_torchvision(self) -> dict[str, torch.Tensor]:
        """A torchvision detection dict: boxes, labels (from 1), scores, masks (N, H, W) uint8 tensors."""
        from .convert.torchvision import to_torchvision

        return to_torchvision(self)

    @classmethod
    def from_torchvision(
        cls,
        target: Mapping[str, torch.Tensor | NDArray[Any]],
        size: tuple[int, int] | None = None,
        classes: Labels | None = None,
    ) -> Instances:
        """The inverse of :meth:`to_torchvision`; soft masks (N, 1, H, W) are cut at 0.5."""
        from .convert.torchvision import from_torchvision

        return from_torchvision(dict(target), size, classes)

    def __repr__(self) -> str:
        from collections import Counter

        counts = ", ".join(f"{n} {name}" for name, n in Counter(self.names).most_common(5))
        return f"Instances({len(self)} on {self.size[0]} x {self.size[1]}: {counts or 'none'})"

    def _repr_html_(self) -> str:
        from delineate.apply.draw import html

        return html(self)


def _column(values: Any, count: int, dtype: Any, default: Any) -> NDArray[Any]:
    if values is None:
        return np.full(count, default, dtype=dtype)
    return np.asarray(values, dtype=dtype).reshape(-1)
