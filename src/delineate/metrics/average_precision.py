"""COCO average precision and recall for boxes and masks, streaming and mergeable.

The protocol is that of Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014) as pycocotools
2.0.11 computes it; matching and accumulation are hotcoco's, which equal it bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import hotcoco
import numpy as np

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .average_precision_report import AveragePrecisionReport, ClassTally

Kind = Literal["mask", "box"]
MAX_DETS = (1, 10, 100)


class AveragePrecision:
    """COCO AP and AR over many images.

    Matching runs in :meth:`update`, image by image; masks are not kept. An image without truth counts:
    its detections are false positives of their classes.

    Two choices differ from what pycocotools prints, and the report names both:

    - AP is taken at the largest of ``max_dets``. pycocotools takes AP (but not AP50) at 100 whatever
      ``maxDets`` says, and gives -1 where 100 is not among them.
    - The size class of a detected mask is that of its own area, and that of a box is the box's. pycocotools
      takes for both the area of the box where the results carry a ``bbox`` field, of the mask where they do
      not. ``detection_area="box"`` reproduces the former for masks; only AP by size differs.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the K classes that are scored; labels of predictions and truth index them.
        max_dets: ascending; at most so many detections of one class in one image are scored, highest
            scores first. What lies beyond the last is counted in the report, never dropped silently.
        detection_area: ``"mask"`` or ``"box"``: what area puts a detected mask into a size class.

    Raises:
        InputError: a setting outside these, or a negative class id.

    Example:
        >>> import numpy as np
        >>> truth = Instances((8, 8), boxes=[[0, 0, 4, 4], [4, 4, 8, 8]])
        >>> metric = AveragePrecision("box", truth.classes)
        >>> metric.update(truth[:1].replace(scores=[0.9]), truth)
        >>> round(metric.compute()["AP50"], 4)
        0.505
    """

    def __init__(
        self,
        kind: Kind,
        classes: Labels,
        *,
        max_dets: Sequence[int] = MAX_DETS,
        detection_area: Kind = "mask",
    ) -> None:
        if kind not in ("mask", "box") or detection_area not in ("mask", "box"):
            raise InputError(
                f"AveragePrecision: expected 'mask' or 'box', got {kind!r} and {detection_area!r}; "
                "keypoints are not scored here"
            )
        limits = [int(m) for m in max_dets]
        if not limits or limits[0] < 1 or any(a >= b for a, b in pairwise(limits)):
            raise InputError(
                f"AveragePrecision: expected max_dets ascending from 1 up, got {tuple(max_dets)}; "
                "give for example (1, 10, 100)"
            )
        if min(classes.ids, default=0) < 0:
            raise InputError(
                f"AveragePrecision: expected class ids from 0 up, got {min(classes.ids)}; renumber them"
            )
        self.kind: Kind = kind
        self.classes = classes
        self.max_dets = tuple(limits)
        self.detection_area: Kind = detection_area if kind == "mask" else "box"
        self._matches = self._fresh()
        self._whole: dict[str, Any] | None = None  # the accumulated arrays
        self._images: set[int] = set()
        self._tally = ClassTally.zeros(len(classes))

    def _fresh(self) -> Any:
        params = hotcoco.Params(self._coco_kind)
        params.max_dets = list(self.max_dets)
        categories = [
            {"id": i, "name": name} for i, name in zip(self.classes.ids, self.classes.names, strict=True)
        ]
        return hotcoco.StreamingEval(categories, iou_type=self._coco_kind, params=params)

    @property
    def _coco_kind(self) -> str:
        return "segm" if self.kind == "mask" else "bbox"

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: detections with scores; with masks where ``kind="mask"``.
            truth: the true objects; ``crowd`` ones are ignored as COCO does, ``areas`` decide size classes.
            image_id: its number in the dataset. It decides the order of equal scores (pycocotools goes by
                image id) and is needed to merge shards. Default: the next free one.

        Raises:
            InputError: masks missing, image sizes or classes differ, a negative image id or one given twice.
        """
        image_id = max(self._images, default=0) + 1 if image_id is None else int(image_id)
        self._check(pred, truth)
        height, width = truth.size
        self.update_coco(
            [{"id": image_id, "height": height, "width": width}],
            self.to_coco(truth, image_id, scored=False),
            self.to_coco(pred, image_id, scored=True),
        )

    def update_coco(
        self,
        images: Sequence[Mapping[str, Any]],
        truth: Iterable[Mapping[str, Any]],
        results: Iterable[Mapping[str, Any]],
    ) -> None:
        """Add images as COCO records in full float64 precision, already validated.

        Unvalidated run lengths must not come here: native code reads them.

        Args:
            images: records with ``id, height, width``; every image of the batch, with or without objects.
            truth: annotations with ``image_id, category_id, area`` and ``segmentation`` or ``bbox`` (xywh).
            results: the same with ``score``; ``category_id`` among ``classes.ids``.

        Raises:
            InputError: an image id that is negative or was given before.
        """
        self._check_open()
        ids = [int(image["id"]) for image in images]
        seen = self._images.intersection(ids)
        if seen or len(set(ids)) < len(ids) or min(ids, default=0) < 0:
            raise InputError(
                f"AveragePrecision: expected every image once, with an id from 0 up, got "
                f"{sorted(seen or ids)[:3]}; give update() the dataset's own image_id"
            )
        # Own ids from 1: an annotation with id 0 would count as unmatched in the COCO protocol's code.
        true = [{"iscrowd": 0, **a, "id": k} for k, a in enumerate(truth, start=1)]
        found = [self._as_result(r) for r in results]
        self._matches.update([dict(image) for image in images], true, found)
        self._images.update(ids)
        self._tally = self._tally + ClassTally.of(
            true, found, classes=self.classes, max_det=self.max_dets[-1]
        )

    def update_whole(self, truth: Any, found: Any, images: Iterable[int], tally: ClassTally) -> None:
        """Take a whole evaluation at once, already validated, as hotcoco reads it; nothing can be added then.

        The numbers are those of the same records given to :meth:`update_coco`, where ``found`` has the areas
        that ``detection_area`` says.

        Args:
            truth: a ``hotcoco.COCO`` with all true objects, ids from 1, and the categories of ``classes``.
            found: a ``hotcoco.COCO`` with the results for it.
            images: the ids of all images.
            tally: how many objects there are.

        Raises:
            InputError: there are images already.
        """
        self._check_open()
        if self._images:
            raise InputError(
                f"AveragePrecision: expected no images before a whole evaluation, got {len(self._images)}; "
                "use another metric"
            )
        run = hotcoco.COCOeval(truth, found, self._coco_kind)
        run.params.max_dets = list(self.max_dets)
        run.evaluate()
        run.accumulate()
        self._whole, self._images, self._tally = run.eval or {}, set(images), tally

    def to_coco(self, instances: Instances, image_id: int, *, scored: bool) -> list[dict[str, Any]]:
        """One image's objects as the records that :meth:`update_coco` takes.

        Args:
            instances: true or predicted objects.
            image_id: the image's number.
            scored: with scores (predictions), or with ``area`` and ``iscrowd`` (truth).
        """
        boxes = instances.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        ids = [self.classes.id(int(k)) for k in instances.labels]
        records: list[dict[str, Any]] = [{"image_id": image_id, "category_id": i} for i in ids]
        if self.kind == "mask" and instances.masks is not None:
            for record, segmentation in zip(records, instances.masks.to_rle(), strict=True):
                record["segmentation"] = segmentation
        if self.kind == "box" or (scored and self.detection_area == "box"):
            for record, box in zip(records, boxes.tolist(), strict=True):
                record["bbox"] = box
        if scored:
            for record, score in zip(records, instances.scores.tolist(), strict=True):
                record["score"] = score
            return records
        areas = np.asarray(instances.area, np.float64).tolist()
        for record, area, crowd in zip(records, areas, instances.crowd.tolist(), strict=True):
            record["area"] = area
            record["iscrowd"] = int(crowd)
        return records

    def merge(self, other: AveragePrecision) -> None:
        """Take over the images of another shard; the result is the same however images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images & other._images
        mine, theirs = self._settings(), other._settings()
        if both or mine != theirs:
            what = f"image {min(both)} in both" if both else f"{theirs}"
            raise InputError(
                f"AveragePrecision.merge: expected other images and the settings {mine}, got {what}; "
                "give update() the dataset's own image_id"
            )
        if other._whole is not None or self._whole is not None:
            if self._images and other._images:
                self._check_open()
                other._check_open()
            self._whole = self._whole if other._whole is None else other._whole
        else:
            self._matches = hotcoco.StreamingEval.merge([self._matches, other._matches])
        self._images |= other._images
        self._tally = self._tally + other._tally

    def compute(self) -> AveragePrecisionReport:
        """AP and AR of all images so far; may be called again after more updates."""
        arrays = self._arrays() if self._whole is None else self._whole
        order = np.argsort(self.classes.ids, kind="stable")  # hotcoco, as pycocotools, goes by class id
        return AveragePrecisionReport.of(
            np.asarray(arrays["precision"]),
            np.asarray(arrays["recall"]),
            kind=self.kind,
            names=tuple(self.classes.name(int(k)) for k in order),
            max_dets=self.max_dets,
            detection_area=self.detection_area,
            images=len(self._images),
            tally=self._tally.take(order),
        )

    def _arrays(self) -> dict[str, Any]:
        done = hotcoco.StreamingEval.from_bytes(self._matches.to_bytes()).finalize()
        done.accumulate()
        return done.eval or {}

    def _check_open(self) -> None:
        if self._whole is not None:
            raise InputError(
                "AveragePrecision: expected images before a whole evaluation was taken, got more after it; "
                "use another metric"
            )

    def _settings(self) -> tuple[str, Labels, tuple[int, ...], str]:
        return self.kind, self.classes, self.max_dets, self.detection_area

    def _check(self, pred: Instances, truth: Instances) -> None:
        if pred.size != truth.size:
            raise InputError(
                f"AveragePrecision: expected a prediction of the image's size {truth.size} (height, width), "
                f"got {pred.size}; predict on the original image"
            )
        for what, given in (("prediction", pred), ("truth", truth)):
            if self.kind == "mask" and given.masks is None and len(given):
                raise InputError(
                    f"AveragePrecision: expected masks in the {what}, got boxes only; use kind='box'"
                )
            if len(given) and int(given.labels.max()) >= len(self.classes):
                raise InputError(
                    f"AveragePrecision: expected labels in 0..{len(self.classes) - 1} in the {what}, "
                    f"got {int(given.labels.max())}; map its classes to the dataset's"
                )

    def _as_result(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Only the fields of this kind: a bbox beside a mask would decide the mask's size class."""
        fields = ["image_id", "category_id", "score"]
        fields += ["segmentation"] if self.kind == "mask" else ["bbox"]
        if self.kind == "mask" and self.detection_area == "box":
            fields.append("bbox")
        return {name: record[name] for name in fields}
