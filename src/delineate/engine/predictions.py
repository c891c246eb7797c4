"""Predictions from files: COCO results, a COCO dataset with scores, label images, COCO panoptic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats.json_file import load_json, show
from delineate.data.formats.label_image import read_ids
from delineate.data.sniff import SUFFIXES

from .coco_results import read_coco_dataset, read_coco_results, read_plain_results
from .stored import ImageEntry as ImageEntry
from .stored import Predictions as Predictions
from .stored_segments import PANOPTIC_FILE, SEMANTIC_FILE, ClassPictures, PanopticFile

PREDICTIONS_FILE = "predictions.json"
"""What `delineate predict` calls its COCO file; preferred to the label images beside it, for its scores."""

LABEL_ENDINGS = (".labels", "", "_labels", "_label", "_masks", "_mask", "_cp_masks")
"""What may stand between an image's name and the suffix of its label image, in order of preference."""


class LabelFolder(Predictions):
    """A folder with one label image per image: 0 background, 1, 2, .. the objects, all with score 1."""

    def __init__(
        self, source: Path, classes: Labels, files: Mapping[int, Path], notes: Sequence[str] = ()
    ) -> None:
        super().__init__(source, classes, notes)
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


def read_predictions(path: str | Path, images: Sequence[ImageEntry], classes: Labels) -> Predictions:
    """Read and check predictions for ``images``.

    Args:
        path: a JSON file (a list of COCO results, or a COCO dataset whose annotations may have ``score``), or
            a folder of label images named as the images (``cell_7.tif`` or ``cell_7_labels.png`` for
            ``cell_7.jpg``), or a folder that `delineate predict` wrote; or COCO panoptic.
        images: the dataset's images.
        classes: the dataset's classes.

    Raises:
        InputError: the file is malformed or is about other images; the message names the place in it.
    """
    path = Path(path)
    if (path / PREDICTIONS_FILE).is_file():
        path /= PREDICTIONS_FILE
    elif (path / PANOPTIC_FILE).is_file():
        return PanopticFile(path / PANOPTIC_FILE, images, classes)
    elif (path / SEMANTIC_FILE).is_file():
        return ClassPictures(path, images, classes)
    if path.is_dir():
        return _label_folder(path, images, classes)
    plain = read_plain_results(path, images, classes)
    if plain is not None:
        return plain
    content = load_json(path)
    if isinstance(content, list):
        return read_coco_results(path, content, images, classes, ())
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        if any(isinstance(row, dict) and "segments_info" in row for row in content["annotations"][:1]):
            return PanopticFile(path, images, classes)
        return read_coco_dataset(path, content, images, classes)
    raise InputError(
        f"{path}: expected a list of COCO results or a COCO dataset with 'annotations', "
        f"got {show(content)}; give a results file, or a folder of label images"
    )


def _label_folder(folder: Path, images: Sequence[ImageEntry], classes: Labels) -> LabelFolder:
    found = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}
    files = {}
    for image in images:
        stem = Path(image.name).stem.lower()
        names = (f"{stem}{ending}{suffix}" for ending in LABEL_ENDINGS for suffix in SUFFIXES)
        path = next((found[name] for name in names if name in found), None)
        if path is not None:
            files[image.id] = path
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
    return LabelFolder(folder, classes, files, notes)
