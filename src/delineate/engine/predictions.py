"""Which format stored predictions are in, and their reader."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.data.formats.json_file import load_json, show
from delineate.data.sniff import SUFFIXES
from delineate.data.track_files import open_tracks

from .coco_plain_results import read_plain_results
from .coco_results import read_coco_dataset, read_coco_results
from .given_results import GivenResults
from .result_folders import LABEL_ENDINGS as LABEL_ENDINGS
from .result_folders import TrackedFrames, label_folder, yolo_folder
from .stored import ImageEntry as ImageEntry
from .stored import Predictions as Predictions
from .stored_segments import PANOPTIC_FILE, SEMANTIC_FILE, ClassPictures, PanopticFile

PREDICTIONS_FILE = "predictions.json"
"""What `delineate predict` calls its COCO file; preferred to the label images beside it, for its scores."""


def read_predictions(
    path: str | Path | Sequence[Any],
    images: Sequence[ImageEntry],
    classes: Labels,
    matchable: Collection[tuple[int, int]] = (),
) -> Predictions:
    """Read and check predictions for ``images``.

    Args:
        path: a JSON file: a list of COCO results, a COCO dataset whose annotations may have ``score``, or
            COCO panoptic; a folder of label images named as the images (``cell_7.tif`` or
            ``cell_7_labels.png`` for ``cell_7.jpg``), or numbered as results of the Cell Tracking Challenge
            (``mask007.tif`` for ``t007.tif``), or of YOLO text files; one that `delineate predict` wrote; a
            MOTS text file. Or a sequence of one result per image, see :func:`.given_results.as_instances`.
        images: the dataset's images.
        classes: the dataset's classes.
        matchable: image and category ids of true objects, where COCO results are to be scored as a whole.

    Raises:
        InputError: the file is malformed or is about other images; the message names the place in it.
    """
    if not isinstance(path, str | Path):
        return GivenResults(path, images, classes)
    path = Path(path)
    if (path / PREDICTIONS_FILE).is_file():
        path /= PREDICTIONS_FILE
    elif (path / PANOPTIC_FILE).is_file():
        return PanopticFile(path / PANOPTIC_FILE, images, classes)
    elif (path / SEMANTIC_FILE).is_file():
        return ClassPictures(path, images, classes)
    if path.is_dir():
        return _folder(path, images, classes)
    if path.suffix.lower() == ".txt":
        return _tracked(path, images, classes)
    plain = read_plain_results(path, images, classes, matchable)
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


def _folder(folder: Path, images: Sequence[ImageEntry], classes: Labels) -> Predictions:
    """By what lies in a folder: YOLO text files, tracked objects' text, else label images."""
    named = yolo_folder(folder, images, classes)
    if named is not None:
        return named
    endings = {p.suffix.lower() for p in folder.iterdir() if p.is_file()}
    if ".txt" in endings and not endings & set(SUFFIXES):
        return _tracked(folder, images, classes)
    return label_folder(folder, images, classes)


def _tracked(path: Path, images: Sequence[ImageEntry], classes: Labels) -> TrackedFrames:
    """Tracked objects of one video."""
    found = open_tracks(path)
    if len(found) > 1:
        raise InputError(
            f"{path}: expected tracked objects of one video, got {len(found)}; evaluate one video at a time"
        )
    return TrackedFrames(found[0], images, classes)
