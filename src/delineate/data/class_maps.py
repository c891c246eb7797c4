"""From the classes of one dataset to those of another: by name, with what becomes an ignore region.

Tracks of a model that knows COCO's classes are judged against KITTI MOTS, which knows cars and pedestrians:
a class is renamed, left out, or becomes a region where nothing is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels

from .formats import kitti_tracking, mots, scalabel
from .formats.json_file import load_json
from .tracks import TrackedFrame, TrackSequence

IGNORE = "ignore"
"""A class that is mapped to this becomes a crowd region."""

_PERSON = {"person": "pedestrian", "people": "pedestrian", "pedestrian": "pedestrian", "walker": "pedestrian"}
_CARS = {"car": "car", "van": "car", "suv": "car"}
_LARGE = {"truck": "truck", "lorry": "truck", "bus": "bus", "train": "train", "tram": "train"}
_CYCLES = {
    "rider": "rider", "cyclist": "rider", "bicycle": "bicycle", "bike": "bicycle", "motorcycle": "motorcycle",
    "motorbike": "motorcycle", "motor": "motorcycle",
}  # fmt: skip

TARGETS: dict[str, tuple[Labels, dict[str, str]]] = {
    "kitti-mots": (mots.CLASSES, {**_PERSON, "car": "car"}),
    "mots20": (mots.CLASSES, _PERSON),
    "bdd100k": (scalabel.CLASSES, {**_PERSON, **_CARS, **_LARGE, **_CYCLES}),
    "cityscapes": (
        Labels(("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")),
        {**dict.fromkeys(_PERSON, "person"), **_CARS, **_LARGE, **_CYCLES},
    ),
    "kitti": (
        kitti_tracking.CLASSES,
        {
            **dict.fromkeys(_PERSON, "Pedestrian"), "person_sitting": "Person_sitting", "car": "Car",
            "van": "Van", "truck": "Truck", "lorry": "Truck", "tram": "Tram", "train": "Tram",
            "rider": "Cyclist", "cyclist": "Cyclist", "misc": "Misc",
        },
    ),
}  # fmt: skip
"""By name: the classes of a benchmark, and which of the usual names is which of them."""


@dataclass(frozen=True)
class ClassMap:
    """What becomes of each class.

    Attributes:
        target: the classes afterwards.
        names: old name in small letters to new one, or to :data:`IGNORE`; what is not there is left out.

    Raises:
        InputError: a new name that is no class of the target.
    """

    target: Labels
    names: Mapping[str, str]

    def __post_init__(self) -> None:
        strange = sorted(set(self.names.values()) - {*self.target.names, IGNORE})
        if strange:
            raise InputError(
                f"class map: expected one of {', '.join(self.target.names)} or {IGNORE}, got {strange[0]!r}; "
                "correct it"
            )

    @classmethod
    def named(cls, name: str) -> ClassMap:
        """One of :data:`TARGETS`, or a JSON file ``{"old name": "new name" or "ignore" or null, ..}``.

        Raises:
            InputError: no such name and no such file, or a file that holds something else.
        """
        if name in TARGETS:
            return cls(*TARGETS[name])
        path = Path(name)
        if not path.is_file():
            raise InputError(f"class map: expected one of {', '.join(TARGETS)} or a JSON file, got {name!r}")
        record = load_json(path)
        good = isinstance(record, dict) and all(isinstance(v, str | None) for v in record.values())
        if not good or not any(v not in (None, IGNORE) for v in record.values()):
            raise DatasetError(f'{path}: expected {{"old name": "new name", ..}}, got others; correct it')
        kept = {old.lower(): new for old, new in record.items() if new is not None}
        return cls(Labels(tuple(dict.fromkeys(v for v in kept.values() if v != IGNORE))), kept)

    def instances(self, objects: Instances) -> Instances:
        """The objects under their new classes; those of no class are left out.

        Example:
            >>> animals = Labels(("dog", "car"))
            >>> found = Instances((9, 9), boxes=[[0, 0, 2, 2]] * 2, labels=[0, 1], classes=animals)
            >>> ClassMap.named("kitti-mots").instances(found).names
            ['car']
        """
        new = [self.names.get(name.lower()) for name in objects.classes.names]
        index = np.array([self.target.names.index(n) if n in self.target.names else 0 for n in new])
        ignored = np.array([n == IGNORE for n in new])
        keep = np.array([n is not None for n in new])[objects.labels] | objects.crowd
        chosen = objects[keep]
        crowd = chosen.crowd | ignored[chosen.labels]
        return chosen.replace(labels=index[chosen.labels], crowd=crowd, classes=self.target)

    def tracks(self, sequence: TrackSequence) -> TrackSequence:
        """The sequence under the new classes, mapped as its frames are decoded."""
        return replace(sequence, classes=self.target, decode=lambda number: self._frame(sequence[number]))

    def _frame(self, frame: TrackedFrame) -> TrackedFrame:
        kept = np.array([name.lower() in self.names for name in frame.objects.classes.names])
        keep = kept[frame.objects.labels] | frame.objects.crowd
        return TrackedFrame(
            frame.number,
            self.instances(frame.objects),
            None if frame.boxes is None else frame.boxes[keep],
            None if frame.considered is None else frame.considered[keep],
        )
