"""Pages, times and slices of files as images, channels by number and by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from delineate.core.errors import InputError
from delineate.data.channel_names import channel_names
from delineate.data.projection import project
from delineate.data.rasters.write_ome_zarr import OmeZarrWriter
from delineate.engine.batch_sources import Reading, images_of

STACK = np.random.default_rng(0).integers(0, 255, (3, 4, 2, 20, 30)).astype(np.uint8)  # T Z C Y X


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacks")
    names = {"Channel": {"Name": ["DAPI", "GFP"]}, "PhysicalSizeX": 0.3, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(folder / "ome.tif", STACK, ome=True, metadata={"axes": "TZCYX", **names})
    tifffile.imwrite(folder / "imagej.tif", STACK, imagej=True, metadata={"axes": "TZCYX"})
    tifffile.imwrite(folder / "pages.tif", STACK[0, :, 0], photometric="minisblack")
    tifffile.imwrite(folder / "times.tif", STACK[:, 0, 0], imagej=True, metadata={"axes": "TYX"})
    return folder


@pytest.mark.parametrize("name", ["ome.tif", "imagej.tif"])
@pytest.mark.parametrize("how", ["max", "mean", "focus"])
def test_each_time_is_one_image_of_all_its_slices(files: Path, name: str, how: str) -> None:
    units = list(images_of(str(files / name), Reading(channels=(1,), z=how)))
    assert [u.suffix for u in units] == [".t0", ".t1", ".t2"]
    for time, unit in enumerate(units):
        np.testing.assert_array_equal(unit.image.pixels, project(STACK[time, :, 1], how))
        assert f"{how} of 4 slices" in unit.image.notes
    assert units[0].image.pixel_size == (0.3 if name == "ome.tif" else None)


def test_a_slice_is_taken_by_its_number(files: Path) -> None:
    units = list(images_of(str(files / "ome.tif"), Reading(channels=("gfp",), z=2)))
    np.testing.assert_array_equal([u.image.pixels for u in units], STACK[:, 2, 1])
    (alone,) = images_of(str(files / "pages.tif"), Reading(z=0))
    np.testing.assert_array_equal(alone.image.pixels, STACK[0, 0, 0])
    assert alone.suffix == ""


def test_without_a_projection_every_page_is_an_image(files: Path) -> None:
    units = list(images_of(str(files / "times.tif"), Reading()))
    np.testing.assert_array_equal([u.image.pixels for u in units], STACK[:, 0, 0])
    assert len(list(images_of(str(files / "ome.tif"), Reading(channels=(0,))))) == 12


def test_what_is_done_is_not_decoded(files: Path) -> None:
    wanted = images_of(str(files / "pages.tif"), Reading(), done=lambda k: k != 2, count=4)
    assert [u.number for u in wanted] == [2]
    wanted = images_of(str(files / "ome.tif"), Reading(channels=(0,), z="max"), done=lambda k: k < 2)
    assert [u.number for u in wanted] == [2]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_channels_of_an_ome_zarr_have_names(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.ome.zarr"
    pixels = np.moveaxis(STACK[0, 0], 0, 2)
    with OmeZarrWriter(
        path,
        (20, 30),
        channels=2,
        channel_names=["DAPI", "GFP"],
        version=version,  # type: ignore[arg-type]
    ) as out:
        out.write(0, 0, pixels)
    assert channel_names(path) == ("DAPI", "GFP")
    (unit,) = images_of(str(path), Reading(channels=("GFP",)))
    np.testing.assert_array_equal(unit.image.pixels, pixels[:, :, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": ("RFP",)}, "expected one channel called 'RFP', got 'DAPI', 'GFP'"),
        ({"channels": (0,), "z": 9}, "expected a slice in 0..3"),
        ({"channels": (7,), "z": "max"}, "expected channels in 0..1"),
        ({}, "got 2; choose some"),
    ],
)
def test_what_is_not_there_is_told(files: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(images_of(str(files / "ome.tif"), Reading(**settings)))  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"z": "median"}, {"z": -1}, {"z": "max", "page": 1}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected"):
        Reading(**settings)  # type: ignore[arg-type]


def test_damaged_stacks_are_told(files: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.tif"
    torn.write_bytes((files / "imagej.tif").read_bytes()[:9000])
    for reading in (Reading(channels=(0,)), Reading(channels=(0,), z="max")):
        (unit,) = images_of(str(torn), reading)  # the first page is all that is whole
        assert any("invalid page offset" in note for note in unit.image.notes)
    torn.write_bytes((files / "pages.tif").read_bytes()[:1500])
    with pytest.raises(InputError, match=r"torn\.tif"):
        list(images_of(str(torn), Reading(z="max")))
