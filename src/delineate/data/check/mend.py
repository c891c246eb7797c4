"""A mended copy of a dataset: what can be mended without looking is, the rest is left as it is and told."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.polygons import Polygon

from ..records import Dataset, Drawn, Record
from ..write import atomic
from .finding import KINDS, Finding, place
from .rings import within
from .survey import Checkup
from .upright import without_orientation

LEFT = "left as it is"
_BY_READER = ("invalid", "missing-image", "orphan")
_WHOLE_IMAGE = ("unreadable", "image-size", "copy")
_OF_OBJECTS = ("no-pixels", "duplicate", "box", "area", "outside", "crossing", "hole-filled", "id-zero")


@dataclass
class Plan:
    """What is to be done to one image.

    Attributes:
        leave_out: the image itself.
        upright: take the rotation out of its EXIF.
        objects: the places of its objects, by kind of finding.
    """

    leave_out: bool = False
    upright: bool = False
    objects: dict[str, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Mended:
    """A dataset that reads as if it had been mended.

    Attributes:
        data: the dataset.
        log: each finding, and what was done about it.
    """

    data: Dataset
    log: tuple[tuple[Finding, str], ...]


def mend(checkup: Checkup, workspace: Path) -> Mended:
    """A dataset without the faults that can be mended; the original is only read.

    Args:
        checkup: what was found.
        workspace: an existing folder for images whose EXIF is changed, until the dataset is written.
    """
    flat = [(k, record) for k, part in enumerate(checkup.parts) for record in part.records]
    plans = [Plan() for _ in flat]
    by_name = {(r.groups.get("split", ""), r.name): i for i, (_, r) in enumerate(flat)}
    done: dict[Finding, str] = {}
    for finding in checkup.findings:
        done[finding] = _planned(finding, by_name, plans)
    for plan, one in zip(plans, checkup.examined, strict=True):
        plan.leave_out |= not one.usable
    records = []
    for i, (part, record) in enumerate(flat):
        if plans[i].leave_out:
            continue
        if plans[i].upright:
            record = _upright(record, i, workspace, done, checkup)
        records.append(replace(record, annotation=(part, record, plans[i])))
    truth = _Truth(checkup.parts, 1 + _largest_id(checkup))
    first = checkup.parts[0]
    joined = replace(
        first, records=tuple(records), classes=truth.classes, decode=truth.decode, outlines=truth.outlines,
        segments=None, notes=(),
    )  # fmt: skip
    return Mended(joined, tuple(done.items()))


def _planned(finding: Finding, by_name: dict[tuple[str, str], int], plans: list[Plan]) -> str:
    """Puts a finding into the plan of its image; what is done about it."""
    kind, fixed = finding.kind, KINDS[finding.kind].fixed
    if kind in _BY_READER or (kind in ("no-pixels", "box", "filled-in") and finding.index is None):
        return fixed
    index = by_name.get((finding.split, finding.image))
    if index is None or not fixed:
        return LEFT
    plan = plans[index]
    if kind == "copy" and not finding.exact:
        return LEFT
    if kind in _WHOLE_IMAGE:
        plan.leave_out = True
    elif kind == "leak":
        return _leak(finding, by_name, plans)
    elif kind == "rotated":
        plan.upright = True
    elif kind == "id-zero":
        plan.objects.setdefault(kind, set()).add(-1)
    elif finding.index is not None:
        plan.objects.setdefault(kind, set()).add(finding.index)
    else:
        return LEFT
    return fixed


def _leak(finding: Finding, by_name: dict[tuple[str, str], int], plans: list[Plan]) -> str:
    """Of exact copies in two splits the one in train goes; what only looks the same is left to a person."""
    if not finding.exact:
        return LEFT
    trained = [key for key in ((finding.split, finding.image), *finding.images) if key[0] == "train"]
    for key in trained:
        plans[by_name[key]].leave_out = True
    return f"{', '.join(place(*key) for key in trained)} left out" if trained else LEFT


def _upright(
    record: Record, number: int, workspace: Path, done: dict[Finding, str], checkup: Checkup
) -> Record:
    """The record with an image of its own, whose EXIF says nothing of a rotation."""
    plain = without_orientation(record.path.read_bytes())
    if plain is None:
        for finding in checkup.of("rotated"):
            if finding.image == record.name:
                done[finding] = LEFT
        return record
    folder = workspace / str(number)
    folder.mkdir()
    path = folder / record.path.name
    path.write_bytes(plain)
    return replace(record, path=path)


def _largest_id(checkup: Checkup) -> int:
    """The largest id of an object, where any has the id 0; else 0."""
    if not checkup.of("id-zero"):
        return 0
    largest = 0
    usable = iter(one.usable for one in checkup.examined)
    for part in checkup.parts:
        for index in range(len(part)):
            ids = part.truth(index).ids if next(usable) else None
            largest = max(largest, int(ids.max()) if ids is not None and len(ids) else 0)
    return largest


class _Truth:
    """Reads the objects of an image and mends them."""

    def __init__(self, parts: Sequence[Dataset], free_id: int) -> None:
        self.parts = tuple(parts)
        self.free_id = free_id
        names = tuple(dict.fromkeys(name for part in parts for name in part.classes.names))
        same = all(part.classes == parts[0].classes for part in parts)
        self.classes = parts[0].classes if same else Labels(names)
        self.same = same

    def decode(self, record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
        """The objects, mended."""
        part, plan, truth, drawn = self._read(record)
        truth = _mended(truth, drawn, plan, self.free_id + record.image_id)
        if not self.same:
            to = np.array([self.classes.names.index(name) for name in part.classes.names])
            truth = truth.replace(labels=to[truth.labels], classes=self.classes)
        return truth, ()

    def outlines(self, record: Record, classes: Labels) -> Drawn:
        """The polygons as they were drawn; None where the mask was mended."""
        _, plan, truth, drawn = self._read(record)
        changed = {i for kind in ("outside", "crossing", "hole-filled") for i in plan.objects.get(kind, ())}
        return [None if i in changed else drawn[i] for i in _kept(truth, plan)]

    def _read(self, record: Record) -> tuple[Dataset, Plan, Instances, Drawn]:
        number, original, plan = record.annotation
        part = self.parts[number]
        truth = part.decode(original, part.classes)[0]
        drawn = part.outlines(original, part.classes) if part.outlines is not None else [None] * len(truth)
        return part, plan, truth, drawn


def _kept(truth: Instances, plan: Plan) -> list[int]:
    dropped = plan.objects.get("no-pixels", set()) | plan.objects.get("duplicate", set())
    return [i for i in range(len(truth)) if i not in dropped]


def _mended(truth: Instances, drawn: Drawn, plan: Plan, free_id: int) -> Instances:
    """The objects of one image after what its plan says."""
    if not plan.objects:
        return truth
    masks, boxes, areas, ids = truth.masks, truth.boxes.copy(), truth.areas, truth.ids
    holes = sorted(plan.objects.get("hole-filled", ()))
    if masks is not None and holes:
        cut = Masks.from_polygons([_with_holes(drawn[i] or ()) for i in holes], truth.size)
        order = np.arange(len(truth))
        order[holes] = len(truth) + np.arange(len(holes))
        masks = Masks.concatenate([masks, cut])[order]
    if masks is not None:
        fresh = sorted(plan.objects.get("box", set()) | set(holes))
        boxes[fresh] = masks.boxes[fresh]
        if areas is not None:
            areas = areas.copy()
            again = sorted(plan.objects.get("area", set()) | set(holes))
            areas[again] = masks.area[again]
    if ids is not None and "id-zero" in plan.objects:
        ids = np.where(ids == 0, free_id, ids)
    return truth.replace(masks=masks, boxes=boxes, areas=areas, ids=ids)[_kept(truth, plan)]


def _with_holes(parts: Sequence[Polygon]) -> list[Polygon]:
    """The parts of an object, those that lie inside another one as its holes."""
    rings = [part.exterior for part in parts]
    around = [next((o for o, outer in enumerate(rings) if o != i and within(ring, outer)), None)
              for i, ring in enumerate(rings)]  # fmt: skip
    return [
        Polygon(ring, (*parts[i].holes, *(rings[k] for k, outer in enumerate(around) if outer == i)))
        for i, ring in enumerate(rings)
        if around[i] is None
    ]


def write_log(path: Path, log: Sequence[tuple[Finding, str]]) -> None:
    """Writes each finding and what was done as CSV, atomically; no cell is taken for a formula."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["kind", "severity", "split", "image", "object", "where", "message", "done"])
        for finding, done in log:
            identity = "" if finding.annotation is None else str(finding.annotation)
            cells = [finding.kind, finding.severity, finding.split, finding.image, identity, finding.where,
                     finding.message, done]  # fmt: skip
            rows.writerow(
                [f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in cells]
            )
