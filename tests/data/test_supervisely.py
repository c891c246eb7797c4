"""Supervisely projects: the manual's examples, every shape, bad ones."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.formats import supervisely
from delineate.data.formats.supervisely_write import packed
from delineate.data.images import write_png
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

# The manual ("objects", bitmap) prints this text for a ring of 3 x 3 pixels that is open to the right.
MANUAL = (
    "eJzrDPBz5+WS4mJgYOD19HAJAtLMIMwIInOeqf8BUmwBPiGuQPr///9Lb86/C2QxlgT5BTM4PLuRBuTwebo4hlTMSa44cOHAB6DqY0yO"
    "Rgq8YkAZBk9XP5d1TglNANAFGzA="
)
RING = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 1]], np.bool_)


def shape(kind: str, **changes: Any) -> dict[str, Any]:
    return {"classTitle": "car", "geometryType": kind, "tags": []} | changes


def points(*exterior: Any, interior: Any = ()) -> dict[str, Any]:
    return {"points": {"exterior": list(exterior), "interior": list(interior)}}


def project(root: Path, *objects: Any, **changes: Any) -> Path:
    for name in ("ann", "img"):
        (root / "train" / name).mkdir(parents=True, exist_ok=True)
    write_png(root / "train/img/a.png", np.zeros((40, 60), np.uint8))
    content = {"description": "", "tags": [], "size": {"height": 40, "width": 60}, "objects": list(objects)}
    (root / "train/ann/a.png.json").write_text(json.dumps(content | changes))
    classes = [
        {"title": "bike", "shape": "any", "id": 6509759},
        {"title": "car", "shape": "any", "id": 6509764},
    ]
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": []}))
    return root


def test_the_manuals_bitmap(tmp_path: Path) -> None:
    data = open_dataset(project(tmp_path, shape("bitmap", bitmap={"data": MANUAL, "origin": [20, 10]})))
    truth = data[0].truth
    assert (data.format, data.names, data.groups) == ("Supervisely", ["a.png"], {"split": ["train"]})
    assert (data.classes.names, data.classes.ids) == (("bike", "car"), (6509759, 6509764))
    assert truth.masks is not None and truth.names == ["car"]
    assert (truth.masks.crop(0)[0] == RING).all() and truth.masks.crop(0)[1] == (20, 10)


def test_the_manual_reads_what_is_written() -> None:
    """Decoded as the manual's own function does."""
    data = zlib.decompress(base64.b64decode(packed(RING)))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None and (image[:, :, 3].astype(bool) == RING).all()


def test_every_shape(tmp_path: Path) -> None:
    square = [[10, 10], [14, 10], [14, 14], [10, 14]]
    alpha = np.zeros((2, 2), np.uint8)
    alpha[0, 1] = 122
    write_png(tmp_path / "alpha.png", alpha)
    png = base64.b64encode(zlib.compress((tmp_path / "alpha.png").read_bytes())).decode()
    folder = project(
        tmp_path / "p",
        shape("polygon", **points(*square, interior=[[[11, 11], [13, 11], [13, 13], [11, 13]]])),
        shape("polygon", **points([30.5, 10], [40.5, 10], [40.5, 20], [30.5, 20])),
        shape("rectangle", **points([5, 20], [8, 30])),
        shape("alpha_mask", bitmap={"data": png, "origin": [50, 30]}, classTitle="bike"),
        shape(
            "multipolygon",
            parts=[points([0, 0], [2, 0], [2, 2])["points"], points([4, 4], [5, 4], [5, 5])["points"]],
        ),
        shape("line", **points([1, 1], [2, 2])),
        shape("point", **points([1, 1])),
    )
    data = supervisely.read(folder)
    truth = data[0].truth
    assert truth.masks is not None
    assert truth.boxes.tolist() == [
        [10, 10, 15, 15], [30, 10, 40, 20], [5, 20, 9, 31], [51, 30, 52, 31], [0, 0, 6, 6],
    ]  # fmt: skip
    # 5 x 5 pixels with the outline, less 3 x 3 of the hole with its own
    assert truth.masks.area[[0, 1, 2, 3]].tolist() == [16, 100, 44, 1]
    assert {note.split(" × ", 1)[1][:5] for note in data.notes} == {"line,", "point", "recta"}


