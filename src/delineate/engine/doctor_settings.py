"""Settings of a training that fit a dataset: model, crop, sizes, numbers of objects, by what it holds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np

from delineate.data.check import Checkup

CROWD = 15
"""From so many objects in the median image on, an image is crowded."""
SMALL = 12
"""An object should have about so many pixels a side in the network's frame."""
STOPS = ("invalid", "missing-image", "unreadable", "image-size", "rotated", "splits-differ")
"""Faults with which a training does not begin, or stops."""
YOLO_SIZE, YOLO_MOST, YOLO_DETECTIONS = 640, 1280, 300
RCNN_SHORT, RCNN_LONG, RCNN_ANCHORS = 800, 1333, (32, 64, 128, 256, 512)
COCO_DETECTIONS = 100


@dataclass(frozen=True)
class Suggestion:
    """What to train with.

    Attributes:
        model: a name of the zoo.
        settings: ``table.key`` and its value as TOML writes it.
        reasons: why, a sentence each.
        commands: lines to type.
        others: settings that other families would need, a sentence each.
    """

    model: str
    settings: dict[str, str]
    reasons: tuple[str, ...]
    commands: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class _Sizes:
    """Medians and extremes: image sides, object sides, objects of an image."""

    short: float
    long: float
    smallest_short: int
    quarter: float
    median: float
    large: float
    most: int
    typical: float


def suggest(checkup: Checkup) -> Suggestion | None:
    """Settings for a dataset; None where it has no object or no image of a known size."""
    sizes = _sizes(checkup)
    if sizes is None:
        return None
    if not checkup.masks:
        model, settings, reasons = "faster_rcnn", _rcnn(sizes), ["the objects have boxes alone"]
    elif len(checkup.classes) <= 2 and sizes.typical >= CROWD and sizes.median <= 96:
        model, settings, reasons = _dense(sizes)
    else:
        model, settings, reasons = _general(sizes)
    commands, data = [], checkup.source
    if any(checkup.of(kind) for kind in STOPS):
        reasons.append(
            "training refuses entries and images that cannot be read; a mended copy leaves them out"
        )
        commands.append(shlex.join(["delineate", "doctor", data, "--fix", _beside(data, "mended")]))
        data = _beside(data, "mended")
    if checkup.of("no-split") or "train" not in checkup.splits:
        reasons.append("training needs splits")
        commands.append(shlex.join(["delineate", "split", data, "--out", _beside(data, "split")]))
        data = _beside(data, "split")
    line = ["delineate", "train", "--data", data, "--model", model]
    for key, value in settings.items():
        line += ["--set", f"{key}={value}"]
    commands.append(shlex.join(line))
    if sizes.most > COCO_DETECTIONS:
        reasons.append(
            f"an image holds up to {sizes.most} objects: score with more than COCO's 100 detections"
        )
        commands.append(
            f"delineate evaluate --weights runs/{model}/best.safetensors --data {shlex.quote(data)} "
            f"--max-det {_up(sizes.most * 1.2, 100)}"
        )
    return Suggestion(model, settings, tuple(reasons), tuple(commands), tuple(_others(sizes)))


def _sizes(checkup: Checkup) -> _Sizes | None:
    images = np.array([one.size for one in checkup.examined if one.size is not None], np.float64)
    areas = np.concatenate([*(one.areas for one in checkup.examined), np.zeros(0)])
    counts = np.array([len(one.labels) for one in checkup.examined])
    sides = np.sqrt(areas[areas > 0])
    if not len(images) or not len(sides):
        return None
    short, long = images.min(axis=1), images.max(axis=1)
    quarter, median, large = np.quantile(sides, [0.25, 0.5, 0.95])
    return _Sizes(
        float(np.median(short)), float(np.median(long)), int(short.min()), float(quarter), float(median),
        float(large), int(counts.max()), float(np.median(counts[counts > 0])),
    )  # fmt: skip


def _dense(sizes: _Sizes) -> tuple[str, dict[str, str], list[str]]:
    reasons = [
        f"the median image holds {sizes.typical:.0f} objects of about {sizes.median:.0f} px of one or two "
        "classes: a small dense network finds these"
    ]
    crop = _within(max(256.0, 4 * sizes.large), sizes.short)
    reasons.append(f"crops of {crop} px hold several whole objects (95 % are below {sizes.large:.0f} px)")
    return "center_offset", {"augment.crop": str(crop), "augment.rotate90": "true"}, reasons


def _general(sizes: _Sizes) -> tuple[str, dict[str, str], list[str]]:
    wanted = max(min(YOLO_SIZE, sizes.long), SMALL / sizes.quarter * sizes.long)
    side = int(min(_up(min(wanted, sizes.long), 32), YOLO_MOST))
    scale = side / sizes.long
    settings = {"augment.crop": str(min(side, 640))}
    reasons = [f"a one-stage network suits objects of {sizes.median:.0f} px in images of {sizes.long:.0f} px"]
    if side != YOLO_SIZE:
        settings = {"model.settings.image_size": str(side), **settings}
        if sizes.quarter * scale < 2 * SMALL:
            tiles = "; cut the images into tiles to see more" if sizes.quarter * scale < SMALL else ""
            small = f"a quarter of the objects are below {sizes.quarter * scale:.0f} px"
            reasons.append(f"at {side} px a side {small}{tiles}")
    if sizes.most > YOLO_DETECTIONS * 0.8:
        settings["model.settings.limits.max_det"] = str(_up(sizes.most * 1.5, 100))
        reasons.append(f"an image holds up to {sizes.most} objects; the default keeps {YOLO_DETECTIONS}")
    return "yolo_seg_n", settings, reasons


def _anchors(sizes: _Sizes) -> list[int]:
    """Five sizes from the small to the large objects, in the frame of an R-CNN."""
    scale = min(RCNN_SHORT / sizes.short, RCNN_LONG / sizes.long)
    low, high = max(4.0, sizes.quarter * scale / 2), max(16.0, sizes.large * scale * 1.3)
    return [round(side) for side in np.geomspace(low, max(high, low * 4), 5)]


def _rcnn(sizes: _Sizes) -> dict[str, str]:
    found = _anchors(sizes)
    if not _far(found):
        return {}
    return {"model.settings.anchor_sizes": str([[side] for side in found]).replace(" ", "")}


def _far(found: list[int]) -> bool:
    """Whether the usual anchors miss the smallest or largest of these."""
    return found[0] < RCNN_ANCHORS[0] / 2 or found[-1] > RCNN_ANCHORS[-1] * 1.5


def _others(sizes: _Sizes) -> list[str]:
    told = []
    anchors = _rcnn(sizes)
    if anchors:
        key, value = next(iter(anchors.items()))
        told.append(f"mask_rcnn: --set {key}={value}")
    for model, have in (("mask2former", 100), ("maskdino", 300)):
        if sizes.most > have:
            told.append(f"{model}: --set model.settings.queries={_up(sizes.most * 1.2, 50)}")
    return told


def _beside(source: str, word: str) -> str:
    """A name for a folder that is made of this one."""
    return f"{source.rstrip('/').removesuffix('.json')}_{word}"


def _within(wanted: float, side: float) -> int:
    """A multiple of 32 up to the side of the median image, from 64 to 1024."""
    return int(min(max(64, _up(min(wanted, side), 32)), 1024))


def _up(value: float, step: int) -> int:
    return int(-(-value // step) * step)
