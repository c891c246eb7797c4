from __future__ import annotations

import numpy as np
import pytest
import torch

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.engine.load import Model
from delineate.models.zoo import build

CLASSES = Labels(("disc", "grass", "sky"), things=(True, False, False))
SMALL = {
    "backbone": "resnet10t", "queries": 8, "encoder_layers": 1, "decoder_layers": 2, "channels": 64,
    "encoder_hidden": 64, "decoder_hidden": 64, "frozen_norms": False,
    "input": InputSpec(shortest_edge=64, longest_edge=96),
}  # fmt: skip
IMAGE = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", ["mask2former", "maskdino", "dimaskdino"])
def test_all_three_outputs_of_one_model(family: str) -> None:
    torch.manual_seed(0)
    more = {"selected": 16, "guides": 4} if family == "dimaskdino" else {}
    model = Model(build(family, classes=CLASSES, **SMALL, **more))
    panoptic = model.panoptic(IMAGE, confidence=0.0, visible=0.0)
    assert panoptic.size == (50, 70) and panoptic.classes == CLASSES and len(panoptic) > 0
    stuff = panoptic.labels[~panoptic.things]
    assert len(np.unique(stuff)) == len(stuff)  # one segment per class
    assert model.panoptic(IMAGE, confidence=1.0).void == 50 * 70
    semantic = model.semantic(IMAGE)
    assert semantic.size == (50, 70) and semantic.void == 0
    assert model.predict(IMAGE, confidence=1.0).size == (50, 70)
    assert set(model.predict(IMAGE, confidence=0.0).names) == {"disc"}  # stuff is no object


def test_other_families_refuse_before_they_compute() -> None:
    model = Model(build("center_offset", channels=(8, 8)))
    for task in (model.semantic, model.panoptic):
        with pytest.raises(InputError, match="got center_offset, which finds objects alone"):
            task(IMAGE)
    with pytest.raises(InputError, match=r"confidence: expected a number in 0\.\.1"):
        model.panoptic(IMAGE, confidence=2.0)
    with pytest.raises(InputError, match=r"visible: expected a number in 0\.\.1"):
        model.panoptic(IMAGE, visible=-1.0)
