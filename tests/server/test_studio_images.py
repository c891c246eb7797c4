"""Images of all kinds in the studio: tiles against the pixels themselves, large ones, many, broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from starlette.testclient import TestClient

from delineate.core.errors import InputError
from delineate.data.images import read
from delineate.data.write import write_label_tiff, write_png
from delineate.server import large, studio
from delineate.server.app import create_app
from delineate.server.large import open_large
from delineate.server.launch import Settings, is_loopback, open_studio
from delineate.server.pyramid import SmallImage, half, halved, levels
from delineate.server.source import open_source
from delineate.server.tiles import View, shown, thumbnail, tile

RNG = np.random.default_rng(0)


def client(path: Path, **settings: Any) -> TestClient:
    found, _ = open_studio(Settings(str(path), **settings))
    return TestClient(create_app(found, background=False), base_url="http://127.0.0.1")


def pixels_of(answer: Any) -> NDArray[Any]:
    assert answer.status_code == 200, answer.text
    return read(answer.content).pixels


@pytest.mark.parametrize("size", [(1, 1), (256, 256), (257, 256), (300, 700), (1, 2000)])
def test_levels_halve_down_to_one_tile(size: tuple[int, int]) -> None:
    count = levels(size)
    assert max(halved(size, count - 1)) <= 256 and (count == 1 or max(halved(size, count - 2)) > 256)
    image = SmallImage(RNG.integers(0, 255, (*size, 3), dtype=np.uint8))
    for level in range(count):
        height, width = image.level_size(level)
        assert image.window(level, 0, 0, width, height).shape == (height, width, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_halving_is_the_mean_of_four(dtype: Any, channels: int) -> None:
    pixels = (RNG.random((7, 9, channels)) * 200).astype(dtype)
    padded = np.pad(pixels, ((0, 1), (0, 1), (0, 0)), mode="edge").astype(np.float64)
    want = padded.reshape(4, 2, 5, 2, channels).mean((1, 3))
    got = half(pixels)
    assert got.dtype == dtype and np.abs(got - want).max() <= (0.51 if np.dtype(dtype).kind == "u" else 1e-4)


def test_tiles_at_full_resolution_are_the_pixels(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (300, 520, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", pixels)
    with client(tmp_path) as page:
        told = page.get("/api/images/1").json()
        assert (told["width"], told["height"], told["channels"], told["levels"]) == (520, 300, 3, 3)
        for column, row in ((0, 0), (1, 0), (2, 1)):
            part = pixels[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
            assert np.array_equal(pixels_of(page.get(f"/api/images/1/tiles/0/{column}/{row}")), part)
        top = pixels_of(page.get("/api/images/1/tiles/2/0/0"))
        assert top.shape == (75, 130, 3)
        assert pixels_of(page.get("/api/images/1/thumbnail?size=64")).shape == (37, 64, 3)
        for where in ("3/0/0", "0/3/0", "0/0/2", "0/-1/0", "-1/0/0"):
            assert "tile" in page.get(f"/api/images/1/tiles/{where}").json()["error"]
        assert page.get("/api/images/1/tiles/0/0/0?channel=7").status_code == 422
        assert page.get("/api/images/1/tiles/0/0/0?channel=red").status_code == 422
        assert page.get("/api/images/1/tiles/0/0/0?gamma=0").status_code == 422


def test_microscopy_is_stretched_as_asked(tmp_path: Path) -> None:
    pixels = (np.arange(3 * 40 * 50) % 4000).reshape(3, 40, 50).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack([*pixels, pixels[0]]), metadata={"axes": "CYX"}, photometric="minisblack"
    )
    with client(tmp_path) as page:
        told = page.get("/api/images/1").json()
        assert (told["channels"], told["dtype"], told["color"], len(told["ranges"])) == (
            4,
            "uint16",
            False,
            4,
        )
        plain = pixels_of(page.get("/api/images/1/tiles/0/0/0?channel=1&lo=0&hi=4000"))
        assert np.abs(plain.astype(float) - pixels[1] / 4000 * 255).max() <= 1
        bright = pixels_of(page.get("/api/images/1/tiles/0/0/0?channel=1&lo=0&hi=4000&gamma=2"))
        assert (bright >= plain).all() and bright.sum() > plain.sum()
        assert pixels_of(page.get("/api/images/1/tiles/0/0/0")).shape == (40, 50, 3)  # all in colours


def test_flat_images_have_a_range() -> None:
    image = SmallImage(np.full((10, 12), 7, np.uint16))
    assert image.ranges == [(7.0, 8.0)] and shown(image.window(0, 0, 0, 12, 10), View(), image).max() == 0


@pytest.mark.parametrize("kind", ["tiled.tif", "strips.tif", "inverted.tif", "plain.png"])
def test_large_images_are_the_same_as_small_ones(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = RNG.integers(0, 60000, (700, 530), dtype=np.uint16)
    path = tmp_path / kind
    match kind:
        case "tiled.tif":
            tifffile.imwrite(path, pixels, tile=(128, 128), compression="zlib")
        case "strips.tif":
            tifffile.imwrite(path, pixels, rowsperstrip=32)
        case "inverted.tif":  # has to be decoded whole
            tifffile.imwrite(path, 65535 - pixels, photometric="miniswhite")
        case _:
            write_png(path, pixels)
    monkeypatch.setattr(large, "BAND_BYTES", 100_000)
    found, want = open_large(path, None, tmp_path / "cache"), SmallImage(read(path).pixels)
    assert (found.size, found.channels, found.dtype, found.colour) == ((700, 530), 1, np.uint16, False)
    for level in range(levels(found.size)):
        height, width = found.level_size(level)
        for box in ((0, 0, width, height), (3, 5, min(40, width), min(60, height))):
            assert np.array_equal(found.window(level, *box), want.window(level, *box))
    assert found.ranges[0] == pytest.approx(want.ranges[0], rel=0.05)
    made = sorted(p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*"))
    open_large(path, None, tmp_path / "cache")
    assert made == sorted(p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*"))
    assert np.array_equal(tile(found, 1, 1, 1, View()), tile(want, 1, 1, 1, View(None, *found.ranges[0])))
    assert thumbnail(found, 100).shape == thumbnail(want, 100).shape == (100, 76)


def test_a_large_image_through_the_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.integers(0, 255, (600, 500, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(64, 64), photometric="rgb")
    monkeypatch.setattr(studio, "SMALL_VALUES", 1000)
    with client(tmp_path) as page:
        assert page.get("/api/images/1").json()["levels"] == 3
        assert np.array_equal(pixels_of(page.get("/api/images/1/tiles/0/1/2")), pixels[512:600, 256:500])
        app: Any = page.app
        part = app.state.studio.pixels(1, (10, 20, 30, 50))
        assert np.array_equal(part, pixels[20:50, 10:30])
        (tmp_path / "a.tif").unlink()
        assert page.get("/api/images/1/thumbnail").status_code == 422
    cache = tmp_path / ".delineate" / "cache"
    assert not list(cache.glob("*.tmp"))


def test_a_damaged_large_image_leaves_no_cache(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(np.zeros((500, 500), np.uint8))[:300])
    with pytest.raises(InputError, match=r"a\.png: expected a whole PNG"):
        open_large(path, None, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_one_broken_image_of_many_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_png(tmp_path / f"{name}.png", np.zeros((20, 30), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no picture")
    found, _ = open_studio(Settings(str(tmp_path)))
    found.bring_in_all()
    with TestClient(create_app(found, background=False), base_url="http://127.0.0.1") as page:
        listed = {i["name"]: i for i in page.get("/api/images").json()["images"]}
        assert listed["a.png"]["imported"] and listed["a.png"]["width"] == 30
        assert "b.png: expected" in listed["b.png"]["fault"] and not listed["b.png"]["imported"]
        assert page.get("/api/images/2").status_code == 422
        assert page.get("/api/images/2/thumbnail").status_code == 422
        assert page.get("/api/images/3").status_code == 200


def test_the_list_is_cut_searched_and_sorted(tmp_path: Path) -> None:
    for k in range(25):
        write_png(tmp_path / f"cell_{k:02d}.png", np.zeros((8, 9), np.uint8))
    with client(tmp_path, classes=("cell", "debris")) as page:
        rings = {"rings": [[1, 1, 5, 1, 5, 5, 1, 5]]}
        for image, class_id in ((7, 1), (7, 2), (3, 2)):
            page.post(
                f"/api/images/{image}/edits", json={"op": "add", "class_id": class_id, "geometry": rings}
            )

        def names(query: str) -> list[str]:
            told = page.get(f"/api/images?{query}").json()
            return [i["name"][5:7] for i in told["images"]] + [str(told["total"])]

        assert names("limit=2&offset=23") == ["23", "24", "25"]
        assert names("search=CELL_1&limit=1") == ["10", "10"] and names("search=%25") == ["0"]
        assert names("sort=objects&limit=2") == ["06", "02", "25"]
        assert names("sort=updated&limit=1") == ["02", "25"]
        assert names("class_id=2") == ["02", "06", "2"] and names("class_id=1") == ["06", "1"]
        app: Any = page.app
        app.state.studio.queue = (9, 4)
        assert names("sort=queue&limit=3") == ["08", "03", "00", "25"]
        assert page.get("/api/images?sort=size").status_code == 422
        assert page.get("/api/images?limit=0").status_code == 422


def test_bare_images_have_the_classes_that_are_named(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((8, 9), np.uint8))
    for given, known in (
        ((), ["object"]),
        (("nucleus",), ["object", "nucleus"]),
        ((), ["object", "nucleus"]),
    ):
        with client(tmp_path, classes=given) as page:
            assert [c["name"] for c in page.get("/api/project").json()["classes"]] == known


def test_classes_named_once_stay_alone(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((8, 9), np.uint8))
    for given in (("nucleus", "debris"), ()):
        with client(tmp_path, classes=given) as page:
            assert [c["name"] for c in page.get("/api/project").json()["classes"]] == ["nucleus", "debris"]


def test_a_dataset_that_grew_keeps_what_was_drawn(tmp_path: Path) -> None:
    def save(names: list[str]) -> None:
        told = {
            "images": [
                {"id": 10 + k, "file_name": n, "height": 20, "width": 30} for k, n in enumerate(names)
            ],
            "annotations": [
                {"id": k + 1, "image_id": 10 + k, "category_id": 5, "bbox": [1, 1, 4, 4], "area": 16,
                 "iscrowd": 0, "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]}
                for k in range(len(names))
            ],
            "categories": [{"id": 5, "name": "cell"}],
        }  # fmt: skip
        (tmp_path / "annotations.json").write_text(json.dumps(told))

    for name in ("b.png", "a.png", "c.png"):
        write_png(tmp_path / name, np.zeros((20, 30), np.uint8))
    save(["b.png", "c.png"])
    with client(tmp_path) as page:
        assert len(page.get("/api/images/1/objects").json()["objects"]) == 1
        rings = {"rings": [[10, 10, 15, 10, 15, 15, 10, 15]]}
        page.post("/api/images/1/edits", json={"op": "add", "class_id": 1, "geometry": rings})
    save(["a.png", "b.png"])
    with client(tmp_path) as page:
        listed = {i["name"]: i for i in page.get("/api/images").json()["images"]}
        assert listed["b.png"]["objects"] == 2 and set(listed) == {"a.png", "b.png", "c.png"}
        number = listed["a.png"]["id"]
        assert len(page.get(f"/api/images/{number}/objects").json()["objects"]) == 1
        gone = page.get(f"/api/images/{listed['c.png']['id']}")
        assert gone.status_code == 422 and "expected it in the dataset" in gone.json()["error"]


def test_crowds_tracks_and_class_ids_come_in_and_go_out(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    told = {
        "images": [{"id": 3, "file_name": "a.png", "height": 20, "width": 30}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 90, "bbox": [1, 1, 4, 4], "area": 16, "iscrowd": 0,
             "segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]]},
            {"id": 2, "image_id": 3, "category_id": 7, "bbox": [0, 0, 2, 1], "area": 2, "iscrowd": 1,
             "segmentation": {"size": [20, 30], "counts": [0, 1, 19, 1, 579]}},
        ],
        "categories": [{"id": 90, "name": "cell"}, {"id": 7, "name": "group"}],
    }  # fmt: skip
    (tmp_path / "annotations.json").write_text(json.dumps(told))
    with client(tmp_path) as page:
        found = page.get("/api/images/1/objects").json()["objects"]
        assert [(o["crowd"], o["source"], o["area"]) for o in found] == [
            (False, "import", 16),
            (True, "import", 2),
        ]
        out = json.loads(page.post("/api/export", json={"format": "coco"}).content)
        rows = [(a["category_id"], a["iscrowd"], a["area"]) for a in out["annotations"]]
        assert rows == [(90, 0, 16), (7, 1, 2)] and out["images"][0]["id"] == 3
        assert {c["id"]: c["name"] for c in out["categories"]} == {90: "cell", 7: "group"}


def test_what_a_studio_can_be_opened_on(tmp_path: Path) -> None:
    images = tmp_path / "scans"
    images.mkdir()
    with pytest.raises(InputError):
        open_source(str(images))
    with pytest.raises(InputError, match="nothing there"):
        open_source(str(tmp_path / "missing"))
    write_png(images / "a.png", np.zeros((8, 9), np.uint8))
    write_png(images / "b.png", np.zeros((8, 9), np.uint8))
    (images / "README.txt").write_text("from the microscope")
    assert open_source(str(images)).names == ["a.png", "b.png"]
    assert open_source(str(images / "a.png")).names == ["a.png"]
    assert open_source(f"{images}/*.png").names == ["a.png", "b.png"]
    assert open_source(str(images)).classes.names == ("object",)
    assert open_source(str(images), classes=("nucleus", "debris", "nucleus")).classes.names == (
        "nucleus",
        "debris",
    )
    labels = tmp_path / "set"
    (labels / "images").mkdir(parents=True)
    (labels / "labels").mkdir()
    write_png(labels / "images" / "a.png", np.zeros((8, 9), np.uint8))
    write_label_tiff(labels / "labels" / "a.tif", np.ones((8, 9), np.uint8))
    added = open_source(str(labels), classes=("debris", "debris"))
    assert added.classes.names == (*open_source(str(labels)).classes.names, "debris")


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False),
     ("192.168.1.4", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_what_counts_as_this_machine(host: str, local: bool) -> None:
    assert is_loopback(host) == local


def test_a_listening_studio_always_has_an_admin(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((8, 9), np.uint8))
    found, tokens = open_studio(Settings(str(tmp_path), host="0.0.0.0"))
    assert not found.gate.open_to_all and len(tokens) == 1
    user = found.gate.by_token(next(iter(tokens.values())))
    assert user is not None and user.role == "admin"
    found.close()
    with pytest.raises(InputError, match="expected a name and a role"):
        open_studio(Settings(str(tmp_path), users=("ada:boss",)))


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((8, 9), np.uint8))
    (tmp_path / "text").write_text("no database, but long enough to look at" * 100)
    for db, told in (
        (str(tmp_path / "text"), "expected a database"),
        ("postgresql://nobody@127.0.0.1:1/none", "expected a database that can be opened"),
        ("oracle://x", "--db|package"),
        (str(tmp_path / "text" / "deeper.sqlite"), "expected a place"),
    ):
        with pytest.raises((InputError, ImportError), match=told):
            open_studio(Settings(str(tmp_path), db=db))


def test_a_database_that_fails_is_told_and_nothing_is_half_saved(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    found, _ = open_studio(Settings(str(tmp_path)))
    app = create_app(found, background=False)
    rings = {"rings": [[1, 1, 5, 1, 5, 5, 1, 5]]}
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as page:
        page.get("/api/images/1")
        with found.database.write() as connection:
            connection.exec_driver_sql(
                "create trigger full before insert on versions begin select raise(fail, 'disk is full'); end"
            )
        answer = page.post("/api/images/1/edits", json={"op": "add", "class_id": 1, "geometry": rings})
        assert answer.status_code == 503 and "nothing was saved: disk is full" in answer.json()["error"]
        with found.database.write() as connection:
            connection.exec_driver_sql("drop trigger full")
        told = page.get("/api/images/1/objects").json()
        assert told == {"revision": 0, "objects": []} and page.get("/api/images/1/history").json() == []


def test_images_of_one_name_in_two_splits_are_two(tmp_path: Path) -> None:
    for split, size in (("train", (8, 9)), ("val", (10, 12))):
        for name in ("images", "labels"):
            (tmp_path / split / name).mkdir(parents=True)
        write_png(tmp_path / split / "images" / "a.png", np.zeros(size, np.uint8))
        write_label_tiff(tmp_path / split / "labels" / "a.tif", np.ones(size, np.uint8))
    for _ in range(2):  # also when it is opened again
        with client(tmp_path) as page:
            listed = page.get("/api/images").json()["images"]
            assert [i["name"] for i in listed] == ["train/a.png", "val/a.png"]
            assert [page.get(f"/api/images/{i['id']}").json()["width"] for i in listed] == [9, 12]


def test_a_name_that_is_met_twice_later_stays_with_its_image(tmp_path: Path) -> None:
    def split(name: str) -> None:
        for part in ("images", "labels"):
            (tmp_path / name / part).mkdir(parents=True)
        write_png(tmp_path / name / "images" / "a.png", np.zeros((8, 9), np.uint8))
        write_label_tiff(tmp_path / name / "labels" / "a.tif", np.ones((8, 9), np.uint8))

    split("train")
    with client(tmp_path) as page:
        rings = {"rings": [[1, 1, 5, 1, 5, 5, 1, 5]]}
        page.post("/api/images/1/edits", json={"op": "add", "class_id": 1, "geometry": rings})
    split("val")
    with client(tmp_path) as page:
        listed = page.get("/api/images").json()["images"]
        assert {i["name"]: i["objects"] for i in listed} == {"a.png": 2, "val/a.png": 0}
