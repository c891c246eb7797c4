"""Measured by windows and measured whole: the same rows, whatever the file and wherever the objects lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

import delineate
from delineate.cli import main
from delineate.core.errors import InputError
from delineate.data.rasters import OmeZarrWriter
from delineate.engine import measure_files, measure_joined, measure_large_files, measure_survey
from delineate.engine import measure_large as measure_large_module
from delineate.engine.measure_large import measure_large
from delineate.engine.measure_large_files import large_labels
from delineate.engine.measure_scale import Scale
from delineate.engine.measure_survey import bands
from delineate.measurements import Groups

EVERYTHING = {"neighbours": True, "radius": 30, "texture": True, "levels": 8, "background": 3}


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_large_module, "TILE", 48)
    monkeypatch.setattr(measure_large_files, "LARGE_PIXELS", 1000)
    monkeypatch.setattr(measure_survey, "PIXELS_AT_ONCE", 6000)
    monkeypatch.setattr(measure_survey, "GRAIN", 16)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Objects of all sizes, on the borders of tiles and of the image, one in two far parts."""
    random = np.random.default_rng(4)
    labels = np.zeros((230, 270), np.uint32)
    y, x = np.indices(labels.shape)
    for k in range(90):
        cy, cx = random.uniform(0, labels.shape)
        near = (y - cy) ** 2 / random.uniform(6, 60) + (x - cx) ** 2 / random.uniform(6, 60) < 1
        labels[near & (labels == 0)] = 7 * k + 3_000_000
    labels[20:200, 130:136] = 5  # longer than a tile
    labels[3:9, 3:9] = labels[220:226, 250:262] = 77
    return labels, random.integers(0, 4000, (*labels.shape, 2)).astype(np.uint16)


def written(kind: str, labels: np.ndarray, image: np.ndarray, folder: Path) -> tuple[Path, Path]:
    picture = folder / "image.tif"
    planes = np.moveaxis(image, -1, 0) if image.ndim == 3 else image
    axes = {"axes": "CYX" if image.ndim == 3 else "YX"}
    tifffile.imwrite(picture, planes, tile=(64, 64), photometric="minisblack", metadata=axes, ome=True)
    if kind == "tiff":
        tifffile.imwrite(folder / "labels.tif", labels, tile=(32, 32), compression="deflate")
        return folder / "labels.tif", picture
    pytest.importorskip("zarr", reason="no zarr; pip install 'delineate[bio]'")
    path = folder / "labels.ome.zarr"
    with OmeZarrWriter(path, labels.shape, dtype=np.uint32, labels="cells") as writer:
        writer.write(0, 0, labels)
    return path, picture


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
@pytest.mark.parametrize("chosen", [{}, EVERYTHING])
def test_rows_are_those_of_the_whole_image(kind: str, chosen: dict, tmp_path: Path) -> None:
    labels, image = scene()
    paths = written(kind, labels, image, tmp_path)
    files = large_labels(*paths, None, (0, 1))
    assert files is not None
    found = measure_large(files, Groups(**chosen), Scale(0.5, "µm"))
    whole = delineate.measure(labels, image, pixel_size=0.5, **chosen)
    pd.testing.assert_frame_equal(found.frame, whole, check_like=True, check_dtype=False, rtol=1e-9)
    assert set(found.frame.attrs["units"].items()) == set(whole.attrs["units"].items())
    assert found.frame.attrs["coverage"] == pytest.approx(whole.attrs["coverage"])
    if chosen:
        assert found.pairs is not None and len(found.pairs) == whole["touching"].sum() / 2


def test_labels_alone_and_none_at_all(tmp_path: Path) -> None:
    labels, image = scene()
    path, picture = written("tiff", labels * 0, image, tmp_path)
    for given in (None, picture):
        files = large_labels(path, given, None, None if given is None else (0, 1))
        assert files is not None
        found = measure_large(files, Groups(neighbours=True, texture=given is not None), Scale())
        assert len(found.frame) == 0 and "touching" in found.frame
        assert ("intensity_mean-1" in found.frame) == (given is not None)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    labels, image = scene()
    path, picture = written("tiff", labels[:-1], image, tmp_path)
    with pytest.raises(InputError, match="expected an image of"):
        large_labels(path, picture, None, (0, 1))


def test_bands_cover_every_row_once() -> None:
    for size in [(1, 1), (100, 7), (230, 270), (5, 100_000)]:
        rows = [row for top, bottom in bands(size) for row in range(top, bottom)]
        assert rows == list(range(size[0]))


def test_the_command_gives_the_same_with_pictures_by_tiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, image = scene()
    path, picture = written("tiff", labels, image[..., 0], tmp_path)
    command = ["measure", str(path), "--images", str(picture), "--pixel-size", "2", "--neighbours"]
    monkeypatch.setattr(measure_files, "MOST_NOTED", 10)
    monkeypatch.setattr(measure_joined, "LONG", 10)
    assert main([*command, "--page", "--out", str(tmp_path / "by-tiles")]) == 0
    monkeypatch.setattr(measure_large_files, "LARGE_PIXELS", 10**9)
    assert main([*command, "--page", "--out", str(tmp_path / "whole")]) == 0
    tables = [
        pd.read_csv(tmp_path / out / "objects.csv").drop(columns=["overlay", "link"])
        for out in ("by-tiles", "whole")
    ]
    pd.testing.assert_frame_equal(*tables, check_like=True)
    rows = pd.read_csv(tmp_path / "by-tiles" / "objects.csv")
    for row in rows.to_dict("records"):
        page, _, number = row["link"].partition("#")
        text = (tmp_path / "by-tiles" / page).read_text("utf-8")
        assert int(number) == row["label"] and f">{number}</text>" in text
        assert (tmp_path / "by-tiles" / row["overlay"]).is_file()
    assert (tmp_path / "by-tiles" / "index.html").is_file()
    lines = [pd.read_csv(tmp_path / out / "images.csv") for out in ("by-tiles", "whole")]
    same = [line.drop(columns=["page", "overlay"], errors="ignore") for line in lines]
    pd.testing.assert_frame_equal(*same, check_like=True)
    assert pd.read_csv(tmp_path / "whole" / "pairs.csv").equals(
        pd.read_csv(tmp_path / "by-tiles" / "pairs.csv")
    )
