"""What metrics of ranked detections at IoU 0.5 have in common: COCO's matches of each image."""

from __future__ import annotations

from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .overlap_table import Kind
from .per_image import PerImage
from .ranked_matches import RankedMatches
from .ranked_pool import RankedPool

MATCH = 0.5


class RankedMetric(PerImage[RankedMatches]):
    """Keeps the matches of each image; a metric says what it makes of all of them.

    Args:
        kind: ``"mask"`` or ``"box"``: what overlaps are taken of.
        classes: the classes that are scored.
        max_det: at most so many detections of a class in an image, best first; default all.
    """

    def __init__(self, kind: Kind, classes: Labels, max_det: int | None = None) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.classes, self.max_det = classes, max_det

    def settings(self) -> tuple[object, ...]:
        """What two shards must have in common."""
        return self.kind, self.classes, self.max_det

    def of_image(self, pred: Instances, truth: Instances) -> RankedMatches:
        """The matches at IoU 0.5."""
        return RankedMatches.of(pred, truth, self.kind, max_det=self.max_det, thresholds=(MATCH,))

    @property
    def pool(self) -> RankedPool:
        """The detections of all images so far, highest score first."""
        return RankedPool.of(self.records, len(self.classes))