def test_tags(tmp_path: Path) -> None:
    tags = [{"name": "crowd"}, {"name": "confidence", "value": 0.25}, {"name": "track", "value": 7}]
    image_tags = [{"name": "situated", "value": "outside"}, {"name": "like", "value": None}]
    folder = project(tmp_path, shape("rectangle", **points([5, 20], [8, 30]), tags=tags), tags=image_tags)
    data = supervisely.read(folder)
    truth = data.truth(0)
    assert (truth.crowd.tolist(), truth.scores.tolist(), truth.ids.tolist()) == ([True], [0.25], [7])  # type: ignore[union-attr]
    assert data.groups == {"split": ["train"], "situated": ["outside"]} and truth.boxes.tolist() == [
        [5, 20, 9, 31]
    ]


def kept(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return record.annotation, ()


def test_numbers_tracks_and_columns_survive(tmp_path: Path) -> None:
    classes, records = Labels(("a", "b"), (40, 7)), []
    for frame in (3, 4):
        masks = Masks.from_dense(np.random.default_rng(frame).random((2, 8, 9)) < 0.5)
        truth = Instances((8, 9), masks=masks, labels=[0, 1], ids=[5, 9], scores=[1, 0.5], classes=classes)  # type: ignore[arg-type]
        path = tmp_path / f"{frame}.png"
        write_png(path, np.zeros((8, 9), np.uint8))
        groups = {"sequence": "s", "frame": str(frame)}
        records.append(Record(path.name, path, 100 + frame, (8, 9), truth, groups))
    out, losses = tmp_path / "out", Losses()
    out.mkdir()
    supervisely.write(
        out, Dataset(tuple(records), classes, kept, "made", tmp_path), losses, Place("copy", out)
    )
    back = open_dataset(out)
    assert not losses and back.classes == classes and back.image_ids == [103, 104]
    assert back.groups == {"sequence": ["s", "s"], "frame": ["3", "4"]}
    for i, record in enumerate(records):
        assert back.truth(i).masks == record.annotation.masks
        assert back.truth(i).ids.tolist() == [5, 9] and back.truth(i).scores.tolist() == [1, 0.5]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "bad",
    [
        7,
        shape("bitmap"),
        shape("bitmap", bitmap={"data": "!!", "origin": [1, 2]}),
        shape("bitmap", bitmap={"data": base64.b64encode(b"no zlib").decode(), "origin": [1, 2]}),
        shape("bitmap", bitmap={"data": MANUAL, "origin": [1]}),
        shape("bitmap", bitmap={"data": MANUAL, "origin": [1, 2]}, classTitle=""),
        shape("polygon", **points([1, 2], [3, 4])),
        shape("polygon"),
        shape("rectangle", **points([1, 2])),
        shape("rectangle", **points([1.5, 2], [1.5, 8])),
        shape("multipolygon", parts=[]),
        shape("future"),
    ],
)
def test_bad_objects(tmp_path: Path, bad: Any) -> None:
    folder = project(tmp_path, bad, shape("bitmap", bitmap={"data": MANUAL, "origin": [1, 2]}))
    with pytest.raises(DatasetError, match=r"train/a\.png\.json, objects\[0\].*expected"):
        supervisely.read(folder)
    assert len(supervisely.read(folder, skip_invalid=True).truth(0)) == 1


def test_a_bomb_of_zeros(tmp_path: Path) -> None:
    bomb = base64.b64encode(zlib.compress(bytes(300_000_000), 9)).decode()
    folder = project(tmp_path, shape("bitmap", bitmap={"data": bomb, "origin": [1, 2]}))
    with pytest.raises(DatasetError, match="expected a PNG"):
        supervisely.read(folder)


def test_far_away_points(tmp_path: Path) -> None:
    far = [[-(10**9), 0], [10**9, 0], [10**9, 10], [-(10**9), 10]]
    near = [[-(10**5), 0], [10**5, 0], [10**5, 10], [-(10**5), 10]]
    away = [[100, 100], [120, 100], [120, 120]]
    data = supervisely.read(project(tmp_path, *(shape("polygon", **points(*p)) for p in (far, near, away))))
    truth, notes = data.decode(data.records[0], data.classes)
    assert truth.masks is not None and truth.masks.area.tolist() == [600, 660] and len(notes) == 1
