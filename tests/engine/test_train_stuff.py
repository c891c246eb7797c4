"""Training where the data has stuff."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.data.dataset import Dataset, open_dataset
from delineate.data.formats import coco_panoptic
from delineate.data.write import write_png
from delineate.engine import setup
from delineate.engine.config import parse_recipe
from delineate.engine.load import load
from delineate.engine.train import train
from delineate.models.zoo import build

CLASSES = Labels(("disc", "grass", "sky"), things=(True, False, False))


def data(folder: Path) -> Dataset:
    """Two pictures whose colours are the classes."""
    image = np.full((64, 64), 2)
    image[:30] = 3
    image[20:44, 20:44] = 1
    truth = Panoptic(image, labels=[0, 1, 2], classes=CLASSES)
    colours = np.array([[0, 0, 0], [220, 40, 40], [40, 160, 60], [120, 160, 250]], np.uint8)
    names = ["a.png", "b.png"]
    for name in names:
        write_png(folder / name, colours[image])
    return open_dataset(
        coco_panoptic.write(folder / "all.json", [(n, i, truth) for i, n in enumerate(names)])
    )


def test_models_of_more_than_objects_see_stuff(tmp_path: Path) -> None:
    samples = data(tmp_path)
    small: dict[str, Any] = {"classes": CLASSES, "backbone": "resnet10t"}
    semantic = build("semantic_fpn", **small)
    assert setup.with_stuff(samples, semantic)[0].truth.names == ["disc", "grass", "sky"]
    assert setup.with_stuff(samples, build("mask_rcnn", **small)) is samples
    objects = samples.subset([0])
    assert setup.with_stuff([objects[0]], semantic)[0].truth.names == ["disc"]  # type: ignore[arg-type]


def test_a_recipe_from_data_to_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = data(tmp_path)
    recipe = parse_recipe(
        {
            "model": {
                "name": "semantic_fpn",
                "settings": {
                    "backbone": "resnet10t", "channels": 32, "width": 32, "neck_norm": "group",
                    "input": {"shortest_edge": 64, "longest_edge": 64},
                },
            },
            "augment": {"crop": 64, "scale": [1.0, 1.0], "mosaic": 0.3, "copy_paste": 0.3},
            "train": {"steps": 16, "batch_size": 2, "lr": 3e-3, "warmup_steps": 2, "ema": 0.0, "threads": 1},
        }
    )  # fmt: skip
    with caplog.at_level(logging.WARNING):
        result = train(recipe, tmp_path / "run", device="cpu", sources=(samples, samples), quiet=True)
    assert not caplog.records
    assert result.best is not None and result.best >= result.scores["semantic/mIoU"] > 0
    assert set(result.scores) == {"semantic/mIoU", "semantic/pACC"}
    model = load(weights=tmp_path / "run" / "best.safetensors")
    report = model.evaluate(samples, metrics=["semantic"], progress=False)
    assert report.scores["semantic/mIoU"] == pytest.approx(result.best)
