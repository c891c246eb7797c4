"""Images that look the same stay together in a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.alike import alike_groups
from delineate.data.images import write_png
from delineate.data.records import Dataset, Record
from delineate.data.split import split
from delineate.data.synthetic import SceneSettings, SyntheticDataset

CLASSES = Labels(("cell",))


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return Instances.empty((96, 96), classes), ()


def dataset(folder: Path, pictures: dict[str, np.ndarray]) -> Dataset:
    records = []
    for number, (name, pixels) in enumerate(pictures.items(), 1):
        write_png(folder / name, pixels)
        records.append(Record(name, folder / name, number, pixels.shape[:2], None))
    return Dataset(tuple(records), CLASSES, decode, "made", folder)


def scenes(count: int) -> list[np.ndarray]:
    data = SyntheticDataset.of(count, [SceneSettings(size=(96, 96), objects=9)], seed=3)
    return [data[i].image for i in range(count)]


def test_copies_turned_ones_and_given_groups(tmp_path: Path) -> None:
    one, two, three, four = scenes(4)
    pictures = {
        "a.png": one,
        "b.png": two,
        "copy.png": one,
        "turned.png": two[::-1, ::-1],
        "c.png": three,
        "d.png": four,
    }
    data = dataset(tmp_path, pictures)
    names, joined = alike_groups(data)
    assert names == ["a.png", "b.png", "a.png", "b.png", "c.png", "d.png"] and joined == 4
    chained, _ = alike_groups(data, ["x", "y", "z", "w", "z", "v"])  # copy.png brings c.png to a.png
    assert chained[0] == chained[2] == chained[4] and chained[1] == chained[3] and len(set(chained)) == 3
    for seed in range(4):
        part = dict(
            zip(data.names, split(data, {"train": 1, "val": 1}, seed=seed, group=names).assigned, strict=True)
        )
        assert part["a.png"] == part["copy.png"] and part["b.png"] == part["turned.png"]


def test_blank_and_damaged_images(tmp_path: Path) -> None:
    blank = np.zeros((96, 96), np.uint8)
    data = dataset(tmp_path, {"a.png": blank, "b.png": blank, "c.png": blank + 9, "d.png": scenes(1)[0]})
    (tmp_path / "d.png").write_bytes(b"no picture")
    names, joined = alike_groups(data)
    assert names == ["a.png", "a.png", "c.png", "d.png"] and joined == 2
    assert alike_groups(data.subset([])) == ([], 0)
