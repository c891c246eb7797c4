"""Prediction through a model's three steps: settings, tiles, depths, and whatever holds an image."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from delineate.core.batch import Batch, InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.load import Model
from delineate.engine.predict import predict
from delineate.models.base import Segmenter


class Bright(Segmenter):
    """Finds connected bright regions: a model without weights that answers exactly."""

    def __init__(self, tile: int | None = None, scaling: str = "range") -> None:
        super().__init__()
        self.classes = Labels(("blob",))
        self.input = InputSpec(None, None, 32, (0, 0, 0), (1, 1, 1), scaling, tile, 24)
        self.settings, self.family = {}, "bright"
        self.windows = 0

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        self.windows += 1
        return images.mean(1)  # (B, H, W)

    def instances(
        self,
        outputs: Tensor,
        batch: Batch,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
    ) -> list[Instances]:
        results = []
        for image, size in zip(outputs, batch.originals, strict=True):
            bright = (image[: size[0], : size[1]] > (confidence or 0.5)).numpy().astype(np.uint8)
            labels = cv2.connectedComponents(bright)[1]
            masks = Masks.from_label_image(labels)
            scores = np.linspace(1, 0.5, len(masks))
            results.append(Instances(size, masks=masks, scores=scores, classes=self.classes)[:max_det])
        return results


def disks(
    size: tuple[int, int] = (150, 200), step: int = 30, value: Any = 255, dtype: type = np.uint8
) -> np.ndarray:
    rows, columns = np.ogrid[: size[0], : size[1]]
    inside = (rows % step - step // 2) ** 2 + (columns % step - step // 2) ** 2 < 80
    return (inside * value).astype(dtype)


def same(a: Instances, b: Instances) -> bool:
    assert a.masks is not None and b.masks is not None
    order_a = np.lexsort(a.boxes.T)
    order_b = np.lexsort(b.boxes.T)
    return a.masks[order_a] == b.masks[order_b]


@pytest.mark.parametrize(
    "image",
    [
        disks(),
        np.repeat(disks()[:, :, None], 3, axis=2),
        disks(value=4000, dtype=np.uint16),
        disks(value=0.01, dtype=np.float32),
    ],
    ids=["uint8", "rgb", "uint16", "float32"],
)
@pytest.mark.parametrize("scaling", ["range", "percentile"])
def test_tiled_is_as_untiled_at_every_depth(image: np.ndarray, scaling: str) -> None:
    whole = predict(Bright(scaling=scaling), image, tile=0)
    assert len(whole) == 35
    model = Bright(tile=64, scaling=scaling)
    tiled = predict(model, image)
    assert model.windows > 1
    assert same(whole, tiled)
    assert same(whole, predict(Bright(scaling=scaling), image, tile=80))


def test_a_dark_tile_is_not_stretched_on_its_own() -> None:
    image = np.zeros((100, 300), dtype=np.uint16)
    image[40:60, 20:40] = 60000
    image[:, 150:] = np.random.default_rng(0).integers(0, 300, (100, 150))
    found = predict(Bright(tile=100), image)
    assert found.boxes.tolist() == [[20, 40, 40, 60]]


def test_the_models_tile_is_used_only_above_it_and_0_never() -> None:
    for tile, image, windows in [("auto", disks((64, 64)), 1), ("auto", disks(), 24), (0, disks(), 1)]:
        model = Bright(tile=64)
        predict(model, image, tile=tile)
        assert model.windows == windows


def test_settings_reach_the_model_and_its_mode_is_kept() -> None:
    model = Bright().train()
    assert len(predict(model, disks(value=200), confidence=0.9)) == 0
    assert len(predict(model, disks(), max_det=3)) == 3
    assert model.training


def test_a_cut_at_max_det_over_all_tiles_is_told(caplog: pytest.LogCaptureFixture) -> None:
    found = predict(Bright(tile=64), disks(), max_det=10)
    assert len(found) == 10
    assert "kept the 10 best of" in caplog.text


def test_progress_counts_tiles_and_callables_may_be_tiled() -> None:
    calls: list[tuple[int, int]] = []
    model = Bright()
    found = predict(
        lambda window: predict(model, window), disks(), tile=100, progress=lambda *a: calls.append(a)
    )
    assert same(found, predict(model, disks()))
    assert calls == [(k, len(calls)) for k in range(1, len(calls) + 1)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"confidence": 1.5}, "predict, confidence: expected a number in 0..1"),
        ({"iou": -1}, "predict, iou: expected a number in 0..1"),
        ({"max_det": 0}, "predict, max_det: expected 1 or more"),
        ({"tile": 5}, "predict, tile: expected"),
        ({"tile": "big"}, "predict, tile: expected"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict(Bright(), disks(), **settings)
    with pytest.raises(InputError, match="predict: expected a model or a callable"):
        predict(3, disks())  # type: ignore[arg-type]


def encoded(format: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(disks()).save(buffer, format)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "source",
    [
        disks(),
        disks().astype(bool),
        disks().astype(np.float64),
        disks(value=60000, dtype=np.int32),
        disks()[:, :, None],
        np.dstack([disks()] * 3 + [np.zeros((150, 200), np.uint8)]),
        Image.fromarray(disks()),
        Image.fromarray(disks()).convert("P"),
        Image.fromarray(disks()).convert("RGBA"),
        torch.from_numpy(disks()),
        torch.from_numpy(np.stack([disks()] * 3)),
        encoded("PNG"),
        io.BytesIO(encoded("TIFF")),
    ],
    ids=lambda s: f"{type(s).__name__}",
)
def test_whatever_holds_an_image(source: Any) -> None:
    assert same(Model(Bright()).predict(source), predict(Bright(), disks()))


def test_files_and_chosen_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    model = Model(Bright())
    assert len(model.predict(path)) == len(model.predict(str(path))) == len(model(disks())) == 35
    five = np.dstack([np.zeros_like(disks())] * 4 + [disks()])
    assert len(model.predict(five, channels=4)) == 35
    assert len(model.predict(five, channels=(4, 4, 4))) == 35
    upside = tmp_path / "b.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(disks()).save(upside, exif=exif)
    assert model.predict(upside).size == model.predict(Image.open(upside)).size == (200, 150)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 50, 60), np.uint8), r"image.transpose\(1, 2, 0\)"),
        (np.zeros((50, 60, 2), np.uint8), "expected 1 or 3 channels"),
        (np.zeros((0, 5)), "expected pixels"),
        (np.zeros(5), "expected pixels"),
        (np.zeros((5, 5, 5, 5)), "expected pixels"),
        (np.full((4, 4), np.nan), "expected finite pixels"),
        (np.full((4, 4), np.inf, np.float32), "expected finite pixels"),
        (np.zeros((4, 4), complex), "expected numbers"),
        (np.full((4, 4), "a"), "expected numbers"),
        ("missing.png", "missing.png: expected an image file"),
        (None, "expected a path, array"),
        (42, "expected a path, array"),
        (b"", "empty"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        Model(Bright()).predict(source)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channels", [5, -1, (0, 1), (), (0, 1, 9)])
def test_channels_that_are_not_there_are_refused(channels: Any) -> None:
    with pytest.raises(InputError, match="channels: expected one or three"):
        Model(Bright()).predict(np.zeros((8, 8, 5), np.uint8), channels=channels)
