"""Every metric by name: who computes it, what it needs to see, what it is.

Looking a name up imports no metric: a factory is written ``"module:name"`` below ``delineate.metrics`` and
found when it is called. A new metric is its file and one entry here; `--metrics`, `--help`, the text, JSON,
CSV and HTML reports follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from delineate.metrics.metric import Metric

Needs = Literal["boxes", "masks", "panoptic", "semantic"]
Takes = Literal["all", "confident"]
TruthAs = Literal["objects", "segments"]


@dataclass(frozen=True)
class Part:
    """One metric. A name of the registry stands for one or several of them.

    Attributes:
        name: what the report calls it: its key in JSON's ``details`` and in ``report.total``.
        factory: ``"module:name"`` below ``delineate.metrics``; called with ``settings`` and
            what it ``wants``.
        settings: given to the factory as they are.
        wants: the settings of the evaluation to give it too, by keyword: some of ``classes`` (the dataset's
            :class:`Labels`), ``max_dets`` (ascending limits), ``confidence`` (of the operating point),
            ``detection_area`` (``"mask"`` or ``"box"``) and ``dataset`` (as given to ``evaluate``).
        needs: what its ``update`` compares: objects with boxes at least, objects with masks, things and
            stuff, or the class of every pixel.
        takes: all detections, as for a ranking by score, or those from the operating point's confidence on.
        instead_of: a part of masks that this one of boxes stands in for; reported only where that one is not.
        prefix: what stands before its scores' names, ``prefix/AP``; default: its name.
        truth: what its ``update`` takes as the truth: the objects, or all segments where the data has them,
            by which it is known what is void.
    """

    name: str
    factory: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    wants: tuple[str, ...] = ()
    needs: Needs = "masks"
    takes: Takes = "confident"
    instead_of: str = ""
    prefix: str = ""
    truth: TruthAs = "objects"

    def make(self, given: Mapping[str, Any]) -> Metric[Any]:
        """A fresh metric; ``given`` are the settings of the evaluation."""
        module, name = self.factory.split(":")
        factory = getattr(import_module(f"delineate.metrics.{module}"), name)
        made: Metric[Any] = factory(**self.settings, **{key: given[key] for key in self.wants})
        return made


@dataclass(frozen=True)
class Entry:
    """One name of the registry.

    Attributes:
        summary: one line for people.
        parts: the metrics behind the name.
    """

    summary: str
    parts: tuple[Part, ...]


def _one(name: str, factory: str, summary: str, **settings: Any) -> Entry:
    """An entry with one part of the same name."""
    return Entry(summary, (Part(name, factory, **settings),))


_RANKED: dict[str, Any] = {"wants": ("classes", "max_dets"), "takes": "all"}


def _both(name: str, factory: str, summary: str, **settings: Any) -> Entry:
    """An entry by masks and by boxes, ``mask_name`` and ``box_name``; its factory takes ``kind``."""
    given = _RANKED | settings
    mask = Part(f"mask_{name}", factory, settings={"kind": "mask"}, needs="masks", **given)
    box = Part(f"box_{name}", factory, settings={"kind": "box"}, needs="boxes", **given)
    return Entry(summary, (mask, box))


def _either(name: str, factory: str, summary: str, **settings: Any) -> Entry:
    """An entry by masks, ``name``, or by boxes, ``box_name``, where one side has boxes only."""
    mask, box = _both(name, factory, summary, **settings).parts
    return Entry(summary, (replace(mask, name=name), replace(box, instead_of=name)))


_COCO = {
    "factory": "average_precision:AveragePrecision",
    "wants": ("classes", "max_dets", "detection_area"),
    "takes": "all",
}

_VOC: dict[str, Any] = {"factory": "voc_ap:VocAveragePrecision", "wants": ("classes",), "takes": "all"}

METRICS: dict[str, Entry] = {
    "coco": Entry(
        "COCO's AP and AR of boxes and masks",
        (
            Part("mask", settings={"kind": "mask"}, needs="masks", **_COCO),  # type: ignore[arg-type]
            Part("box", settings={"kind": "box"}, needs="boxes", **_COCO),  # type: ignore[arg-type]
        ),
    ),
    "cells": Entry(
        "AP as in cell papers, counting error",
        (
            Part("cells", "cell_matching:CellMatching"),
            Part("counting", "counting:CountingError", prefix="count"),
        ),
    ),
    "crowd": _one("crowd", "crowd:CrowdErrors", "objects merged, split, missed"),
    "size": _one("size", "size_error:SizeError", "how far areas are off"),
    "errors": _both(
        "errors", "error_kinds:ErrorKinds", "kinds of errors as TIDE has them, and what each costs"
    ),
    "confusion": _either(
        "confusion",
        "confusion:Confusion",
        "which class is taken for which",
        wants=("classes",),
        takes="confident",
    ),
    "thresholds": _either(
        "thresholds",
        "thresholds:Thresholds",
        "precision and recall at each confidence, the best F1 by class",
        wants=("classes",),
    ),
    "calibration": _either(
        "calibration",
        "calibration:Calibration",
        "whether the confidence is the chance to be right",
        wants=("classes",),
    ),
    "intervals": _one(
        "intervals",
        "intervals:Intervals",
        "95 % intervals of the scores, by drawing images anew",
        wants=("classes", "max_dets", "confidence"),
        needs="boxes",
        takes="all",
    ),
    "label_errors": _either(
        "label_errors", "label_errors:LabelErrors", "places where the truth may be wrong", wants=("classes",)
    ),
    "aji": _one(
        "aji",
        "aji:AggregatedJaccard",
        "AJI, AJI+ and PQ as cell papers have them",
        wants=("classes",),
        prefix="cells",
    ),
    "voc": Entry(
        "PASCAL VOC AP by 2010's rules and 2007's",
        (
            Part("voc_mask", settings={"kind": "mask", "thresholds": (0.5, 0.7)}, **_VOC),
            Part("voc", settings={"kind": "box"}, needs="boxes", **_VOC),
        ),
    ),
    "lvis": _either(
        "lvis",
        "lvis_ap:lvis_of_dataset",
        "LVIS AP of rare, common and frequent classes",
        wants=("classes", "dataset"),
    ),
    "spacenet": _one(
        "spacenet", "spacenet:SpaceNet", "SpaceNet's F1 of building footprints at IoU 0.5", takes="all"
    ),
    "boundary": _one(
        "boundary", "boundary_ap:BoundaryAveragePrecision", "AP that judges how well outlines fit", **_RANKED
    ),
    "cityscapes": _one(
        "cityscapes",
        "cityscapes_ap:CityscapesAveragePrecision",
        "Cityscapes' instance AP",
        wants=("classes",),
        takes="all",
        truth="segments",
    ),
    "panoptic": _one("panoptic", "panoptic_quality:PanopticQuality", "PQ, SQ, RQ", needs="panoptic"),
    "semantic": _one("semantic", "mean_iou:MeanIoU", "mean IoU of the pixels' classes", needs="semantic"),
}
"""A line per metric, in the order of the report."""

PARTS: dict[str, Part] = {part.name: part for entry in METRICS.values() for part in entry.parts}
DEFAULT = ("coco", "cells")
"""Those computed unasked."""
FULL = (*DEFAULT, "crowd", "errors", "confusion", "thresholds", "calibration", "intervals", "label_errors")
"""Those of a page that shows what a single number hides."""


def chosen_parts(names: Iterable[str]) -> tuple[Part, ...]:
    """The parts behind ``names``, in the order of the registry.

    Raises:
        InputError: a name that is none of :data:`METRICS`, or no name at all.
    """
    asked = [] if isinstance(names, str) else list(names)
    if not asked or not set(asked) <= set(METRICS):
        # Here, because core's door opens numpy and OpenCV, and `--help` waits for neither.
        from delineate.core.errors import InputError

        raise InputError(
            f"evaluate, metrics: expected some of {list(METRICS)}, got {names!r}; choose from these"
        )
    return tuple(part for name, entry in METRICS.items() if name in asked for part in entry.parts)


def title_of(part: str) -> str:
    """What a report calls a part: its entry's summary, and of what where an entry has masks and boxes."""
    entry = METRICS[metric_of(part)]
    several = len({p.needs for p in entry.parts if not p.instead_of}) > 1
    return f"{entry.summary}, {PARTS[part].needs}" if several else entry.summary


def metric_of(part: str) -> str:
    """The name of the registry that a part belongs to."""
    return next(name for name, entry in METRICS.items() if any(p.name == part for p in entry.parts))


def help_text() -> str:
    """One line on all names, for `--help`."""
    return "; ".join(f"{name}: {entry.summary}" for name, entry in METRICS.items()) + "."
