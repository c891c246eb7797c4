"""YOLACT outside of PyTorch: the same numbers from both runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from delineate.core.batch import InputSpec, collate
from delineate.core.labels import Labels
from delineate.models.zoo import build
from delineate.runtime.export import export
from delineate.runtime.session import Session


@pytest.mark.parametrize(("to", "ending"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_outputs_are_the_models(tmp_path: Path, to: str, ending: str) -> None:
    torch.manual_seed(0)
    spec = InputSpec(stretch=128, divisor=1)
    model = build(
        "yolact", classes=Labels(("a",)), backbone="resnet18", channels=32, norm="batch", input=spec
    ).eval()
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    batch = collate([image], spec)
    export(model, tmp_path / f"y{ending}", to=to, size=(128, 128))
    with torch.inference_mode():
        wanted = model(batch.images)
    for ours, theirs in zip(Session(tmp_path / f"y{ending}")(batch.images), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
