"""What users write, read by mypy in `make lint` and never run: the public names have types of their own.

Every ``assert_type`` fails where a type is lost on the way, above all where it has become ``Any``. The errors
that are ignored are mistakes that a type checker has to find: mypy complains of an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

import delineate as dl
from delineate.data.images import ImageFile
from delineate.data.records import Dataset
from delineate.engine.load import Model
from delineate.engine.report import Report
from delineate.engine.track import FoundTracks


def predict(photo: Path, pixels: NDArray[np.uint8]) -> int:
    model = assert_type(dl.load("nuclei"), Model)
    result = assert_type(model.predict(photo, confidence=0.3), dl.Instances)
    assert_type(model.predict(pixels), dl.Instances)
    assert_type(model(pixels), dl.Instances)
    assert_type(model.classes, dl.Labels)
    assert_type(result[result.scores > 0.5], dl.Instances)
    assert_type(result[0], dl.Instances)
    assert_type(result[1:3], dl.Instances)
    return assert_type(len(result), int)


def look_inside(result: dl.Instances) -> None:
    assert_type(result.boxes, NDArray[np.float32])
    assert_type(result.labels, NDArray[np.int64])
    assert_type(result.scores, NDArray[np.float32])
    assert_type(result.area, NDArray[np.float64])
    assert_type(result.names, list[str])
    assert_type(result.size, tuple[int, int])
    if result.masks is not None:
        assert_type(result.masks, dl.Masks)
        assert_type(result.masks.dense(), NDArray[np.bool_])
        assert_type(result.masks.iou(result.masks), NDArray[np.float64])


def to_other_forms(result: dl.Instances, pixels: NDArray[np.uint8]) -> None:
    assert_type(result.to_label_image(), NDArray[np.int32])
    assert_type(result.to_polygons(), list[list[dl.Polygon]])
    assert_type(result.to_table(pixel_size=0.25), pd.DataFrame)
    assert_type(result.plot(pixels), Image.Image)
    assert_type(result.to_torchvision(), dict[str, torch.Tensor])
    assert_type(dl.Instances.from_torchvision(result.to_torchvision()), dl.Instances)
    assert_type(dl.Masks.from_label_image(np.zeros((4, 4), int)), dl.Masks)


def judge(model: Model) -> float:
    data = assert_type(dl.open_dataset("my-dataset", split="val"), Dataset)
    report = assert_type(dl.evaluate(model, data), Report)
    return assert_type(report.scores, dict[str, float])["mask/AP"]


def the_rest(result: dl.Instances) -> None:
    assert_type(dl.read("image.tif"), ImageFile)
    assert_type(dl.measure(result), pd.DataFrame)
    assert_type(dl.track("clip.mp4", dl.load("nuclei")), Iterator[FoundTracks])


def mistakes(result: dl.Instances) -> None:
    dl.laod("nuclei")  # type: ignore[attr-defined]
    dl.load("nuclei").predict("a.png", confidance=0.5)  # type: ignore[call-arg]
    result.boxen  # type: ignore[attr-defined]  # noqa: B018
    result.boxes = np.zeros((0, 4), np.float32)  # type: ignore[misc]
