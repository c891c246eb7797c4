"""Images by windows: the same objects as of the whole image, in files that agree with each other."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely.geometry
import tifffile
from scipy import ndimage

from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.large import predict_large
from delineate.engine.large_outputs import KINDS
from delineate.engine.large_windows import Region, brightness_by_windows, cells
from delineate.models.base import Segmenter

EVERYTHING = tuple(k for k in KINDS if k != "zarr")


def eye(window: np.ndarray) -> Instances:
    """Every connected bright part: what a perfect eye sees through a window."""
    grey = window if window.ndim == 2 else window[:, :, 0]
    labels, _ = ndimage.label(grey > 100)
    return Instances(grey.shape, masks=Masks.from_label_image(labels))


def blobs(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Blobs of many sizes, some larger than any overlap, and one that winds through all rows."""
    random = np.random.default_rng(seed)
    image = (ndimage.gaussian_filter(random.normal(size=size), 4) > 0.03) * 200
    image[:, size[1] // 2 : size[1] // 2 + 3] = 200
    image[:, size[1] // 2 - 6 : size[1] // 2] = 0
    image[:, size[1] // 2 + 3 : size[1] // 2 + 9] = 0
    return image.astype(np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "blobs.tif"
    tifffile.imwrite(path, blobs((500, 620)), tile=(64, 64), compression="zlib")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_files_hold_the_objects_of_the_whole_image(picture: Path, tmp_path: Path) -> None:
    expected = eye(tifffile.imread(picture))
    done = predict_large(eye, picture, tmp_path / "out", tile=128, overlap=32, save=EVERYTHING)
    assert done.count == len(expected)
    labels = tifffile.imread(done.files["labels"])
    assert labels.dtype == np.uint32 and sorted(np.unique(labels)) == list(range(done.count + 1))
    assert expected.masks is not None
    found = Masks.from_label_image(labels)
    i, j, shared = found.intersection_pairs(expected.masks)
    assert (
        len(i) == done.count and (shared == found.area[i]).all() and (shared == expected.masks.area[j]).all()
    )

    rows = rows_of(done.files["csv"])
    assert [int(r["label"]) for r in rows] == list(range(1, done.count + 1))
    assert [float(r["area"]) for r in rows] == found.area.tolist()
    corners = np.array([[float(r[f"bbox-{k}"]) for k in (1, 0, 3, 2)] for r in rows])
    np.testing.assert_array_equal(corners, found.boxes)
    columns = rows_of(done.files["csv"].with_name("blobs.measurements.columns.csv"))
    assert [c["column"] for c in columns] == list(rows[0]) and all(c["source"] for c in columns)

    for kind in ("geojson", "qupath"):
        features = json.loads(done.files[kind].read_text())["features"]
        assert [f["properties"]["name"] for f in features] == [r["label"] for r in rows]
        assert [f["properties"]["area"] for f in features] == found.area.tolist()
        x = np.array(features[-1]["geometry"]["coordinates"][0])
        np.testing.assert_array_equal([*x.min(axis=0), *x.max(axis=0)], found.boxes[-1])
        shapes = [shapely.geometry.shape(f["geometry"]) for f in features]
        assert all(shape.is_valid for shape in shapes)
        assert [shape.area for shape in shapes] == found.area.tolist()
    hidden = [p.name for p in (tmp_path / "out").iterdir() if p.name.startswith(".")]
    assert hidden == [".blobs.done.json"]


def test_measures_are_those_of_the_whole_image(picture: Path, tmp_path: Path) -> None:
    from delineate.measurements import measured_table

    done = predict_large(eye, picture, tmp_path, tile=200, overlap=64, save=("csv", "labels"), pixel_size=0.5)
    image = tifffile.imread(picture)
    whole = Instances(image.shape, masks=Masks.from_label_image(tifffile.imread(done.files["labels"])))
    expected = measured_table(whole, image, 0.5)
    rows = rows_of(done.files["csv"])
    assert set(expected.columns) - {"outlier", "blurred"} == set(rows[0]) - {"image"}
    for name in set(rows[0]) - {"image", "class", "score", "touches_border", "degenerate"}:
        found = np.array([float(r[name] or "nan") for r in rows])
        np.testing.assert_allclose(found, expected[name].to_numpy(float), rtol=1e-9, err_msg=name)
    assert [r["touches_border"] == "True" for r in rows] == expected["touches_border"].tolist()


def test_parquet_has_units_and_sources(picture: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    done = predict_large(eye, picture, tmp_path, tile=300, save=("parquet",), pixel_size=0.25)
    table = parquet.read_table(done.files["parquet"])
    assert table.num_rows == done.count
    assert table.schema.field("area_um2").metadata[b"unit"] == "µm^2".encode()
    assert all(b"source" in (field.metadata or {}) for field in table.schema)


@pytest.mark.parametrize("value", [0, 255])
def test_nothing_found_gives_files_without_objects(value: int, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((300, 200), value, np.uint8), tile=(64, 64))

    def blind(window: np.ndarray) -> Instances:
        return Instances.empty(window.shape)

    done = predict_large(blind, tmp_path / "a.tif", tmp_path / "out", tile=100, overlap=20, save=EVERYTHING)
    assert done.count == 0 and not done.damaged
    assert "area" in rows_of(done.files["csv"].with_name("a.measurements.columns.csv"))[11]["column"]
    assert done.files["csv"].read_text().count("\n") == 1
    assert json.loads(done.files["geojson"].read_text())["features"] == []
    assert tifffile.imread(done.files["labels"]).max() == 0


def test_a_region_is_looked_at_alone_and_keeps_its_place(picture: Path, tmp_path: Path) -> None:
    image = tifffile.imread(picture)
    done = predict_large(
        eye, picture, tmp_path / "out", tile=100, overlap=30, region=(110, 95, 215, 180), save=EVERYTHING
    )
    labels = tifffile.imread(done.files["labels"])
    inside = np.zeros(image.shape, bool)
    inside[95:275, 110:325] = True
    assert labels.shape == image.shape
    np.testing.assert_array_equal(labels > 0, (image > 100) & inside)
    assert done.count == len(eye(image[95:275, 110:325]))
    boxes = [[int(r[f"bbox-{k}"]) for k in range(4)] for r in rows_of(done.files["csv"])]
    assert min(b[0] for b in boxes) >= 95 and max(b[3] for b in boxes) <= 325


def test_a_run_that_breaks_off_goes_on_and_its_files_are_the_same(picture: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"tile": 128, "overlap": 32, "save": ("labels", "csv", "qupath", "overlay")}
    once = predict_large(eye, picture, tmp_path / "once", **options)
    looked: list[int] = []

    def tired(window: np.ndarray) -> Instances:
        looked.append(1)
        if len(looked) == 11:
            raise KeyboardInterrupt
        return eye(window)

    out = tmp_path / "twice"
    with pytest.raises(KeyboardInterrupt):
        predict_large(tired, picture, out, **options)
    assert [p.name for p in out.iterdir()] == [".blobs.tiles.journal"]
    with pytest.raises(InputError, match="--resume"):
        predict_large(tired, picture, out, **options)
    with pytest.raises(InputError, match="these settings"):
        predict_large(tired, picture, out, resume=True, **(options | {"tile": 100}))
    journal = out / ".blobs.tiles.journal"
    journal.write_bytes(journal.read_bytes()[:-3])  # as a kill leaves it
    again = predict_large(tired, picture, out, resume=True, **options)
    assert again.resumed == 9 and len(looked) == 11 + again.tiles - 9
    for kind, path in once.files.items():
        if kind != "labels":  # whose OME-XML has a UUID
            assert again.files[kind].read_bytes() == path.read_bytes(), kind
    np.testing.assert_array_equal(
        tifffile.imread(again.files["labels"]), tifffile.imread(once.files["labels"])
    )


def test_what_is_done_is_not_done_again_on_resuming(picture: Path, tmp_path: Path) -> None:
    looked: list[int] = []

    def counting(window: np.ndarray) -> Instances:
        looked.append(1)
        return eye(window)

    options: dict[str, Any] = {"tile": 300, "overlap": 32, "save": ("csv",)}
    first = predict_large(counting, picture, tmp_path / "out", **options)
    again = predict_large(counting, picture, tmp_path / "out", resume=True, **options)
    assert len(looked) == first.tiles and again.resumed == first.tiles
    assert (again.count, again.files, again.size) == (first.count, first.files, first.size)
    first.files["csv"].unlink()
    predict_large(counting, picture, tmp_path / "out", resume=True, **options)
    assert len(looked) == 2 * first.tiles and first.files["csv"].is_file()


def test_sixteen_bits_without_measurement_in_part(tmp_path: Path) -> None:
    """A map image: the value for no measurement moves neither the brightness nor what the model is shown."""
    from delineate.engine.predict import predict

    random = np.random.default_rng(3)
    image = (random.normal(900, 30, (420, 500)) + 2000 * (blobs((420, 500)) > 0)).astype(np.uint16)
    holed = image.copy()
    holed[:, :130] = 65535
    nodata = [(42113, "s", 0, "65535", True)]
    tifffile.imwrite(tmp_path / "a.tif", holed, tile=(64, 64), extratags=nodata, metadata=None)
    shown: list[float] = []

    class Bright(Segmenter):
        """Tells what it is shown and finds what is bright."""

        def __init__(self) -> None:
            super().__init__()
            self.classes = Labels(("blob",))
            self.input = InputSpec(None, None, 32, (0, 0, 0), (1, 1, 1), "percentile", 128, 32)
            self.settings, self.family = {}, "bright"

        def forward(self, images: Any) -> Any:
            shown.extend(images.flatten()[::97].tolist())
            return images.mean(1)

        def instances(self, outputs: Any, batch: Any, **_: Any) -> list[Instances]:
            height, width = batch.originals[0]
            labels, _ = ndimage.label(outputs[0, :height, :width].numpy() > 0.5)
            masks = Masks.from_label_image(labels)
            return [Instances((height, width), masks=masks, classes=self.classes)]

    model = Bright()
    done = predict_large(model, tmp_path / "a.tif", tmp_path / "out", save=("labels", "overlay"))
    assert done.blank and done.blank < done.tiles and not done.damaged
    labels = tifffile.imread(done.files["labels"])
    assert not labels[:, :130].any()
    expected = predict(model, image[:, 130:], tile=0)
    assert done.count == len(expected) and (labels[:, 130:] > 0).sum() == expected.area.sum()
    assert min(shown) >= 0 and max(shown) <= 1


def test_ome_zarr_in_and_out(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    from delineate.data.rasters import OmeZarrWriter, open_raster

    image = blobs((300, 340))
    with OmeZarrWriter(tmp_path / "a.ome.zarr", image.shape, pixel_size=0.4) as writer:
        writer.write(0, 0, image)
    done = predict_large(
        eye, tmp_path / "a.ome.zarr", tmp_path / "out", tile=128, overlap=32, save=("zarr", "csv")
    )
    with open_raster(done.files["zarr"], labels=True) as found:
        np.testing.assert_array_equal(found.window(0, 0, 340, 300) > 0, image > 100)
        assert found.pixel_size == pytest.approx(0.4)
    rows = rows_of(done.files["csv"])
    assert float(rows[0]["area_um2"]) == pytest.approx(0.16 * float(rows[0]["area"]))


def test_a_damaged_tile_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    path, image = tmp_path / "a.tif", blobs((600, 600))
    tifffile.imwrite(path, image, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[34]  # row 3, column 4
    data = bytearray(path.read_bytes())
    data[offset : offset + 8] = b"\0" * 8
    path.write_bytes(data)
    done = predict_large(eye, path, tmp_path / "out", tile=300, overlap=64, save=("labels", "csv"))
    assert done.damaged and all("a.tif" in reason for _, _, _, reason in done.damaged)
    labels = tifffile.imread(done.files["labels"])
    expected = image > 100
    expected[:256, 256:512] = False  # the block of the raster's own grid that holds the damage
    np.testing.assert_array_equal(labels > 0, expected)


def test_brightness_by_windows_is_that_of_the_whole_image(tmp_path: Path) -> None:
    from delineate.core.batch import brightness_of
    from delineate.data.rasters import open_raster

    random = np.random.default_rng(1)
    for shape in ((900, 700), (2600, 3200), (700, 800, 3)):
        image = random.gamma(2, 20, shape).clip(0, 255).astype(np.uint8)
        tifffile.imwrite(
            tmp_path / "a.tif", image, tile=(256, 256), photometric="rgb" if len(shape) == 3 else None
        )
        with open_raster(tmp_path / "a.tif") as raster:
            region = Region(raster, 0, 0, raster.size)
            for scaling in ("percentile", "range"):
                found = brightness_by_windows(region, cells(raster.size, 500), scaling)
                assert found == brightness_of(image, scaling)


def test_windows_of_a_stained_slide_have_the_colours_of_the_whole(tmp_path: Path) -> None:
    from delineate.data.stain import REFERENCE, Normaliser

    random = np.random.default_rng(2)
    amount = ndimage.gaussian_filter(random.random((300, 400, 2)), (6, 6, 0)) * 2
    slide = (240 * np.exp(-amount @ np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]))).astype(np.uint8)
    tifffile.imwrite(tmp_path / "slide.tif", slide, tile=(64, 64), photometric="rgb")
    stain = Normaliser("reinhard", REFERENCE)
    expected, _ = stain(slide)
    seen: dict[tuple[int, ...], np.ndarray] = {}

    def note(pixels: np.ndarray) -> Instances:
        seen[(*pixels.shape, len(seen))] = pixels
        return Instances.empty(pixels.shape[:2])

    options: dict[str, Any] = {"tile": 200, "overlap": 40, "tissue": False, "save": ("csv",)}
    done = predict_large(note, tmp_path / "slide.tif", tmp_path, stain=stain, **options)
    assert "colours by reinhard" in done.notes
    np.testing.assert_array_equal(next(iter(seen.values())), expected[:200, :200])
    grey = slide[:, :, 0]
    tifffile.imwrite(tmp_path / "grey.tif", grey)
    done = predict_large(note, tmp_path / "grey.tif", tmp_path, stain=stain, **options)
    assert "no two stains found, colours left as they are" in done.notes


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"save": ("labels", "video")}, "save: expected some of"),
        ({"region": (620, 0, 50, 50)}, "region: expected x, y inside"),
        ({"region": (0, 0, 0, 5)}, "region: expected x, y inside"),
        ({"tile": 5}, "tile"),
        ({"overlap": 0}, "overlap: expected 1 or more"),
        ({"workers": 0}, "workers: expected 1 or more"),
        ({"tissue": True}, "use --no-tissue"),
        ({"confidence": 3.0}, "confidence"),
    ],
)
def test_wrong_settings_are_refused(
    settings: dict[str, Any], said: str, picture: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        predict_large(eye, picture, tmp_path / "out", **settings)


def test_the_real_model_finds_the_same_in_windows_as_in_the_whole(data_dir: Path, tmp_path: Path) -> None:
    """A mosaic of validation images, purple tissue and fluorescence, with objects on every seam."""
    import delineate as dl
    from delineate.engine.predict import predict

    with (data_dir / "dsb2018" / "split.csv").open(newline="") as file:
        val = [r for r in csv.DictReader(file) if r["split"] == "val"]
    model = dl.load("nuclei")
    for modality, side in (("purple_on_purple", 256), ("grey_fluorescence", 360)):
        chosen = [r["id"] for r in val if r["modality"] == modality and int(r["height"]) >= side]
        images = [dl.read(data_dir / "dsb2018" / "images" / f"{i}.png").pixels[:side, :side] for i in chosen]
        across = -(-960 // side)
        grid = [[images[(across * r + c) % len(images)] for c in range(across)] for r in range(across)]
        mosaic = np.concatenate([np.concatenate(row, axis=1) for row in grid])[:960, :900]
        path = tmp_path / f"{modality}.tif"
        tifffile.imwrite(path, mosaic, tile=(256, 256), compression="zlib")
        whole = model.predict(mosaic, tile=0)
        assert len(whole) > 100 and whole.masks is not None
        done = predict_large(model, path, tmp_path, tile=640, save=("labels",))
        assert done.tiles == 4 and done.count == len(whole)
        found = Masks.from_label_image(tifffile.imread(done.files["labels"]))
        i, j, shared = found.intersection_pairs(whole.masks)
        assert (
            len(i) == len(whole) and (shared == found.area[i]).all() and (shared == whole.masks.area[j]).all()
        )
        tiled = predict(model.segmenter, mosaic, tile=640)
        assert len(tiled) == len(whole)
