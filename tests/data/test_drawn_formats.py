"""The annotation tools' formats, there and back: random objects, and real ones."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS, Format, guess
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

TOOLS = ("labelme", "cvat", "via", "via3", "label-studio", "supervisely")
NAMES = tuple(
    n
    for n in (
        "labelme",
        "cvat",
        "cvat-video",
        "via",
        "via3",
        "label-studio",
        "supervisely",
        "qupath",
        "imagej",
        "geojson",
        "geopackage",
        "huggingface",
        "parquet",
    )
    if n in FORMATS
)
SIZE = (17, 23)
CLASSES = Labels(("b <&'\"> é", "a, b", "never seen"), (1, 2, 3))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def kept(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return record.annotation, ()


def made(folder: Path, truths: list[Instances], **groups: str) -> Dataset:
    """A dataset of these truths, with images in ``folder``."""
    records = []
    for number, truth in enumerate(truths, 1):
        name = f"sub/im {number}.png" if number % 2 else f"im {number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, np.zeros(truth.size, np.uint8))
        records.append(Record(name, folder / name, number, truth.size, truth, groups))
    return Dataset(tuple(records), CLASSES, kept, "made", folder)


def there_and_back(row: Format, data: Dataset, out: Path) -> tuple[Dataset, Losses]:
    out.mkdir()
    losses = Losses(row.title)
    row.write(out, data, losses, Place("link", out))
    found = guess(out)
    assert found is not None and found.name == row.name
    back = row.read(out)
    assert len(back) == len(data) and back.classes.names == data.classes.names
    assert not set(losses.counts) & row.holds - {"too thin"}
    pickle.loads(pickle.dumps(back))
    return back, losses


def same(back: Dataset, data: Dataset, index: int) -> int:
    """Where image ``index`` is after reading; frames of a video keep their order and not their names."""
    if back.format == "CVAT video":
        return index
    return [PurePosixPath(n).name for n in back.names].index(PurePosixPath(data.names[index]).name)


def holes_parts_and_specks(seed: int) -> Instances:
    """Objects with holes, of several parts, of one pixel, that overlap, or none at all."""
    rng = np.random.default_rng(seed)
    dense = rng.random((int(rng.integers(0, 6)), *SIZE)) < rng.random()
    dense = dense[dense.any(axis=(1, 2))]
    if len(dense):
        dense[0] = False
        dense[0, rng.integers(SIZE[0]), rng.integers(SIZE[1])] = True
    masks = Masks.from_dense(dense) if len(dense) else Masks.empty(SIZE)
    labels, crowd = rng.integers(0, 2, len(dense)), rng.random(len(dense)) < 0.3
    return Instances(SIZE, masks=masks, labels=labels, crowd=crowd, classes=CLASSES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_random_objects(name: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("made")
    row = FORMATS[name]
    objects = [holes_parts_and_specks(seed + i) for i in range(3)]
    assume(any(map(len, objects)))  # QuPath and ImageJ have no files then
    data = made(folder / "in", objects)
    back, losses = there_and_back(row, data, folder / "out")
    for i in range(len(data)):
        truth, read = data.truth(i), back.truth(same(back, data, i))
        assert read.masks == truth.masks and read.size == truth.size
        assert read.names == truth.names
        if "crowd" in row.holds:
            assert read.crowd.tolist() == truth.crowd.tolist()
    assert losses.counts.get("crowd", 0) == (
        0 if "crowd" in row.holds else sum(int(data.truth(i).crowd.sum()) for i in range(3))
    )


def test_classes_are_known_where_nothing_is_drawn_yet(tmp_path: Path) -> None:
    data = made(tmp_path / "in", [Instances.empty(SIZE, CLASSES)] * 3)
    there_and_back(FORMATS["via"], data, tmp_path / "out")


@pytest.mark.parametrize("name", NAMES)
def test_boxes_alone_splits_scores_and_ids(name: str, tmp_path: Path) -> None:
    row = FORMATS[name]
    boxes = [[1, 2, 5, 9.5], [0, 0, 23, 17]]
    truth = Instances(SIZE, boxes=np.array(boxes), labels=[1, 0], scores=[1, 0.5], classes=CLASSES)  # type: ignore[arg-type]
    data = made(tmp_path / "in", [truth, Instances.empty(SIZE, CLASSES)], split="val")
    back, losses = there_and_back(row, data, tmp_path / "out")
    first = back.truth(same(back, data, 0))
    assert first.masks is None and first.boxes.tolist() == boxes and first.names == truth.names
    if name != "cvat-video":
        assert back.groups["split"] == ["val", "val"]
    assert (losses.counts.get("scores", 0) == 0) == ("scores" in row.holds)
    if "scores" in row.holds:
        assert first.scores.tolist() == [1, 0.5]


@pytest.mark.parametrize("name", TOOLS)
def test_one_name_in_two_splits(name: str, tmp_path: Path) -> None:
    row = FORMATS[name]
    data = made(tmp_path / "in", [holes_parts_and_specks(seed) for seed in (1, 2)])
    same_name = [
        replace(record, name="x/a.png", groups={"split": split})
        for record, split in zip(data.records, ("train", "val"), strict=True)
    ]
    back, _ = there_and_back(row, replace(data, records=tuple(same_name)), tmp_path / "out")
    assert set(back.names) <= {"x/a.png", "a.png"}
    assert {r.groups["split"]: len(back.truth(i)) for i, r in enumerate(back.records)} == {
        split: len(data.truth(i)) for i, split in enumerate(("train", "val"))
    }


REAL = [(n, s) for n in NAMES if n != "cvat-video" for s in ("dsb2018", "coco_subset")]
REAL += [(n, "rice_leaf_via") for n in TOOLS]


@pytest.mark.parametrize(("name", "source"), REAL)
def test_real_objects(name: str, source: str, data_dir: Path, tmp_path: Path) -> None:
    row = FORMATS[name]
    data = open_dataset(data_dir / source, split="val", skip_invalid=True)[:4]
    back, _ = there_and_back(row, data, tmp_path / "out")
    least = 1.0
    for i in range(len(data)):
        truth, read = data.truth(i), back.truth(same(back, data, i))
        assert read.names == truth.names and truth.masks is not None and read.masks is not None
        least = min(least, float(np.diag(truth.masks.iou(read.masks)).min(initial=1)))
    # polygons of COCO cover other pixels of their edge by COCO's own rule
    assert least == 1 if source == "dsb2018" else least > 0.6
