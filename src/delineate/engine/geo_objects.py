"""The objects of a map image: what a model finds window by window, or what labels of any tool hold."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.image_model import ImageModel
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.rasters import Raster, open_raster
from delineate.data.sniff import SUFFIXES, by_windows

from .geo_raster import MapImage, cut
from .load import Model
from .predict import alignment, overlap_of, tile_of
from .tile import predict_tiled

log = logging.getLogger("delineate")
Call = Callable[[NDArray[Any]], Instances]
Predictor = Model | ImageModel | Call
TILE, OVERLAP = 1024, 128
ELSEWHERE = "lies on none of the images"
"""How a map layer's reader notes a shape that it leaves out."""
ROWS = 1 << 25
"""Pixels of a label image that are read at once."""


def found_by_model(
    predictor: Predictor,
    image: MapImage,
    confidence: float | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Instances:
    """What a model finds, window by window, seams dissolved; without pixels that were not measured.

    Args:
        predictor: a model, or any callable from (h, w) or (h, w, 3) uint8 to the objects in it.
        image: windows of it are read as they are needed.
        confidence: keep scores above it; None is the model's default.
        progress: called with (windows done, windows in all).
    """
    tile, overlap, align = TILE, OVERLAP, 1
    model = predictor.segmenter.prepared() if isinstance(predictor, Model) else predictor
    if isinstance(model, ImageModel):
        tile, overlap, align = tile_of(model) or TILE, max(overlap_of(model), OVERLAP), alignment(model)
        call = _of_model(model, confidence)
    else:
        call = _surer(model, confidence)
    source: Any = _Windows(image)
    return predict_tiled(
        lambda pixels: source.cut(call(pixels)), source, tile, min(overlap, tile // 2), progress, align
    )


def _surer(predict: Call, confidence: float | None) -> Call:
    """A callable of any tool, with what scores no more than ``confidence`` left out."""
    if confidence is None:
        return predict

    def run(window: NDArray[Any]) -> Instances:
        found = predict(window)
        return found[found.scores > confidence]

    return run


class _Windows:
    """The image for :func:`predict_tiled`; remembers which pixels of the last window were measured."""

    def __init__(self, image: MapImage) -> None:
        self.image, self.shape = image, image.shape
        self.valid = np.ones((0, 0), np.bool_)

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        pixels, self.valid = self.image.window(window)
        return pixels

    def cut(self, found: Instances) -> Instances:
        return found if self.valid.all() else cut(found, self.valid)


def _of_model(model: ImageModel, confidence: float | None) -> Call:
    """The model on windows that are stretched already: it does not stretch them again."""
    whole = None if model.input.scaling == "range" else (0.0, 255.0)
    return lambda window: model.find_instances([window], brightness=whole, confidence=confidence)[0]


def found_in_labels(path: Path, image: Raster | None) -> tuple[Instances, Raster | None]:
    """The objects of a label image, or of a dataset or results about the image.

    Args:
        path: a label image (its own georeference counts where the image has none or there is no image); or
            labels in any format of `delineate convert`, map layers among them, that lie on the image.
        image: the image.

    Returns:
        The objects, and the label image's raster, which knows its place; None for other labels.

    Raises:
        InputError: another size than the image's, nothing that is read, or no shape lies on the image.
    """
    if path.suffix.lower() in SUFFIXES or by_windows(path):
        raster = open_raster(path, labels=True)
        if image is not None and raster.size != image.size:
            raise InputError(
                f"{path}: expected labels of {image.size} pixels (height, width) as the image, got "
                f"{raster.size}; give the image that was segmented"
            )
        return _label_image(raster), raster
    if image is None:
        raise InputError(f"{path}: expected the image that the labels lie on, got none; give it first")
    return _dataset(path, image), None


def _label_image(raster: Raster) -> Instances:
    """Its objects, read in bands of rows: memory grows with outlines, not with pixels."""
    height, width = raster.size
    rows = max(1, ROWS // width)
    ids: list[NDArray[np.int64]] = []
    parts: list[Masks] = []
    nodata = raster.nodata
    for top in range(0, height, rows):
        labels = raster.window(0, top, width, min(top + rows, height))
        if nodata is not None and nodata != 0:
            labels = np.where(labels == nodata, 0, labels)
        if labels.dtype.kind == "i" and labels.min() < 0:
            raise InputError(
                f"{raster.path}: expected labels of 0 or more, got {labels.min()}; set the background to 0"
            )
        masks = Masks.from_label_image(labels)
        first = masks.runs.offsets[:-1]
        ids.append(labels[masks.runs.y[first], masks.runs.x[first]].astype(np.int64))
        parts.append(masks.shift(0, top, raster.size))
    numbers, group = np.unique(np.concatenate(ids), return_inverse=True)
    whole = Masks.concatenate(parts)
    merged = whole.merge(group) if len(numbers) else Masks.empty(raster.size)
    return Instances(raster.size, masks=merged, ids=numbers, classes=Labels(("object",)))


def _dataset(path: Path, image: Raster) -> Instances:
    from delineate.data.dataset import open_dataset

    from .predictions import read_predictions
    from .stored import ImageEntry

    if path.suffix.lower() == ".json" and path.read_bytes()[:64].lstrip().startswith(b"["):
        entry = ImageEntry(1, image.path.name, image.size)
        return read_predictions(str(path), [entry], Labels(("object",))).instances(entry)
    data = open_dataset(path, images=image.path)
    for note in data.notes:
        log.warning("%s", note)
    own = [k for k, record in enumerate(data.records) if record.path.name == image.path.name]
    if not own:
        raise InputError(
            f"{path}: expected labels of {image.path.name}, got others; give the image they were drawn on"
        )
    found = data.truth(own[0])
    if not len(found) and ELSEWHERE in " ".join(data.notes):
        raise InputError(
            f"{path}: expected labels that lie on {image.path.name}, got shapes that all lie elsewhere; "
            "check both reference systems, or give the image they were drawn on"
        )
    return found
