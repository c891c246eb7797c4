"""What VOC average precision reports: the mean over classes by both rules, each class, the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class VocReport:
    """VOC's numbers, 0..1; NaN where there is no truth.

    Attributes:
        kind: ``"box"`` or ``"mask"``.
        scores: per IoU threshold ``AP50`` (all points, VOC 2010 and later) and ``AP50_2007`` (11 points), the
            mean over the classes with truth.
        per_class: class name -> the same, and ``truths, difficult, detections``.
        images: number of images.
        thresholds, rules, pixels: the settings, see :class:`VocAveragePrecision`.
    """

    kind: str
    scores: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    thresholds: tuple[float, ...]
    rules: str
    pixels: str

    @classmethod
    def of(
        cls,
        ap: Floats,
        *,
        kind: str,
        names: Sequence[str],
        thresholds: tuple[float, ...],
        rules: str,
        pixels: str,
        images: int,
        counts: tuple[Ints, Ints, Ints],
    ) -> VocReport:
        """From AP (2, T, K) over all points and 11 points at T thresholds, and counts of each class, (K,)."""
        keys = [f"AP{100 * t:.6g}{year}" for t in thresholds for year in ("", "_2007")]
        rows = ap.transpose(1, 0, 2).reshape(len(keys), len(names))
        defined = [row[~np.isnan(row)] for row in rows]
        scores = {
            k: float(np.mean(row)) if len(row) else float("nan") for k, row in zip(keys, defined, strict=True)
        }
        per_class: dict[str, dict[str, float]] = {}
        for k, name in enumerate(names):
            truths, difficult, detections = (int(c[k]) for c in counts)
            per_class[name if name not in per_class else f"{name} ({k + 1})"] = {
                **dict(zip(keys, rows[:, k].tolist(), strict=True)),
                "truths": truths,
                "difficult": difficult,
                "detections": detections,
            }
        return cls(kind, scores, per_class, images, thresholds, rules, pixels)

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    @property
    def protocol(self) -> dict[str, Any]:
        """The choices behind the numbers, JSON-able."""
        devkit = self.rules == "devkit"
        return {
            "definition": "PASCAL VOC AP: all points (2010 and later), 11 points (_2007)",
            "overlap": self.kind,
            "iou_thresholds": list(self.thresholds),
            "match": f"IoU {'>=' if devkit else '>'} threshold, with the true object overlapped most, once",
            "rules": "the MATLAB devkit's" if devkit else "those of its Python ports",
            "boxes": "x2 - x1 is the width"
            if self.pixels == "corners"
            else "pixel indices, width x2 - x1 + 1",
            "difficult": "crowd regions: neither to be found nor a false positive",
            "max_det": "none",
            "equal_scores": "in the order of image ids, then as given",
            "mean": "over the classes with truth",
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, None for undefined, ready for JSON."""

        def plain(row: dict[str, float]) -> dict[str, float | None]:
            return {name: None if value != value else value for name, value in row.items()}

        return {
            "kind": self.kind,
            "scores": plain(self.scores),
            "per_class": {name: plain(row) for name, row in self.per_class.items()},
            "images": self.images,
        }
