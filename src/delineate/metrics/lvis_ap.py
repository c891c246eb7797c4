"""LVIS federated average precision: only classes that were looked for in an image are judged there.

Gupta, Dollár and Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019,
section 3, as the package lvis 0.5.3 computes it; matching and accumulation are hotcoco's, which equal it bit
by bit once what that package drops on reading is dropped: truth and detections without area.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import hotcoco
import numpy as np

from delineate.core import rle
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.runs import segment_sums

from .average_precision import AveragePrecision, Kind
from .federation import Federation
from .lvis_report import LvisReport

MAX_DET = 300
AREAS = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]]


class LvisAveragePrecision:
    """LVIS AP over many images.

    A detection of a class that is neither among the image's objects nor among those known to be absent is
    left out; one of a class that was not labelled exhaustively is never a false positive. The limit on
    detections is on an image, over all classes.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the K classes that are scored, with the dataset's own ids.
        federation: which classes were looked for in which image.
        max_det: the highest scores of an image that count; 300 in the benchmark.
        detection_area: ``"mask"`` or ``"box"``: what area puts a detected mask into a size class. The lvis
            package takes the box's where the results carry a ``bbox`` field.

    Raises:
        InputError: a setting outside these, or a class without a frequency.

    Example:
        >>> truth = Instances((8, 8), boxes=[[0, 0, 4, 4], [4, 4, 8, 8]])
        >>> metric = LvisAveragePrecision("box", truth.classes, Federation({1: "r"}, {}, {1: (1,)}))
        >>> metric.update(truth[:1].replace(scores=[0.9]), truth)
        >>> round(metric.compute().scores["APr"], 4)
        0.505
    """

    def __init__(
        self,
        kind: Kind,
        classes: Labels,
        federation: Federation,
        *,
        max_det: int = MAX_DET,
        detection_area: Kind = "mask",
    ) -> None:
        if max_det < 1:
            raise InputError(f"LvisAveragePrecision: expected max_det from 1 up, got {max_det}; give 300")
        missing = [i for i in classes.ids if i not in federation.frequency]
        if missing:
            raise InputError(
                f"LvisAveragePrecision: expected a frequency for each class, got none for class id "
                f"{missing[0]}; give the federation of the same dataset"
            )
        # writes objects as records, and checks what is given
        self._records = AveragePrecision(kind, classes, detection_area=detection_area)
        self.kind, self.detection_area = self._records.kind, self._records.detection_area
        self.classes, self.federation, self.max_det = classes, federation, int(max_det)
        self._matches = self._fresh()
        self._images: dict[int, int] = {}  # its detections beyond the limit

    def _fresh(self) -> Any:
        coco_kind = "segm" if self.kind == "mask" else "bbox"
        params = hotcoco.Params(coco_kind)
        params.max_dets, params.area_rng = [self.max_det], AREAS
        categories = [
            {"id": i, "name": name, "frequency": self.federation.frequency[i]}
            for i, name in zip(self.classes.ids, self.classes.names, strict=True)
        ]
        return hotcoco.StreamingEval(categories, iou_type=coco_kind, lvis_style=True, params=params)

    def update(self, pred: Instances, truth: Instances, image_id: int | None = None) -> None:
        """Add one image.

        Args:
            pred: all detections with scores; with masks where ``kind="mask"``.
            truth: the true objects; ``areas`` decide their size classes.
            image_id: its number in the dataset, by which the federation knows it; default: the next free one.

        Raises:
            InputError: masks missing, sizes or classes differ, crowd regions in the truth (LVIS has none), or
                an image id that is negative or was given before.
        """
        image_id = max(self._images, default=0) + 1 if image_id is None else int(image_id)
        for what, given in (("prediction", pred), ("truth", truth)):
            if self.kind == "mask" and given.masks is None and len(given):
                raise InputError(
                    f"LvisAveragePrecision: expected masks in the {what}, got boxes only; use kind='box'"
                )
            if len(given) and int(given.labels.max()) >= len(self.classes):
                raise InputError(
                    f"LvisAveragePrecision: expected labels in 0..{len(self.classes) - 1} in the {what}, "
                    f"got {int(given.labels.max())}; map its classes to the dataset's"
                )
        if pred.size != truth.size:
            raise InputError(
                f"LvisAveragePrecision: expected a prediction of the image's size {truth.size} "
                f"(height, width), got {pred.size}; predict on the original image"
            )
        height, width = truth.size
        self.update_coco(
            [{"id": image_id, "height": height, "width": width}],
            self.to_coco(truth, image_id, scored=False),
            self.to_coco(pred, image_id, scored=True),
        )

    def to_coco(self, instances: Instances, image_id: int, *, scored: bool) -> list[dict[str, Any]]:
        """One image's objects as the records that :meth:`update_coco` takes."""
        return self._records.to_coco(instances, image_id, scored=scored)

    def update_coco(
        self,
        images: Sequence[Mapping[str, Any]],
        truth: Iterable[Mapping[str, Any]],
        results: Iterable[Mapping[str, Any]],
    ) -> None:
        """Add images as COCO records in full float64 precision, already validated.

        Args, Raises: as :meth:`AveragePrecision.update_coco`; and crowd regions are refused.
        """
        ids = [int(image["id"]) for image in images]
        seen = self._images.keys() & set(ids)
        if seen or len(set(ids)) < len(ids) or min(ids, default=0) < 0:
            raise InputError(
                f"LvisAveragePrecision: expected every image once, with an id from 0 up, got "
                f"{sorted(seen or ids)[:3]}; give update() the dataset's own image_id"
            )
        objects = list(truth)
        if any(a.get("iscrowd", 0) for a in objects):
            raise InputError(
                "LvisAveragePrecision: expected no crowd regions, got some; LVIS has none, "
                "use AveragePrecision"
            )
        known = self.federation
        kept, beyond = self._limited(results)
        self._matches.update(
            [
                {
                    **image,
                    "neg_category_ids": list(known.absent.get(i, ())),
                    "not_exhaustive_category_ids": list(known.incomplete.get(i, ())),
                }
                for i, image in zip(ids, images, strict=True)
            ],
            [{**a, "iscrowd": 0, "id": k} for k, a in enumerate(objects, start=1) if a["area"] > 0],
            kept,
        )
        self._images.update({i: beyond.get(i, 0) for i in ids})

    def _limited(self, results: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[int, int]]:
        """The results that count, and how many each image has beyond the limit."""
        by_image: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for record in results:
            by_image[int(record["image_id"])].append(record)
        fields = ["image_id", "category_id", "score"] + (["segmentation"] if self.kind == "mask" else [])
        fields += ["bbox"] if self.detection_area == "box" else []
        kept: list[dict[str, Any]] = []
        beyond: dict[int, int] = {}
        for image, records in by_image.items():
            if len(records) > self.max_det:
                beyond[image] = len(records) - self.max_det
                records = sorted(records, key=lambda r: -r["score"])[: self.max_det]
            there = self._have_area(records)
            kept += [
                {name: r[name] for name in fields} for r, able in zip(records, there, strict=True) if able
            ]
        return kept, beyond

    def _have_area(self, records: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Which detections of one image the lvis package keeps; it drops those without area."""
        if self.detection_area == "box":
            return [r["bbox"][2] * r["bbox"][3] > 0 for r in records]
        encoded = [k for k, r in enumerate(records) if isinstance(r["segmentation"], Mapping)]
        result = [True] * len(records)  # polygons, which enclose something
        if encoded:
            counts, offsets, _ = rle.read([records[k]["segmentation"] for k in encoded])
            local = np.arange(len(counts)) - np.repeat(offsets[:-1], np.diff(offsets))
            for k, area in zip(encoded, segment_sums(counts * (local % 2), offsets).tolist(), strict=True):
                result[k] = area > 0
        return result

    def merge(self, other: LvisAveragePrecision) -> None:
        """Take over the images of another shard; the result is the same however images were shared out.

        Raises:
            InputError: other settings, or an image seen by both.
        """
        both = self._images.keys() & other._images.keys()
        mine, theirs = (
            (m.kind, m.classes, m.max_det, m.detection_area, m.federation.frequency) for m in (self, other)
        )
        if both or mine != theirs:
            what = f"image {min(both)} in both" if both else f"{theirs[0]}, max_det={theirs[2]}, {theirs[3]}"
            raise InputError(
                f"LvisAveragePrecision.merge: expected other images and the same settings, got {what}; "
                "give update() the dataset's own image_id"
            )
        self._matches = hotcoco.StreamingEval.merge([self._matches, other._matches])
        self._images |= other._images

    def compute(self) -> LvisReport:
        """AP and AR of all images so far; may be called again after more updates."""
        done = hotcoco.StreamingEval.from_bytes(self._matches.to_bytes()).finalize()
        done.accumulate()
        arrays: dict[str, Any] = done.eval or {}
        order = np.argsort(self.classes.ids, kind="stable").tolist()  # by class id, as the lvis package
        return LvisReport.of(
            np.asarray(arrays["precision"])[..., -1],
            np.asarray(arrays["recall"])[..., -1],
            kind=self.kind,
            names=[self.classes.name(k) for k in order],
            frequencies=[self.federation.frequency[self.classes.id(k)] for k in order],
            max_det=self.max_det,
            detection_area=self.detection_area,
            beyond=[n for n in self._images.values() if n],
            images=len(self._images),
        )


def lvis_of_dataset(kind: Kind, classes: Labels, dataset: Any) -> LvisAveragePrecision:
    """LVIS AP for a dataset read from a JSON file of LVIS annotations, of which the federation is read.

    Args:
        kind: ``"mask"`` or ``"box"``.
        classes: the dataset's.
        dataset: the dataset, or its path.

    Raises:
        InputError: the dataset's file is not LVIS.
    """
    return LvisAveragePrecision(kind, classes, Federation.of(dataset))
