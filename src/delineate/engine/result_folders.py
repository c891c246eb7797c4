"""Predictions in folders of other tools, a file an image: label images, Cell Tracking Challenge, YOLO txt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats import yolo
from delineate.data.formats.label_image import read_ids
from delineate.data.sniff import SUFFIXES
from delineate.data.tracks import TrackSequence

from .evaluation_inputs import in_classes
from .stored import ImageEntry, Predictions

LABEL_ENDINGS = (".labels", "", "_labels", "_label", "_masks", "_mask", "_cp_masks")
"""What may stand between an image's name and the suffix of its label image, in order of preference."""
FRAME = re.compile(r"(?:mask|man_seg|man_track)(\d+)\.tiff?", re.IGNORECASE)
"""What the Cell Tracking Challenge calls the label image of a frame, ``t007.tif``."""


class LabelFolder(Predictions):
    """A folder with one label image per image: 0 background, 1, 2, .. the objects, all with score 1."""

    def __init__(
        self,
        source: Path,
        classes: Labels,
        files: Mapping[int, Path],
        notes: Sequence[str] = (),
        form: str = "label images",
    ) -> None:
        super().__init__(source, classes, notes, f"{form}: {_files(len(files))}")
        self._files = files

    def instances(self, image: ImageEntry) -> Instances:
        """The objects of the image's label file.

        Raises:
            InputError: no integers, or another size than the image.
        """
        path = self._files.get(image.id)
        if path is None:
            return Instances.empty(image.size, self.classes)
        labels = read_ids(path)
        if labels.shape != image.size:
            raise InputError(
                f"{path}: expected {image.size[1]} x {image.size[0]} pixels as {image.name} has, got "
                f"{labels.shape[1]} x {labels.shape[0]}; save labels in the pixels of the original image"
            )
        return Instances(image.size, masks=Masks.from_label_image(labels), classes=self.classes)


class YoloFolder(Predictions):
    """A folder with one YOLO text file per image, or a folder whose ``labels/`` has them.

    Args:
        source: the folder.
        classes: the dataset's classes, whose places the files' class numbers are.
        files: by image id.
        notes: notes to begin with.
    """

    def __init__(
        self, source: Path, classes: Labels, files: Mapping[int, Path], notes: Sequence[str] = ()
    ) -> None:
        if len(classes) > 1:
            notes = [
                *notes,
                f"classes by their place in the data: 0 is {classes.name(0)!r}, 1 {classes.name(1)!r}",
            ]
        super().__init__(source, classes, notes, f"YOLO txt: {_files(len(files))}")
        self._files = files

    def instances(self, image: ImageEntry) -> Instances:
        """The objects of the image's text file.

        Raises:
            InputError: a line that is no object of the data.
        """
        path = self._files.get(image.id)
        if path is None:
            return Instances.empty(image.size, self.classes)
        return yolo.read_objects(path, image.size, self.classes)


class TrackedFrames(Predictions):
    """Tracked objects of one video, frames matched to images by the number that ends their names.

    Args:
        sequence: the objects, without scores.
        images: the dataset's images.
        classes: the dataset's classes, matched by name.

    Raises:
        InputError: images without numbers, several of one number, or no frame of any.
    """

    def __init__(self, sequence: TrackSequence, images: Sequence[ImageEntry], classes: Labels) -> None:
        self._sequence = sequence
        self._frame_of = by_number(sequence.where, images)
        found = sum(frame in sequence for frame in self._frame_of.values())
        if not found:
            raise InputError(
                f"{sequence.where}: expected frames of the data, such as "
                f"{next(iter(self._frame_of.values()), 0)}, got {sequence.frames[:3]}; "
                "evaluate on the frames that were tracked"
            )
        notes = ["tracked objects carry no scores: AP sees all predictions as equally sure"]
        super().__init__(sequence.where, classes, notes, f"tracked objects: {found} frames with some")

    def instances(self, image: ImageEntry) -> Instances:
        """The objects of the image's frame.

        Raises:
            InputError: a frame that is not well formed, or of another size.
        """
        frame = self._sequence.get(self._frame_of[image.id])
        if frame is None or not len(frame.objects):
            return Instances.empty(image.size, self.classes)
        objects = frame.objects.replace(size=image.size) if frame.objects.masks is None else frame.objects
        return in_classes(objects[~objects.crowd], self.classes)[0]


def label_folder(folder: Path, images: Sequence[ImageEntry], classes: Labels) -> LabelFolder:
    """Label images named as the images, or numbered as the Cell Tracking Challenge does.

    Raises:
        InputError: there are none.
    """
    found = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}
    files, form = {}, "label images"
    for image in images:
        stem = Path(image.name).stem.lower()
        names = (f"{stem}{ending}{suffix}" for ending in LABEL_ENDINGS for suffix in SUFFIXES)
        path = next((found[name] for name in names if name in found), None)
        if path is not None:
            files[image.id] = path
    frames = {int(match[1]): p for name, p in found.items() if (match := FRAME.fullmatch(name))}
    if not files and frames and images:
        numbers = by_number(folder, images)
        files = {image: frames[number] for image, number in numbers.items() if number in frames}
        form = "Cell Tracking Challenge results"
    if not files and images:
        raise InputError(
            f"{folder}: expected label images named as the data's, such as "
            f"{Path(images[0].name).stem}.tif, got none; name them after the images"
        )
    notes = ["label images carry no scores: AP sees all predictions as equally sure"]
    if len(classes) > 1:
        notes.append(f"label images carry no classes: all objects count as {classes.name(0)!r}")
    if missing := len(images) - len(files):
        notes.append(f"{missing} of {len(images)} images have no label image and count as nothing found")
    return LabelFolder(folder, classes, files, notes, form)


def yolo_folder(folder: Path, images: Sequence[ImageEntry], classes: Labels) -> YoloFolder | None:
    """Text files named as the images; None where there are no such.

    Raises:
        InputError: two images share the name of a text file.
    """
    inner = folder / "labels"
    place = inner if inner.is_dir() and any(inner.glob("*.txt")) else folder
    found = {p.stem: p for p in place.iterdir() if p.suffix.lower() == ".txt" and p.is_file()}
    stems = {image.id: Path(image.name).stem for image in images}
    files = {image: found[stem] for image, stem in stems.items() if stem in found}
    if not files:
        return None
    name, often = Counter(stems[image] for image in files).most_common(1)[0]
    if often > 1:
        raise InputError(
            f"{place}: expected a text file for one image, got {often} images of the name {name!r}; evaluate "
            "each folder of images by itself"
        )
    notes = []
    if foreign := len(found) - len(files):
        notes.append(f"{foreign} text files are named as no image of the data")
    if missing := len(images) - len(files):
        notes.append(f"{missing} of {len(images)} images have no text file and count as nothing found")
    return YoloFolder(folder, classes, files, notes)


def by_number(where: Path, images: Sequence[ImageEntry]) -> dict[int, int]:
    """Image id -> the number that ends the image's name.

    Raises:
        InputError: a name without one, or two images of one number.
    """
    numbers: dict[int, int] = {}
    taken: dict[int, str] = {}
    for image in images:
        digits = re.search(r"(\d{1,9})\D*$", Path(image.name).stem)
        if digits is None or int(digits[1]) in taken:
            other = "" if digits is None else f", the number of {taken[int(digits[1])]!r}"
            raise InputError(
                f"{where}: expected images that end in a number of their own, as frames do, got "
                f"{image.name!r}{other}; evaluate one video at a time"
            )
        numbers[image.id] = int(digits[1])
        taken[int(digits[1])] = image.name
    return numbers


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
