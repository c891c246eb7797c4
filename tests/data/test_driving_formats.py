"""BDD100K's JSON and bitmasks, KITTI's tracks, class maps: round trips, files by hand, wrong files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import DatasetError, InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.class_maps import TARGETS, ClassMap
from delineate.data.formats.scalabel import outline
from delineate.data.images import write_png
from delineate.data.known_formats import guess
from delineate.data.records import Dataset, Record
from delineate.data.track_files import open_tracks
from delineate.engine.convert import write_dataset

SIZE = (17, 23)
CLASSES = Labels(("pedestrian", "car"))
ONCE = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def film(folder: Path, seed: int, boxes: bool = False, crowd: bool = True, overlap: bool = True) -> Dataset:
    """Two videos of three frames with random objects; frame 1 of the first is empty."""
    rng = np.random.default_rng(seed)
    records = []
    for place in range(6):
        count = 0 if place == 1 else int(rng.integers(1, 5))
        owner = rng.integers(0, count + 2, SIZE)
        dense = np.stack([owner == i for i in range(count)]) if count else np.zeros((0, *SIZE), bool)
        if overlap:
            dense |= rng.random(dense.shape) < 0.2
        keep = dense.any(axis=(1, 2))
        masks = Masks.from_dense(dense[keep]) if keep.any() else Masks.empty(SIZE)
        truth = Instances(
            SIZE,
            boxes=masks.boxes,
            masks=None if boxes else masks,
            labels=rng.integers(0, 2, len(masks)),
            crowd=(rng.random(len(masks)) < 0.2) & crowd,
            ids=rng.choice(50, len(masks), replace=False) + 1,
            classes=CLASSES,
        )
        path = folder / f"{place}.png"
        folder.mkdir(parents=True, exist_ok=True)
        write_png(path, np.full(SIZE, place, np.uint8))
        groups = {
            "sequence": f"v{place // 3}",
            "frame": str(place % 3),
            "split": ("train", "val")[place // 3],
        }
        records.append(Record(f"{groups['sequence']}/{path.name}", path, place + 1, SIZE, truth, groups))
    return Dataset(
        tuple(records), CLASSES, lambda r, c: (r.annotation.replace(classes=c), ()), "made", folder
    )


def keys(objects: Instances) -> list[Any]:
    shapes = objects.masks.to_rle() if objects.masks is not None else objects.boxes.round(3).tolist()
    assert objects.ids is not None
    ids = np.where(objects.crowd, 0, objects.ids).tolist()
    return sorted(
        (str(shape), name, crowd, number)
        for shape, name, crowd, number in zip(shapes, objects.names, objects.crowd.tolist(), ids, strict=True)
    )


@pytest.mark.parametrize("name", ["bdd100k", "bdd100k-masks", "kitti-tracking"])
@ONCE
@given(seed=st.integers(0, 10**6))
def test_there_and_back(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    kitti = name == "kitti-tracking"
    data = film(folder / "in", seed, boxes=kitti, crowd=not kitti, overlap=name != "bdd100k-masks")
    done = write_dataset(data, folder / "out", name, images="link")
    assert guess(folder / "out").name == name
    back = open_dataset(folder / "out")
    assert len(back) == 6 and not set(done.losses.counts) - {"ids"}
    for index, record in enumerate(data.records):
        want = (record.groups["sequence"], record.groups["frame"], record.groups["split"])
        columns = [(r.groups["sequence"], r.groups["frame"], r.groups["split"]) for r in back.records]
        place = columns.index(want)
        np.testing.assert_array_equal(back[place].image, data[index].image)
        truth, again = data.truth(index), back.truth(place)
        if kitti:
            rename = {"pedestrian": "Pedestrian", "car": "Car"}
            assert [rename[n] for n in truth.names] == again.names
            np.testing.assert_allclose(truth.boxes, again.boxes, atol=1e-4)
            np.testing.assert_array_equal(truth.ids, again.ids)
        elif done.losses.counts.get("ids"):
            assert [k[:3] for k in keys(truth)] == [k[:3] for k in keys(again)]
        else:
            assert keys(truth) == keys(again)


def test_kitti_keeps_boxes_of_masks_and_says_so(tmp_path: Path) -> None:
    done = write_dataset(film(tmp_path / "in", 3), tmp_path / "out", "kitti-tracking")
    assert done.losses.counts["masks"] > 0 and "boxes alone" in " ".join(done.losses.told())
    sequence = open_tracks(tmp_path / "out" / "train")[0]
    assert (sequence.name, sequence.kind) == ("v0", "box")


def scalabel(labels: list[dict[str, Any]], **frame: Any) -> list[dict[str, Any]]:
    return [{"name": "v-0000001.jpg", "videoName": "v", "frameIndex": 0, "labels": labels, **frame}]


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_scalabel_by_hand(tmp_path: Path) -> None:
    mask = pytest.importorskip("pycocotools.mask")
    dense = np.zeros((720, 1280), np.uint8)
    dense[100:150, 200:300] = 1
    rle = mask.encode(np.asfortranarray(dense))
    labels = [
        {"id": "7", "category": "car", "rle": {"counts": rle["counts"].decode(), "size": [720, 1280]}},
        {"id": "12", "category": "other vehicle", "attributes": {"crowd": False},
         "poly2d": [{"vertices": [[0, 0], [10, 0], [10, 10], [0, 10]], "types": "LLLL", "closed": True}]},
        {"id": "13", "category": "person", "attributes": {"crowd": True}, "score": 0.5,
         "box2d": {"x1": 20.0, "y1": 30.0, "x2": 24.0, "y2": 33.0}},
        {"id": "14", "category": "car"},  # a tag without a shape
    ]  # fmt: skip
    frame = open_tracks(write(tmp_path / "v.json", scalabel(labels)))[0][0]
    found = frame.objects
    assert found.names == ["car", "car", "pedestrian"] and found.ids.tolist() == [7, 12, 13]
    assert found.crowd.tolist() == [False, True, True] and found.scores.tolist() == [1, 1, 0.5]
    np.testing.assert_array_equal(found.masks.dense()[0], dense)
    assert found.masks.area.tolist() == [5000, 100, 12]


def test_boxes_of_scalabel_and_ids_that_are_no_numbers(tmp_path: Path) -> None:
    box = {"x1": 1.5, "y1": 2, "x2": 3, "y2": 4}
    labels = [{"id": name, "category": "car", "box2d": box} for name in ("a", "b7", "7")]
    sequence = open_tracks(write(tmp_path / "v.json", {"frames": scalabel(labels), "config": None}))[0]
    assert sequence.kind == "box" and sequence.size == (720, 1280)
    assert sequence[0].objects.ids.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(sequence[0].boxes[0], [1.5, 2, 3, 4])


def test_curves_of_outlines() -> None:
    """A quarter of a circle by its usual Bezier controls; ``C`` in threes and in twos before an ``L``."""
    k = 4 / 3 * np.tan(np.pi / 8)
    points = [[1, 0], [1, k], [k, 1], [0, 1]]
    for kinds in ("LCCC", "LCCL"):
        ring = outline({"vertices": points, "types": kinds})
        np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 1, atol=1e-3)
        assert len(ring) == 9
    closing = outline({"vertices": points[:3], "types": "LCC"})  # the curve ends where the outline began
    np.testing.assert_allclose(closing[-1], [1, 0])


def test_bitmasks_by_pillow(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0, :2] = (3, 0, 1, 44)  # a car, track 300
    pixels[1, :3] = (1, 4, 0, 9)  # an occluded pedestrian
    pixels[2, :1] = (1, 2, 0, 5)  # a crowd
    pixels[3, :6] = (2, 1, 0, 0)  # an ignored rider with alpha 0
    folder = tmp_path / "video"
    folder.mkdir()
    for number in (1, 3):
        Image.fromarray(pixels, "RGBA").save(folder / f"video-{number:07d}.png")
    sequence = open_tracks(folder)[0]
    assert sequence.frames == (0, 2)
    found = sequence[2].objects
    order = np.argsort(found.ids)
    assert [found.names[k] for k in order] == ["rider", "pedestrian", "pedestrian", "car"]
    assert found.ids[order].tolist() == [0, 5, 9, 300]
    assert found.crowd[order].tolist() == [True, True, False, False]
    assert found.masks.area[order].tolist() == [6, 1, 3, 2]
    assert open_tracks(tmp_path)[0].name == "video"
    full = np.full((4, 6, 4), (1, 0, 0, 1), np.uint8)  # no background at all
    Image.fromarray(full, "RGBA").save(folder / "video-0000005.png")
    assert open_tracks(folder)[0][4].objects.masks.area.tolist() == [24]


KITTI = """0 -1 DontCare -1 -1 -10.000000 219.31 188.49 245.50 218.56 -1 -1 -1 -1000 -1000 -1000 -10
0 0 Van 0 0 -1.793451 296.744956 161.752147 455.226042 292.372804 2.0 1.8 4.4 -4.5 1.8 13.4 -2.1
2 1 Cyclist 0 1 -1.9 737.6 161.5 931.1 374.0 1.7 0.8 1.7 1.6 1.7 5.7 -1.7
"""


def test_kitti_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "label_02" / "0000.txt"
    path.parent.mkdir()
    path.write_text(KITTI)
    for source in (path, path.parent, tmp_path):
        sequence = open_tracks(source)[0]
        assert sequence.name == "0000" and sequence.frames == (0, 2) and sequence.size == (375, 1242)
    first = sequence[0].objects
    assert first.names[1] == "Van" and first.crowd.tolist() == [True, False]
    np.testing.assert_allclose(sequence[0].boxes[1], [296.744956, 161.752147, 455.226042, 292.372804])
    path.write_text(KITTI.replace("-1.7\n", "-1.7 0.75\n"))
    assert open_tracks(path)[0][2].objects.scores.tolist() == [0.75]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", '{"frames": 3}', "list of frames"),
        ("a.json", json.dumps(scalabel([], frameIndex=-1)), "frameIndex"),
        ("a.json", json.dumps(scalabel([], name=3)), "name, videoName"),
        ("a.json", json.dumps(scalabel([{"rle": {}}])), "category"),
        ("a.json", json.dumps(scalabel([{"id": 1, "category": "car", "rle": {"counts": "~~"}}])), "frame 0"),
        ("a.json", json.dumps(scalabel([{"id": 1, "category": "car", "box2d": {"x1": 3}}])), "shapes"),
        ("a.json", json.dumps(
            scalabel([{"id": 1, "category": "car", "poly2d": [{"vertices": [[0, 0]], "types": "LL"}]}])
        ), "type for each vertex"),
        ("a.txt", "0 1 Car 0 0 0 5 5 9 9 1\n", "17 words"),
        ("a.txt", "0 1 Cart 0 0 0 5 5 9 9 1 1 1 1 1 1 1\n", "one of Car"),
        ("a.txt", "0 1 Car 0 0 0 9 5 5 9 1 1 1 1 1 1 1\n", "left <= right"),
        ("a.txt", "0 -1 Car 0 0 0 5 5 9 9 1 1 1 1 1 1 1\n", "id of a track"),
    ],
)  # fmt: skip
def test_wrong_files_are_told(name: str, content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DatasetError, match=told) as caught:
        for sequence in open_tracks(path):
            list(sequence)
    assert str(path) in str(caught.value)


def test_wrong_pictures_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[0] = (9, 0, 0, 1)
    Image.fromarray(pixels, "RGBA").save(folder / "v-0000001.png")
    with pytest.raises(DatasetError, match="classes 1 to 8"):
        open_tracks(folder)[0][0]
    whole = (folder / "v-0000001.png").read_bytes()
    (folder / "v-0000001.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="damaged"):
        open_tracks(folder)[0][0]


COCO = Labels(("person", "bicycle", "car", "dog", "van"))


def found(labels: list[int]) -> Instances:
    boxes = np.tile([[0.0, 0, 2, 2]], (len(labels), 1))
    return Instances((9, 9), boxes=boxes, labels=labels, ids=np.arange(len(labels)) + 1, classes=COCO)


@pytest.mark.parametrize(
    ("target", "names", "ids"),
    [
        ("kitti-mots", ["pedestrian", "car"], [1, 3]),
        ("mots20", ["pedestrian"], [1]),
        ("bdd100k", ["pedestrian", "bicycle", "car", "car"], [1, 2, 3, 5]),
        ("cityscapes", ["person", "bicycle", "car", "car"], [1, 2, 3, 5]),
        ("kitti", ["Pedestrian", "Car", "Van"], [1, 3, 5]),
    ],
)
def test_class_maps(target: str, names: list[str], ids: list[int]) -> None:
    mapped = ClassMap.named(target).instances(found([0, 1, 2, 3, 4]))
    assert mapped.names == names and mapped.ids.tolist() == ids
    assert mapped.classes == TARGETS[target][0]
    assert not len(ClassMap.named(target).instances(found([])))


def test_a_class_map_of_ones_own_with_regions_to_ignore(tmp_path: Path) -> None:
    path = write(tmp_path / "map.json", {"Person": "walker", "bicycle": "ignore", "dog": None})
    mapped = ClassMap.named(str(path)).instances(found([0, 1, 2, 3]))
    assert mapped.classes.names == ("walker",)
    assert mapped.ids.tolist() == [1, 2] and mapped.crowd.tolist() == [False, True]


def test_tracks_are_mapped_with_their_boxes(tmp_path: Path) -> None:
    path = tmp_path / "0000.txt"
    path.write_text(KITTI)
    mapped = ClassMap.named("bdd100k").tracks(open_tracks(path)[0])
    frame = mapped[0]
    assert frame.objects.names[1] == "car" and frame.objects.crowd.tolist() == [True, False]
    assert len(frame.boxes) == len(frame.objects)


@pytest.mark.parametrize(
    "content", ["[]", '{"car": 3}', '{"car": "ignore"}', "{}"],
)  # fmt: skip
def test_no_class_map(content: str, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(InputError):
        ClassMap.named(str(tmp_path / "map.json"))
    with pytest.raises(InputError, match="kitti-mots"):
        ClassMap.named("nowhere")
    with pytest.raises(InputError, match="expected one of"):
        ClassMap(Labels(("a",)), {"x": "b"})
