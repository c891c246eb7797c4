"""OME-Zarr: what is written is read again, by us and by zarr itself; what others write, too."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.data.rasters import open_raster
from delineate.data.rasters.write_ome_zarr import OmeZarrWriter

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (150, 210, 3), np.uint8)
IDS = RNG.integers(0, 70000, (150, 210), dtype=np.uint32)
VERSIONS = ("0.4", "0.5")


def parts(pixels: Any, side: int) -> Any:
    """Windows of an image in no order."""
    corners = [(x, y) for y in range(0, pixels.shape[0], side) for x in range(0, pixels.shape[1], side)]
    for at in RNG.permutation(len(corners)):
        x, y = corners[at]
        yield x, y, pixels[y : y + side, x : x + side]


def image(path: Path, version: Any = "0.5", pixels: Any = COLOUR, **settings: Any) -> Path:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    settings = {"tile": 64, "version": version} | settings
    with OmeZarrWriter(path, pixels.shape[:2], channels=channels, dtype=pixels.dtype, **settings) as out:
        out.write_all(parts(pixels, 50))
    return path


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_and_its_labels(version: Any, tmp_path: Path) -> None:
    path = image(tmp_path / "a.ome.zarr", version, pixel_size=0.25)
    image(path, pixels=IDS, labels="cells", version="0.5")  # takes the store's version
    with open_raster(path) as raster:
        assert (raster.size, raster.channels, raster.dtype, raster.colour) == ((150, 210), 3, np.uint8, True)
        assert raster.levels == ((150, 210), (75, 105), (38, 53)) and raster.pixel_size == 0.25
        assert np.array_equal(raster.window(3, 4, 200, 149), COLOUR[4:149, 3:200])
        half = COLOUR.reshape(75, 2, 105, 2, 3).mean(axis=(1, 3))
        assert np.abs(raster.window(0, 0, 105, 75, level=1) - half).max() <= 0.5
    for labels in (open_raster(path, labels=True), open_raster(path / "labels" / "cells", labels=True)):
        assert labels.dtype == np.uint32 and len(labels.levels) == 3 and labels.pixel_size == 0.25
        assert np.array_equal(labels.window(0, 0, 210, 150), IDS)
        assert np.array_equal(labels.window(0, 0, 105, 75, level=1), IDS[1::2, 1::2])
    whole = zarr.open_group(str(path), mode="r")
    assert whole.metadata.zarr_format == (2 if version == "0.4" else 3)
    assert np.array_equal(whole["0"][:], COLOUR.transpose(2, 0, 1))
    assert np.array_equal(whole["labels/cells/0"][:], IDS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ome.zarr"]
    assert not [p for p in path.rglob("*") if p.name.endswith((".tmp", ".old"))]


@pytest.mark.parametrize("version", VERSIONS)
def test_metadata_are_those_of_the_standard(version: Any, tmp_path: Path) -> None:
    """OME-NGFF 0.4 and 0.5, sections on axes, multiscales, labels and image-label: what MUST be there."""
    path = image(tmp_path / "a.ome.zarr", version, pixel_size=0.5)
    with OmeZarrWriter(path, IDS.shape, dtype=np.uint32, labels="cells", tile=64) as out:
        out.describe([{"label-value": 1, "class": "nucleus"}])
    root = zarr.open_group(str(path), mode="r")
    for group, axes in ((root, "cyx"), (root["labels/cells"], "yx")):
        told = dict(group.attrs)
        if version == "0.5":
            assert told["ome"]["version"] == "0.5"
            told = told["ome"]
        (scale,) = told["multiscales"]
        assert "".join(axis["name"] for axis in scale["axes"]) == axes
        assert all(axis["unit"] == "micrometer" for axis in scale["axes"] if axis["type"] == "space")
        for k, entry in enumerate(scale["datasets"]):
            (change,) = entry["coordinateTransformations"]
            assert change["type"] == "scale" and change["scale"][-2:] == [0.5 * 2**k] * 2
            array = group[entry["path"]]
            assert array.ndim == len(change["scale"]) == len(axes)
            if version == "0.5":
                assert array.metadata.dimension_names == tuple(axes)
            else:
                assert (
                    json.loads((path / group.path / entry["path"] / ".zarray").read_text())[
                        "dimension_separator"
                    ]
                    == "/"
                )
    label = dict(root["labels/cells"].attrs)
    label = label.get("ome", label)["image-label"]
    assert label["version"] == version and label["source"] == {"image": "../../"}
    assert label["properties"] == [{"label-value": 1, "class": "nucleus"}]
    inside = dict(root["labels"].attrs)
    assert inside.get("ome", inside)["labels"] == ["cells"]


def test_a_store_of_labels_alone(tmp_path: Path) -> None:
    path = image(tmp_path / "ids.ome.zarr", pixels=IDS, labels="cells")
    image(path, pixels=IDS, labels="nuclei")
    for series in range(2):
        raster = open_raster(path, labels=True, series=series)
        assert np.array_equal(raster.window(0, 0, 210, 150), IDS)
    assert raster.notes == ("one of 2 images (labels/nuclei)",)
    empty = tmp_path / "none.ome.zarr"
    with OmeZarrWriter(empty, (40, 30), dtype=np.uint16, labels="cells"):
        pass
    assert not open_raster(empty, labels=True).window(0, 0, 30, 40).any()


def test_what_is_there_stays_unless_it_is_to_go(tmp_path: Path) -> None:
    path = image(tmp_path / "a.ome.zarr")
    with pytest.raises(InputError, match="one that is there"):
        image(path, pixels=COLOUR[:90])
    with pytest.raises(ValueError, match="stop"), OmeZarrWriter(path, (9, 9), overwrite=True) as out:
        out.write(0, 0, COLOUR[:9, :9, 0])
        raise ValueError("stop")
    with pytest.raises(ValueError, match="stop"), OmeZarrWriter(path, (150, 210), labels="cells"):
        raise ValueError("stop")
    assert open_raster(path).size == (150, 210) and not (path / "labels").exists()
    image(path, pixels=COLOUR[:90], overwrite=True)
    assert open_raster(path).size == (90, 210) and [p.name for p in tmp_path.iterdir()] == ["a.ome.zarr"]


@pytest.mark.parametrize(
    ("settings", "window"),
    [
        ({}, (0, 0, COLOUR)),
        ({}, (-1, 0, IDS.astype(np.uint8))),
        ({}, (1, 0, IDS.astype(np.uint8))),
        ({}, (0, 0, IDS)),
        ({"dtype": np.int64}, None),
        ({"dtype": np.float32, "labels": "cells"}, None),
        ({"labels": "../cells"}, None),
        ({"channels": 0}, None),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], window: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="expected"),
        OmeZarrWriter(tmp_path / "a.zarr", (150, 210), **settings) as out,
    ):
        out.write(*window)
    assert list(tmp_path.iterdir()) == []


def test_labels_of_another_size_than_the_image(tmp_path: Path) -> None:
    path = image(tmp_path / "a.ome.zarr")
    with pytest.raises(InputError, match="labels of the image's"):
        OmeZarrWriter(path, (10, 10), dtype=np.uint16, labels="cells")


def others(path: Path, shape: tuple[int, ...], axes: Any, attributes: dict[str, Any], **array: Any) -> Any:
    """An image as other tools write it."""
    group = zarr.create_group(str(path), zarr_format=2)
    stored = zarr.create_array(
        group.store_path / "full", shape=shape, dtype="uint16", zarr_format=2, fill_value=7, **array
    )
    stored[:] = np.arange(np.prod(shape)).reshape(shape) % 60000
    scale = {"datasets": [{"path": "full"}]} | ({"axes": axes} if axes else {})
    group.attrs.update({"multiscales": [scale]} | attributes)
    return stored[:]


def test_five_dimensions_of_version_three(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    want = others(path, (2, 4, 3, 40, 50), list("tczyx"), {}, chunks=(1, 2, 2, 16, 16))
    raster = open_raster(path, time=1, z=2, channels=(3, 0))
    assert (raster.times, raster.slices, raster.pixel_size) == (2, 3, None)
    assert np.array_equal(raster.window(5, 6, 40, 39), want[1, [3, 0], 2, 6:39, 5:40].transpose(1, 2, 0))
    assert np.array_equal(open_raster(path, z="max", channels=1).window(0, 0, 50, 40), want[0, 1].max(axis=0))
    assert open_raster(path, channels="all").channels == 4
    for wrong in ({}, {"channels": 4}, {"channels": 0, "time": 2}, {"channels": 0, "z": 9}, {"series": 1}):
        with pytest.raises(InputError, match="expected"):
            open_raster(path, **wrong)  # type: ignore[arg-type]


def test_old_versions_have_five_axes_without_names(tmp_path: Path) -> None:
    want = others(tmp_path / "a.zarr", (1, 1, 1, 40, 50), None, {})
    assert np.array_equal(open_raster(tmp_path / "a.zarr").window(0, 0, 50, 40), want[0, 0, 0])


def test_several_images_are_series(tmp_path: Path) -> None:
    plate = tmp_path / "plate.zarr"
    group = zarr.create_group(str(plate), zarr_format=2)
    group.attrs.update({"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    wanted = []
    for well in ("A/1", "B/2"):
        zarr.create_group(str(plate / well), zarr_format=2).attrs.update(
            {"well": {"images": [{"path": "0"}, {"path": "1"}]}}
        )
        wanted += [others(plate / well / str(k), (20, 30 + k), ["y", "x"], {}) for k in range(2)]
    for series, want in enumerate(wanted):
        raster = open_raster(plate, series=series)
        assert raster.size == want.shape and raster.notes[0].startswith("one of 4 images")
    with pytest.raises(InputError, match=r"A/1/0, A/1/1, B/2/0"):
        open_raster(plate, series=4)
    many = tmp_path / "many.zarr"
    zarr.create_group(str(many), zarr_format=2).attrs.update({"bioformats2raw.layout": 3})
    for k in range(2):
        others(many / str(k), (20 + k, 30), ["y", "x"], {})
    assert open_raster(many, series=1).size == (21, 30)


def test_zipped(tmp_path: Path) -> None:
    path = image(tmp_path / "a.ome.zarr")
    packed = shutil.make_archive(str(tmp_path / "b.ome.zarr"), "zip", path)
    with open_raster(packed) as raster:
        assert np.array_equal(raster.window(0, 0, 210, 150), COLOUR)
        again = pickle.loads(pickle.dumps(raster))
    assert np.array_equal(again.window(9, 9, 20, 20), COLOUR[9:20, 9:20])
    again.close()
    (tmp_path / "bad.zarr.zip").write_bytes(b"no zip")
    with pytest.raises(InputError, match="expected an OME-Zarr image"):
        open_raster(tmp_path / "bad.zarr.zip")


def test_missing_chunks_are_the_fill_value_and_damaged_ones_an_error(
    bad_inputs: Path, tmp_path: Path
) -> None:
    raster = open_raster(bad_inputs / "zarr" / "chunk_missing_and_truncated.zarr")
    assert raster.size == (128, 128) and not raster.window(64, 0, 128, 128).any()
    with pytest.raises(InputError, match="expected a whole chunk at x 0, y 0 of level 0"):
        raster.window(0, 0, 128, 128)
    path = tmp_path / "a.zarr"
    others(path, (40, 50), ["y", "x"], {}, chunks=(16, 16))
    (path / "full" / "0.1").unlink()
    assert (open_raster(path).window(16, 0, 32, 16) == 7).all()
    (path / "full" / "0.0").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="damaged"):
        open_raster(path).window(0, 0, 50, 40)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"multiscales": []},
        {"multiscales": [{"datasets": [{"path": "none"}]}]},
        {"multiscales": 3},
        {"ome": 3},
    ],
)
def test_damaged_metadata(attributes: dict[str, Any], tmp_path: Path) -> None:
    group = zarr.create_group(str(tmp_path / "a.zarr"))
    group.attrs.update(attributes)
    with pytest.raises(InputError, match="expected the metadata"):
        open_raster(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="expected an OME-Zarr image"):
        open_raster(tmp_path / "a.zarr")
