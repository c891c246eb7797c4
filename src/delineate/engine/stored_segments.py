"""Panoptic and semantic predictions from files: COCO panoptic, or pictures of class ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import VOID, Semantic
from delineate.data.formats import coco_panoptic
from delineate.data.formats.json_file import load_json, show
from delineate.data.formats.label_image import read_ids
from delineate.data.records import Dataset

from .stored import ImageEntry, Predictions

PANOPTIC_FILE, SEMANTIC_FILE = "panoptic.json", "semantic.json"
"""What `delineate predict --task` calls its files."""
CLASSES_ENDING = ".classes.png"


class PanopticFile(Predictions):
    """COCO panoptic: a JSON file and a folder of pictures.

    Images are matched by file name, else by the file name's stem, else by id.

    Args:
        path: the JSON file.
        images: those to be predicted.
        classes: the dataset's classes.

    Raises:
        InputError: not such a file, or none of the images is in it.
    """

    def __init__(self, path: Path, images: Sequence[ImageEntry], classes: Labels) -> None:
        self._data = data = coco_panoptic.read(path, images=False)
        self._at = _matched(data, images)
        if not self._at and images:
            raise InputError(
                f"{path}: expected predictions on images such as {images[0].name!r}, got others; "
                "evaluate on the data that was predicted"
            )
        notes = []
        if missing := len(images) - len(self._at):
            notes.append(f"{missing} of {len(images)} images have no prediction and count as void")
        if foreign := len(data) - len(self._at):
            notes.append(f"{foreign} predictions are on images that the data does not have")
        super().__init__(path, classes, notes, f"COCO panoptic: {len(self._at)} pictures")

    def check(self, task: str) -> None:
        """Both tasks can be scored."""

    def panoptic(self, image: ImageEntry) -> Panoptic:
        """The segments of an image, in the file's own classes; void where the file has none."""
        at = self._at.get(image.id)
        if at is None:
            void = np.zeros(image.size, dtype=np.int32)
            return Panoptic(void, labels=np.zeros(0, dtype=np.int64), classes=self._data.classes)
        return self._data.panoptic(at)

    def semantic(self, image: ImageEntry) -> Semantic:
        """The class of every pixel, in the file's own classes."""
        return self.panoptic(image).to_semantic()

    def instances(self, image: ImageEntry) -> Instances:
        """The things, in the dataset's classes."""
        from .evaluation_inputs import in_classes

        return in_classes(self.panoptic(image).to_instances(), self.classes)[0]


def _matched(data: Dataset, images: Sequence[ImageEntry]) -> dict[int, int]:
    """The dataset's image id -> the index of its prediction."""
    names = {name: i for i, name in enumerate(data.names)}
    stems = {Path(name).stem: i for name, i in names.items()}
    often = Counter(Path(image.name).stem for image in images)
    at = {}
    for image in images:
        stem = Path(image.name).stem
        index = names.get(image.name, stems.get(stem) if often[stem] == 1 else None)
        if index is not None:
            at[image.id] = index
    if at:
        return at
    ids = {image_id: i for i, image_id in enumerate(data.image_ids)}
    return {image.id: ids[image.id] for image in images if image.id in ids}


class ClassPictures(Predictions):
    """A folder that `delineate predict --task semantic` wrote: ``semantic.json`` and pictures of class ids.

    Args:
        folder: with ``semantic.json``.
        images: those to be predicted.
        classes: the dataset's classes.

    Raises:
        InputError: a malformed file, images of different folders that share a name, or none with a picture.
    """

    def __init__(self, folder: Path, images: Sequence[ImageEntry], classes: Labels) -> None:
        self._own = _classes(folder / SEMANTIC_FILE)
        at = {image.id: folder / f"{Path(image.name).stem}{CLASSES_ENDING}" for image in images}
        self._files = {image: path for image, path in at.items() if path.is_file()}
        path, count = Counter(self._files.values()).most_common(1)[0] if self._files else (folder, 1)
        if count > 1:
            raise InputError(
                f"{path}: expected a picture for one image, got {count} images of that name; predict and "
                "evaluate each folder of images by itself"
            )
        if not self._files and images:
            raise InputError(
                f"{folder}: expected {Path(images[0].name).stem}{CLASSES_ENDING} and so on, got none; "
                "predict with --save labels,coco"
            )
        missing = len(images) - len(self._files)
        notes = [f"{missing} of {len(images)} images have no prediction and count as void"] if missing else []
        super().__init__(folder, classes, notes, f"pictures of classes: {len(self._files)} files")

    def check(self, task: str) -> None:
        """Classes of pixels make no segments.

        Raises:
            InputError: another task than ``semantic``.
        """
        if task != "semantic":
            raise InputError(
                f"{self.source}: expected {task} results, got classes of pixels; give a folder that "
                f"`delineate predict --task {task}` wrote"
            )

    def semantic(self, image: ImageEntry) -> Semantic:
        """The class of every pixel, in the folder's own classes."""
        path = self._files.get(image.id)
        if path is None:
            return Semantic(np.full(image.size, VOID, dtype=np.int16), self._own)
        return Semantic.from_ids(read_ids(path), self._own)

    def instances(self, image: ImageEntry) -> Instances:
        """There are none.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.source}: expected objects, got classes of pixels; use --metrics semantic")


def _classes(path: Path) -> Labels:
    content = load_json(path)
    rows = content.get("categories") if isinstance(content, dict) else None
    try:
        read = [(int(r["id"]), str(r["name"]), bool(r["isthing"])) for r in rows or ()]
        ids, names, things = zip(*read, strict=True)
    except (TypeError, KeyError, ValueError):
        raise InputError(
            f"{path}: expected categories with id, name and isthing, got {show(rows)}; predict again"
        ) from None
    return Labels(names, ids, things)
