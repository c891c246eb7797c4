"""What `delineate predict --task semantic` and `--task panoptic` write and say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delineate.apply.draw_segments import panoptic_overlay, semantic_overlay
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.data.formats.coco_panoptic import document, write_picture
from delineate.data.images import ImageFile, write_png
from delineate.engine.batch_journal import BatchJournal

from .outputs import Outputs, write_json

TASKS = ("instance", "semantic", "panoptic")
KINDS = {"semantic": ("overlay", "labels", "coco"), "panoptic": ("overlay", "coco")}
CLASSES_ENDING = ".classes.png"
FILES = {"semantic": "semantic.json", "panoptic": "panoptic.json"}


def parse_task(text: str) -> str:
    """The task that ``--task`` names.

    Raises:
        InputError: another word.
    """
    if text not in TASKS:
        raise InputError(f"--task: expected one of {', '.join(TASKS)}, got {text!r}; choose one of them")
    return text


def kinds_of(task: str, kinds: tuple[str, ...], default: bool) -> tuple[str, ...]:
    """What is written for the task; the default is cut to what it has.

    Raises:
        InputError: a kind that was asked for and does not go with the task.
    """
    left = [k for k in kinds if k not in KINDS[task]]
    if left and not default:
        raise InputError(
            f"--save: expected some of {','.join(KINDS[task])} with --task {task}, got {','.join(left)}; "
            "leave them out"
        )
    return tuple(k for k in KINDS[task] if k in kinds)


class SegmentOutputs(Outputs):
    """The files of a run: an overlay per image, and for the run one JSON file and a folder of pictures.

    Panoptic results are COCO panoptic: ``panoptic.json`` and ``panoptic/``. Semantic results are pictures of
    the classes' ids (``labels``; 255, or 65535 in 16 bits, is void) and ``semantic.json`` with the classes
    and how many pixels each has.
    """

    task: str = "panoptic"

    def add(self, image: ImageFile, stem: str, name: str, found: Any) -> dict[str, Any]:
        """Write an image's own files; returns what the run's notes keep of it, as :class:`Outputs` does."""
        if self.kinds:
            self.make_folder()
        files: dict[str, Path] = {}
        height, width = found.size
        entry: dict[str, Any] = {"coco_image": {"file_name": name, "height": height, "width": width}}
        entry["labels"] = found.classes.to_dict()
        classes = tally(found)
        if "overlay" in self.kinds:
            files["overlay"] = self.folder / f"{stem}.overlay.png"
            draw = panoptic_overlay if isinstance(found, Panoptic) else semantic_overlay
            write_png(files["overlay"], np.asarray(draw(found, image.pixels)))
        if isinstance(found, Panoptic) and "coco" in self.kinds:
            entry["segments"] = write_picture(self.folder / "panoptic", f"{stem}.png", 0, found)
            files["panoptic"] = self.folder / "panoptic" / f"{stem}.png"
        if isinstance(found, Semantic):
            if "labels" in self.kinds:
                files["labels"] = self.folder / f"{stem}{CLASSES_ENDING}"
                wide = max(found.classes.ids) >= 255
                void, kind = (65535, np.uint16) if wide else (255, np.uint8)
                write_png(files["labels"], found.to_ids(void).astype(kind))
            entry["coco_image"]["pixels"] = classes
        count = len(classes) if isinstance(found, Semantic) else sum(classes.values())
        told = {"count": count, "classes": classes, "files": {k: str(p) for k, p in files.items()}}
        return entry | {"told": told}

    def _hits_input(self, stem: str) -> bool:
        ours = (self.folder / f"{stem}{CLASSES_ENDING}", self.folder / "panoptic" / f"{stem}.png")
        return super()._hits_input(stem) or any(p.resolve() in self.inputs for p in ours)

    def close(
        self, journal: BatchJournal, sources: Mapping[str, str], failed: Sequence[Mapping[str, Any]] = ()
    ) -> dict[str, str]:
        """Write the run's JSON file. Returns path by kind."""
        entries = [entry for _, _, entry in journal.entries(sources)]
        if "coco" not in self.kinds or not entries:
            return {}
        images = [{"id": number, **entry["coco_image"]} for number, entry in enumerate(entries, 1)]
        rows = [{**e["segments"], "image_id": k} for k, e in enumerate(entries, 1) if "segments" in e]
        record = document(images, rows, Labels(**{k: tuple(v) for k, v in entries[0]["labels"].items()}))
        if self.task == "semantic":
            del record["annotations"]
        path = self.folder / FILES[self.task]
        write_json(path, record)
        return {self.task: str(path)}


def tally(found: Instances | Panoptic | Semantic) -> dict[str, int]:
    """Objects or segments by class, or pixels by class; the most first."""
    if isinstance(found, Semantic):
        area = found.area
        order = np.argsort(-area, kind="stable").tolist()
        return {found.classes.name(i): int(area[i]) for i in order if area[i]}
    return dict(Counter(found.names).most_common())


def told(record: Mapping[str, Any], task: str) -> str:
    """``3 × car, 1 × sky``, or ``sky 60 %, car 40 %``, of what is told of an image."""
    if task == "semantic":
        pixels = record["width"] * record["height"]
        parts = [f"{name} {number / pixels:.0%}" for name, number in record["classes"].items()]
    else:
        parts = [f"{number} × {name}" for name, number in record["classes"].items()]
    return ", ".join(parts) or "nothing found"
