"""The metrics of one group of images, while they are fed and when they are done."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from delineate.metrics.metric import Metric, MetricReport

from .metric_registry import PARTS, Part


class MetricGroup:
    """Fresh metrics of one group of images, by the name of their part.

    Args:
        parts: what to compute.
        given: the settings of the evaluation that metrics may want.
    """

    def __init__(self, parts: Collection[Part], given: Mapping[str, Any]) -> None:
        self.metrics: dict[str, Metric[Any]] = {part.name: part.make(given) for part in parts}

    def __getitem__(self, part: str) -> Metric[Any]:
        return self.metrics[part]

    def merge(self, other: MetricGroup) -> None:
        """Take over the images of another group."""
        for name, metric in self.metrics.items():
            metric.merge(other.metrics[name])

    def compute(self, kept: Collection[str]) -> Scores:
        """The reports of the parts ``kept``; the others could not be computed."""
        return Scores({name: metric.compute() for name, metric in self.metrics.items() if name in kept})


@dataclass(frozen=True, eq=False)
class Scores:
    """The reports of one set of images, by part: ``scores["mask"]``, or ``scores.mask``, None where absent.

    Attributes:
        reports: by the name of the part; those not asked for, or not possible with boxes only, are absent.
    """

    reports: Mapping[str, MetricReport] = field(default_factory=dict)

    def __getitem__(self, part: str) -> MetricReport:
        return self.reports[part]

    def __contains__(self, part: object) -> bool:
        return part in self.reports

    def __iter__(self) -> Iterator[str]:
        return iter(self.reports)

    def __getattr__(self, part: str) -> Any:
        if part.startswith("_") or part not in PARTS:
            raise AttributeError(f"{type(self).__name__} has no {part!r}; it has {', '.join(PARTS)}")
        return self.reports.get(part)

    def flat(self) -> dict[str, float]:
        """Every number by a short name: ``mask/AP50``, ``cells/AP``, ``cells/F1_50``, ``count/bias``,
        ``crowd/merged_pairs``, ``panoptic/PQ``, ``panoptic/PQ_things``, ``semantic/mIoU``, ..

        ``cells/AP`` is the accuracy averaged over the thresholds, ``cells/AP50`` that at IoU 0.5, pooled over
        the images; ``cells/AP_by_image`` and ``cells/AP50_by_image`` are averaged over the images.
        """
        return {
            f"{PARTS[name].prefix or name}/{key.replace(' ', '_')}": value
            for name, report in self.reports.items()
            for key, value in report.scores.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers as plain values, ready for JSON."""
        return {name: report.to_dict() for name, report in self.reports.items()}
