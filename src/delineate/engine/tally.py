"""What came out of some of an evaluation's images, and how such parts are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .remarks import Remarks
from .scores import MetricGroup


@dataclass(frozen=True)
class Tally:
    """Of some images of an evaluation; it can be pickled.

    Attributes:
        groups: the metrics by name of group.
        failed: name and reason of images that could not be scored.
        remarks: what a reader must know.
        left: names of the parts that compare objects and were not given up for want of masks.
        foreign: detections, and segments, of classes that the data does not have.
    """

    groups: dict[str, MetricGroup]
    failed: list[tuple[str, str]]
    remarks: Remarks
    left: set[str]
    foreign: tuple[int, int]

    @staticmethod
    def join(tallies: Sequence[Tally], fresh: Callable[[], MetricGroup]) -> Tally:
        """One tally of all, as if one process had seen their images one after the other.

        Args:
            tallies: one at least, in the order of their images; they stay as they are.
            fresh: makes empty metrics.
        """
        groups: dict[str, MetricGroup] = {}
        remarks = Remarks()
        for tally in tallies:
            remarks.merge(tally.remarks)
            for name, metrics in tally.groups.items():
                groups.setdefault(name, fresh()).merge(metrics)
        return Tally(
            groups,
            [row for tally in tallies for row in tally.failed],
            remarks,
            set.intersection(*(tally.left for tally in tallies)),
            (sum(t.foreign[0] for t in tallies), sum(t.foreign[1] for t in tallies)),
        )
