"""Datasets into other formats: whole or not at all, ids kept, losses told; real samples there and back."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from delineate.core.errors import DatasetError
from delineate.data import open_dataset
from delineate.data.kept_ids import FILE
from delineate.data.losses import Losses
from delineate.data.records import Dataset
from delineate.engine.convert import check_target, convert, write_dataset

PICTURES = ("label-images", "stardist", "cellpose", "voc", "coco-panoptic")


@pytest.fixture(scope="module")
def coco(data_dir: Path) -> Dataset:
    """Every eighth image of real COCO, some with crowds."""
    data = open_dataset(data_dir / "coco_subset")
    return data.subset(range(0, len(data), 8))


@pytest.fixture(scope="module")
def nuclei(data_dir: Path) -> Dataset:
    return open_dataset(data_dir / "dsb2018").subset(range(0, 500, 50))


def same_image_rows(back: Dataset, data: Dataset) -> None:
    def rows(of: Dataset) -> list[tuple[object, ...]]:
        found = [
            (r.groups.get("split", ""), r.name, r.image_id, sorted(r.groups.items())) for r in of.records
        ]
        return sorted(found)

    assert rows(back) == rows(data)


def place(back: Dataset, data: Dataset, index: int) -> int:
    wanted = data.records[index]
    return next(
        k
        for k, r in enumerate(back.records)
        if (r.name, r.groups.get("split")) == (wanted.name, wanted.groups.get("split"))
    )


def test_coco_to_yolo_and_back(coco: Dataset, tmp_path: Path) -> None:
    done = write_dataset(coco, tmp_path / "yolo", "yolo", images="link")
    crowds = sum(int(coco.truth(i).crowd.sum()) for i in range(len(coco)))
    assert done.losses.counts == ({"crowd": crowds} if crowds else {})
    assert str(done).startswith(f"wrote {tmp_path / 'yolo'}: YOLO, {len(coco)} images")
    middle = open_dataset(tmp_path / "yolo")
    assert middle.format == "YOLO" and middle.classes == coco.classes
    assert not write_dataset(middle, tmp_path / "coco", "coco").losses
    back = open_dataset(tmp_path / "coco")
    assert back.classes == coco.classes
    same_image_rows(back, coco)
    equal = total = 0
    for i in range(len(coco)):
        truth = coco.truth(i)[~coco.truth(i).crowd]
        for data in (middle, back):
            found = data.truth(place(data, coco, i))
            assert found.names == truth.names
            assert truth.masks is not None and found.masks is not None
            for k in range(len(truth)):
                iou = float(truth.masks[k].iou(found.masks[k])[0, 0])
                assert iou > 0.99
                equal += iou == 1
                total += 1
    assert equal >= 0.995 * total


def test_coco_to_coco_keeps_all(coco: Dataset, tmp_path: Path) -> None:
    write_dataset(coco, tmp_path / "out", "coco", images="link", on_loss="error")
    back = open_dataset(tmp_path / "out")
    same_image_rows(back, coco)
    for i in range(len(coco)):
        k = place(back, coco, i)
        one, two = coco.truth(i), back.truth(k)
        assert one.masks == two.masks
        for name in ("boxes", "labels", "crowd", "areas", "ids"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-4)
        for a, b in zip(coco.drawn(i), back.drawn(k), strict=True):
            assert (a is None) == (b is None)
            for p, q in zip(a or (), b or (), strict=True):
                np.testing.assert_allclose(p.exterior, q.exterior, atol=1e-4)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_what_is_written(nuclei: Dataset, tmp_path: Path) -> None:
    write_dataset(nuclei, tmp_path / "a.json")
    theirs = COCO(str(tmp_path / "a.json"))
    assert theirs.getImgIds() == nuclei.image_ids
    for i, image_id in enumerate(nuclei.image_ids[:3]):
        truth = nuclei.truth(i)
        assert truth.masks is not None
        rows = theirs.loadAnns(theirs.getAnnIds(image_id))
        for k, row in enumerate(rows):
            np.testing.assert_array_equal(theirs.annToMask(row) > 0, truth.masks[k].dense()[0])


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_hold_nuclei_exactly(nuclei: Dataset, name: str, tmp_path: Path) -> None:
    done = write_dataset(nuclei, tmp_path / "out", name, images="link", on_loss="error")
    assert done.images == len(nuclei)
    back = open_dataset(tmp_path / "out")
    same_image_rows(back, nuclei)
    assert back.classes.names == nuclei.classes.names
    for i in range(len(nuclei)):
        k = place(back, nuclei, i)
        assert back.truth(k).masks == nuclei.truth(i).masks
        assert back[k].image.shape == nuclei[i].image.shape


def test_voc_as_others_read_it(coco: Dataset, tmp_path: Path) -> None:
    write_dataset(coco.subset([0, 1]), tmp_path / "voc", "voc")
    names = [line.split(":")[0] for line in (tmp_path / "voc" / "labelmap.txt").read_text().splitlines()[1:]]
    for i in (0, 1):
        stem, truth = Path(coco.names[i]).stem, coco.truth(i)
        objects = np.array(Image.open(tmp_path / "voc" / "SegmentationObject" / f"{stem}.png"))
        classes = np.array(Image.open(tmp_path / "voc" / "SegmentationClass" / f"{stem}.png"))
        tree = ElementTree.parse(tmp_path / "voc" / "Annotations" / f"{stem}.xml").getroot()
        assert objects.shape == truth.size and objects.max() <= len(truth)
        assert [item.findtext("name") for item in tree.iter("object")] == truth.names
        for number in np.unique(objects[objects > 0]):
            assert {names[c] for c in np.unique(classes[objects == number])} == {truth.names[number - 1]}


def test_lvis_there_and_back(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "formats" / "lvis" / "lvis_val_100.json"
    data = open_dataset(source, images=False)
    assert data.format == "LVIS"
    assert not write_dataset(data, tmp_path / "lvis.json", "lvis").losses
    ours, theirs = (json.loads(p.read_text()) for p in (tmp_path / "lvis.json", source))
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        assert {r["id"]: r[key] for r in ours["images"]} == {r["id"]: r[key] for r in theirs["images"]}
    for key in ("name", "frequency", "synset"):
        assert [r[key] for r in ours["categories"]] == [r[key] for r in theirs["categories"]]
    assert {r["id"]: r["category_id"] for r in ours["annotations"]} == {
        r["id"]: r["category_id"] for r in theirs["annotations"]
    }


def test_tracks_there_and_back(data_dir: Path, tmp_path: Path) -> None:
    data = open_dataset(data_dir / "ctc" / "Fluo-N2DH-SIM+")
    assert data.format == "Cell Tracking Challenge" and len(data) == 45
    convert(data.source, tmp_path / "ctc", "ctc", on_loss="error", images="link")
    back = open_dataset(tmp_path / "ctc")
    same_image_rows(back, data)
    for i in (0, 20, 44):
        assert back.truth(i).masks == data.truth(i).masks
        assert np.array_equal(back.truth(i).ids, data.truth(i).ids)
    texts = [folder / "01_GT" / "TRA" / "man_track.txt" for folder in (tmp_path / "ctc", data.source)]
    ours, theirs = ({tuple(map(int, line.split())) for line in t.read_text().splitlines()} for t in texts)
    assert ours == theirs


def test_stuff_goes_from_cityscapes_to_panoptic_and_back(data_dir: Path, tmp_path: Path) -> None:
    data = open_dataset(data_dir / "formats" / "datumaro_assets" / "cityscapes_dataset" / "dataset")
    write_dataset(data, tmp_path / "panoptic", "coco-panoptic", on_loss="error")
    middle = open_dataset(tmp_path / "panoptic")
    write_dataset(middle, tmp_path / "cityscapes", "cityscapes", on_loss="error")
    back = open_dataset(tmp_path / "cityscapes")
    for i in range(len(data)):
        k = place(back, data, i)
        np.testing.assert_array_equal(back.semantic(k).map, data.semantic(i).map)
        assert len(back.truth(k)) == len(data.truth(i))
    told = write_dataset(data, tmp_path / "coco", "coco").losses.told()
    assert len(told) == 1 and "stuff" in told[0]


@pytest.mark.parametrize("images", ["copy", "link", "none"])
def test_images(images: str, nuclei: Dataset, tmp_path: Path) -> None:
    write_dataset(nuclei.subset([0]), tmp_path / "out", "coco", images=images)  # type: ignore[arg-type]
    found = list((tmp_path / "out").rglob("*.png"))
    if images == "none":
        assert not found
        return
    assert len(found) == 1
    assert (found[0].stat().st_ino == nuclei.records[0].path.stat().st_ino) == (
        images == "link" and found[0].stat().st_dev == nuclei.records[0].path.stat().st_dev
    )


def test_losses_are_an_error_where_wanted(coco: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"losses: PASCAL VOC: \d+ objects lost the pixels") as error:
        write_dataset(coco, tmp_path / "voc", "voc", on_loss="error")
    assert "nothing was written" in str(error.value) and coco.names[0] in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_whole_or_not_at_all(nuclei: Dataset, tmp_path: Path) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(nuclei, tmp_path / "out", "coco", tick=fail)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    write_dataset(nuclei.subset([0]), tmp_path / "out", "yolo")  # an empty folder is free
    for name, to in (("out", "yolo"), ("out", None), ("a.json", "yolo")):
        if name == "a.json":
            (tmp_path / name).touch()
        with pytest.raises(DatasetError):
            check_target(tmp_path / name, to)


def test_a_bad_image_is_left_out_where_wanted(nuclei: Dataset, tmp_path: Path) -> None:
    data = write_dataset(nuclei.subset([0, 1]), tmp_path / "yolo", "yolo") and open_dataset(tmp_path / "yolo")
    data.records[0].annotation.write_text("0 0.5 nan 1 1 1 0\n")
    with pytest.raises(DatasetError, match="finite numbers"):
        write_dataset(data, tmp_path / "a.json")
    done = write_dataset(data, tmp_path / "a.json", skip_invalid=True)
    assert done.images == 1 and len(done.skipped) == 1 and data.names[0] in done.skipped[0]


def test_ids_come_from_a_file_of_their_own(nuclei: Dataset, tmp_path: Path) -> None:
    write_dataset(nuclei.subset([4, 2]), tmp_path / "out", "yolo")
    back = open_dataset(tmp_path / "out")
    assert sorted(back.image_ids) == sorted(nuclei.subset([4, 2]).image_ids)
    assert back.groups["modality"]
    (tmp_path / "out" / FILE).write_text("{")
    with pytest.raises(DatasetError, match="remove the file"):
        open_dataset(tmp_path / "out")
    (tmp_path / "out" / FILE).unlink()
    assert open_dataset(tmp_path / "out").image_ids == [1, 2]


def test_targets(tmp_path: Path) -> None:
    assert check_target(tmp_path / "a.json", None).name == "coco"
    assert check_target(tmp_path / "a.json", "lvis").name == "lvis"
    for out, to, message in (
        ("folder", None, "name of a format"),
        ("folder", "ade20k", "only read"),
        ("folder", "x", "expected a format"),
    ):
        with pytest.raises(DatasetError, match=message):
            check_target(tmp_path / out, to)
    with pytest.raises(DatasetError, match="synthesize"):
        convert("synthetic:crowds?images=1", tmp_path / "out", "coco")


def test_told() -> None:
    losses = Losses()
    assert losses.told() == []
    losses.refuse("out")
    for name in ("a", "b", "c", "d"):
        losses.count("holes", name, 2)
    losses.count("parts", "a")
    losses.count("ids", "a", 0)
    assert losses.told() == [
        "8 objects lost their holes (4 images: a, b, c, …)",
        "1 object of several parts is no longer one object (1 image: a)",
    ]
