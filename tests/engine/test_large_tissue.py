"""Glass is skipped, tissue is not, and it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.rasters import open_raster
from delineate.engine.large import predict_large
from delineate.engine.large_tissue import find_tissue, tissue_mask


def slide(size: tuple[int, int] = (1200, 1600), seed: int = 0) -> np.ndarray:
    """Glass with a purple patch of tissue and a pale one."""
    random = np.random.default_rng(seed)
    image = np.clip(random.normal(240, 2, (*size, 3)), 0, 255)
    image[200:500, 100:400] = random.normal((190, 110, 170), 12, (300, 300, 3))
    image[700:900, 1200:1500] = random.normal((225, 175, 210), 6, (200, 300, 3))
    return image.clip(0, 255).astype(np.uint8)


def test_the_mask_covers_tissue_and_little_else() -> None:
    image = slide()
    mask = tissue_mask(image)
    truth = np.zeros(mask.shape, bool)
    truth[200:500, 100:400] = truth[700:900, 1200:1500] = True
    assert (mask & truth).sum() > 0.97 * truth.sum()
    assert (mask & ~truth).sum() < 0.01 * truth.sum()


@pytest.mark.parametrize("image", [np.full((50, 60, 3), 240, np.uint8), np.zeros((50, 60, 3), np.uint8)])
def test_a_picture_of_one_colour(image: np.ndarray) -> None:
    assert tissue_mask(image).any() == (image.max() == 0)  # black is no glass


def test_windows_of_glass_are_skipped_and_counted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", slide(), tile=(256, 256), photometric="rgb")
    corners: list[tuple[int, int]] = []

    def eye(window: np.ndarray) -> Instances:
        corners.append(window.shape[:2])
        return Instances.empty(window.shape[:2])

    done = predict_large(eye, tmp_path / "a.tif", tmp_path / "out", tile=256, overlap=32, save=("csv",))
    assert done.tiles == 6 * 7 and done.glass == done.tiles - len(corners) > 20
    assert any("tissue" in note for note in done.notes)
    corners.clear()
    every = predict_large(
        eye, tmp_path / "a.tif", tmp_path / "all", tile=256, overlap=32, save=("csv",), tissue=False
    )
    assert len(corners) == every.tiles and every.glass == 0


def test_a_slide_full_of_tissue_is_looked_at_wholly(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    image = random.normal((190, 110, 170), 12, (400, 400, 3)).clip(0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, tile=(256, 256), photometric="rgb")
    with open_raster(tmp_path / "a.tif") as raster:
        assert find_tissue(raster) is None


def test_grey_images_have_no_glass(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((300, 300), 240, np.uint8), tile=(256, 256))
    with open_raster(tmp_path / "a.tif") as raster, pytest.raises(InputError, match="--no-tissue"):
        find_tissue(raster)
