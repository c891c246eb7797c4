"""Who says how large a pixel is: OME-XML, ImageJ, TIFF tags, a georeference, or nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from delineate.engine.measure_scale import Scale, scale_of, voxel_scale

STACK = np.zeros((3, 8, 9), np.uint16)


def geotiff(path: Path, epsg: int, scale: tuple[float, float] = (0.5, 0.5)) -> Path:
    keys = (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, epsg)
    tags = [
        (33550, "d", 3, (*scale, 0.0), True),
        (33922, "d", 6, (0.0, 0, 0, 733601, 3725139, 0), True),
        (34735, "H", len(keys), keys, True),
    ]
    tifffile.imwrite(path, STACK[0], extratags=tags)
    return path


@pytest.mark.parametrize(
    ("epsg", "scale", "size"),
    [(32616, (0.5, 0.5), 0.5), (32733, (2.0, 2.0), 2.0), (2272, (0.5, 0.5), None), (32616, (0.5, 0.6), None)],
)
def test_a_map_in_metres(tmp_path: Path, epsg: int, scale: tuple[float, float], size: float | None) -> None:
    found = scale_of(geotiff(tmp_path / "map.tif", epsg, scale))
    assert found == (Scale(size, "m", "georeference of map.tif") if size else Scale())


def test_microscopes(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    size = {"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 900, "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(path, STACK, metadata={"axes": "ZYX", **size})
    assert scale_of(path) == Scale(0.2, "µm", "OME-XML of a.ome.tif")
    assert voxel_scale(path).size == pytest.approx((0.9, 0.2, 0.2))
    path = tmp_path / "b.tif"
    about = {"spacing": 1.5, "unit": "um", "axes": "ZYX"}
    tifffile.imwrite(path, STACK, imagej=True, resolution=(4, 4), metadata=about)
    assert voxel_scale(path).size == pytest.approx((1.5, 0.25, 0.25))
    assert voxel_scale(path).source == "ImageJ of b.tif"


def test_nobody_says(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", STACK[0])
    (tmp_path / "d.tif").write_bytes(b"II*\0 damaged")
    assert scale_of(tmp_path / "c.tif") == voxel_scale(tmp_path / "c.tif") == Scale()
    assert scale_of(tmp_path / "d.tif") == scale_of(None) == Scale()
    assert scale_of(None, 0.3) == Scale(0.3, "µm", "the image's file")
