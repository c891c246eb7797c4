"""Zarr images and slides where any image may stand: read, read_size, read_labels, find, the command."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.data.find import find
from delineate.data.images import pages, read, read_labels, read_size
from delineate.data.rasters import OmeZarrWriter

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 255, (60, 80, 3), np.uint8)
IDS = RNG.integers(0, 70000, (60, 80), dtype=np.uint32)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "a.ome.zarr"
    with OmeZarrWriter(path, (60, 80), channels=3, pixel_size=0.5) as out:
        out.write(0, 0, COLOUR)
    with OmeZarrWriter(path, (60, 80), dtype=np.uint32, labels="cells") as out:
        out.write(0, 0, IDS)
    return path


def test_a_zarr_image_is_an_image(store: Path) -> None:
    image = read(store)
    assert np.array_equal(image.pixels, COLOUR) and image.pixel_size == 0.5 and image.format == "Zarr"
    assert np.array_equal(read(str(store), channels=2).pixels, COLOUR[:, :, 2])
    assert read_size(store) == (60, 80) and np.array_equal(read_labels(store), IDS)
    packed = shutil.make_archive(str(store), "zip", store)
    assert np.array_equal(read(packed).pixels, COLOUR)
    with pytest.raises(InputError, match="megapixels"):
        read(store, max_pixels=4000)
    with pytest.raises(InputError, match="megapixels"):
        read_labels(store, max_pixels=4000)
    with pytest.raises(InputError, match=r"page in 0\.\.0"):
        read(store, page=1)


def test_pages_are_times_and_slices(tmp_path: Path) -> None:
    stack = RNG.integers(0, 255, (2, 3, 40, 50), np.uint8)
    group = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=2)
    group.attrs.update({"multiscales": [{"axes": list("tzyx"), "datasets": [{"path": "0"}]}]})
    zarr.create_array(group.store_path / "0", data=stack, zarr_format=2)
    found = list(pages(tmp_path / "a.zarr"))
    assert [(image.page, image.pages) for image in found] == [(k, 6) for k in range(6)]
    assert np.array_equal([image.pixels for image in found], stack.reshape(6, 40, 50))
    assert "first of 3 slices" in read(tmp_path / "a.zarr").notes


def test_folders_hold_zarr_images_and_slides(store: Path, tmp_path: Path) -> None:
    for name in ("b.png", "c.svs", "d.mrxs", "e.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder").mkdir()
    assert [p.name for p in find([tmp_path])] == ["a.ome.zarr", "b.png", "c.svs", "d.mrxs"]
    assert find([store]) == [store] == find([tmp_path / "*.zarr"])


def test_without_zarr(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(ImportError, match=r"delineate\[bio\]"):
        read(store)


def test_the_same_objects_from_zarr_as_from_png(data_dir: Path, tmp_path: Path) -> None:
    """One real image, stored three ways, gives the very same objects."""
    import delineate as dl
    from delineate.data.rasters import OmeTiffWriter
    from delineate.data.write import write_png

    source = sorted((data_dir / "dsb2018" / "images").iterdir())[0]
    pixels = read(source).pixels[:256, :256]
    channels = 1 if pixels.ndim == 2 else 3
    write_png(tmp_path / "a.png", pixels)
    kinds: list[Any] = [OmeZarrWriter(tmp_path / "a.zarr", pixels.shape[:2], channels=channels)]
    kinds.append(OmeTiffWriter(tmp_path / "a.ome.tif", pixels.shape[:2], channels=channels))
    for writer in kinds:
        with writer:
            writer.write(0, 0, pixels)
    model = dl.load("nuclei")
    one, *others = (model.predict(tmp_path / name) for name in ("a.png", "a.zarr", "a.ome.tif"))
    for other in others:
        assert len(one) == len(other) > 0 and np.array_equal(one.boxes, other.boxes)
