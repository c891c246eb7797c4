"""CVAT's XML: the manual's examples, real exports, bad ones, and tracks there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.formats import cvat, cvat_video
from delineate.data.formats.cvat_shapes import row_runs
from delineate.data.images import write_png
from delineate.data.losses import Losses
from delineate.data.place import Place
from delineate.data.records import Dataset, Record

LABELS = (
    "<labels><label><name>wheel</name><type>points</type></label><label><name>car</name></label></labels>"
)
# "XML annotation format" in CVAT's manual shows this mask.
RLE = "3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3"


def images(folder: Path, *shapes: str, size: tuple[int, int] = (1200, 1600)) -> Path:
    write_png(folder / "a.png", np.zeros(size, np.uint8))
    text = f"<annotations><version>1.1</version><meta><task>{LABELS}</task></meta>"
    text += f'<image id="7" name="a.png" width="{size[1]}" height="{size[0]}">{"".join(shapes)}</image>'
    text += "</annotations>"
    (folder / "annotations.xml").write_text(text)
    return folder


def test_the_manuals_mask(tmp_path: Path) -> None:
    place = 'left="707" top="888" width="13" height="15" z_order="0"'
    mask = f'<mask label="car" occluded="0" rle="{RLE}" {place}/>'
    data = open_dataset(images(tmp_path, mask))
    truth = data[0].truth
    assert (data.format, data.classes.names, data.image_ids) == ("CVAT", ("car",), [7])
    assert truth.boxes.tolist() == [[707, 888, 720, 903]] and truth.masks is not None
    crop = truth.masks.crop(0)[0]
    assert crop.sum() == sum(map(int, RLE.split(",")[1::2])) and ", ".join(map(str, row_runs(crop))) == RLE
    # drawn with a round brush: no row of it has a gap
    assert (np.abs(np.diff(np.pad(crop, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1) == 2).all()


def test_every_shape_and_rotation(tmp_path: Path) -> None:
    folder = images(
        tmp_path,
        '<box label="car" xtl="10" ytl="20" xbr="30" ybr="60" rotation="90" z_order="2"/>',
        '<ellipse label="disc" cx="20" cy="20" rx="8" ry="4" rotation="90" z_order="1"/>',
        '<polygon label="car" points="1.0,2;3,4;6,2" group_id="3"/>',
        '<polygon label="car" points="11,2;13,4;16,2" group_id="3"/>',
        '<polygon label="disc" points="11,2;13,4;16,2" group_id="3">'
        '<attribute name="is_crowd">true</attribute></polygon>',
        '<polyline label="car" points="1,2;3,4"/><points label="wheel" points="1,2"/><tag label="car"/>',
        '<cuboid label="car" xtl1="1" ytl1="2"/>',
        '<skeleton label="s"><points label="1" points="1,2"/></skeleton>',
        size=(80, 90),
    )
    data = cvat.read(folder)
    truth = data.truth(0)
    assert truth.names == ["car", "disc", "disc", "car"]
    assert truth.crowd.tolist() == [False, True, False, False]
    assert truth.boxes.tolist()[2:] == [[16, 12, 24, 28], [0, 30, 40, 50]]
    assert truth.masks is not None and len(truth.masks[0].to_polygons()[0]) == 2
    assert [note.split(" × ")[0] for note in data.notes] == ["1", "1", "1", "1", "1"]


def test_real_exports(data_dir: Path) -> None:
    folder = data_dir / "formats/datumaro_assets/cvat_dataset/for_images"
    project = open_dataset(folder / "export_project")
    assert project.groups["split"] == ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert project[0].truth.boxes.tolist() == [[0, 2, 4, 4]]
    with pytest.raises(DatasetError, match=r'image "img1.jpg", polygon 1: expected a label, got none'):
        cvat.read(folder / "export_task")
    task = cvat.read(folder / "export_task", skip_invalid=True)
    assert (task.classes.names, [len(s.truth) for s in task]) == (("label1", "label2"), [1, 0])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("billion_laughs.xml", "without entities"),
        ("mask_rle_too_long.xml", "mask 1, rle: expected runs of 100 pixels in all, got 999999999"),
        ("points_missing.xml", "polygon 1, points: expected x,y"),
    ],
)
def test_refused(bad_inputs: Path, name: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said) as told:
        cvat.read(bad_inputs / "cvat" / name, images=bad_inputs / "images")
    assert "\n" not in str(told.value)


def test_mask_outside_its_image(bad_inputs: Path) -> None:
    sample = cvat.read(bad_inputs / "cvat/mask_outside_image.xml", images=bad_inputs / "images")[0]
    assert len(sample.truth) == 0 and "1 objects without any pixel" in sample.notes[0]


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon label="car" points="1,2;3,nan;4,5"/>',
        '<polygon label="car" points="1,2;3,4"/>',
        '<box label="car" xtl="1" ytl="2" xbr="1" ybr="9"/>',
        '<box label="car" xtl="1e999" ytl="2" xbr="1" ybr="9"/>',
        '<ellipse label="car" cx="1" cy="2" rx="-3" ry="1"/>',
        '<mask label="car" rle="1, -1" left="0" top="0" width="1" height="1"/>',
        '<mask label="car" rle="0, 2000000000" left="0" top="0" width="50000" height="40000"/>',
        '<mask label="car" rle="" left="0" top="0" width="1" height="1"/>',
        '<polygon label="car" points="1,2;3,4;5,1" z_order="first"/>',
    ],
)
def test_bad_shapes(tmp_path: Path, shape: str) -> None:
    folder = images(tmp_path, shape)
    with pytest.raises(DatasetError, match=r'image "a\.png", .*expected'):
        cvat.read(folder)
    assert len(cvat.read(folder, skip_invalid=True).truth(0)) == 0


def video(folder: Path, *tracks: str) -> Path:
    (folder / "images").mkdir()
    for frame in range(5):
        write_png(folder / f"images/frame_{frame:06d}.png", np.zeros((20, 30), np.uint8))
    meta = f"<meta><task><name>v</name><mode>interpolation</mode>{LABELS}</task></meta>"
    (folder / "annotations.xml").write_text(f"<annotations>{meta}{''.join(tracks)}</annotations>")
    return folder


def test_tracks_and_what_lies_between_key_frames(tmp_path: Path) -> None:
    folder = video(
        tmp_path,
        '<track id="4" label="car"><box frame="0" xtl="0" ytl="0" xbr="4" ybr="4" outside="0"/>'
        '<box frame="2" xtl="4" ytl="2" xbr="8" ybr="6" outside="0"/>'
        '<box frame="3" xtl="4" ytl="2" xbr="8" ybr="6" outside="1"/></track>',
        '<track id="9" label="bus"><polygon frame="1" points="0,0;9,0;9,9" outside="0"/>'
        '<polygon frame="3" points="0,0;9,0;9,9;0,9" outside="0"/></track>',
    )
    data = open_dataset(folder)
    assert (data.format, data.groups["frame"], data.groups["sequence"][0]) == (
        "CVAT video",
        list("01234"),
        "v",
    )
    truths = [data.truth(i) for i in range(5)]
    assert [[] if t.ids is None else t.ids.tolist() for t in truths] == [[4], [4, 9], [4, 9], [9], []]
    assert truths[1].boxes[0].tolist() == [2, 1, 6, 5]
    assert "1 × shape between key frames interpolated" in data.notes
    assert "1 × shape between key frames held from the one before" in data.notes


def test_a_real_video(data_dir: Path) -> None:
    folder = data_dir / "formats/datumaro_assets/cvat_dataset/for_video"
    data = open_dataset(folder)
    assert (data.names[0], data.groups["frame"]) == ("frame_000010.png", ["10", "13", "16"])
    assert [s.truth.boxes.tolist() for s in data] == [[[3, 4, 10, 5]], [], []]
    assert cvat_video.read(folder, images=False).groups["frame"] == ["10", "13", "16", "19"]


def test_frames_are_missing(tmp_path: Path) -> None:
    folder = video(
        tmp_path, '<track id="0" label="car"><box frame="9" xtl="0" ytl="0" xbr="4" ybr="4"/></track>'
    )
    with pytest.raises(DatasetError, match=r"frame_000009\.png"):
        cvat_video.read(folder)
    for path in (folder / "images").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="ffmpeg"):
        cvat_video.read(folder)


def given(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    return record.annotation, ()


def test_tracks_there_and_back(tmp_path: Path) -> None:
    """Two sequences; objects come, go, come back, overlap and have holes."""
    rng, classes = np.random.default_rng(1), Labels(("cell", "dust"))
    records: list[Record] = []
    for sequence in ("one", "two"):
        for frame in range(3, 8):
            dense = rng.random((3, 12, 15)) < 0.5
            seen = np.flatnonzero(rng.random(3) < 0.7)
            truth = Instances(
                (12, 15), masks=Masks.from_dense(dense[seen]), ids=seen + 5, labels=seen % 2, classes=classes
            )
            path = tmp_path / f"{sequence}{frame}.png"
            write_png(path, np.zeros((12, 15), np.uint8))
            groups = {"sequence": sequence, "frame": str(frame)}
            records.append(Record(path.name, path, len(records) + 1, (12, 15), truth, groups))
    data = Dataset(tuple(records), classes, given, "made", tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    losses = Losses()
    cvat_video.write(out, data, losses, Place("copy", out))
    back = open_dataset(out)
    assert not losses and back.groups == data.groups
    for i in range(len(data)):
        truth, read = data.truth(i), back.truth(i)
        assert read.masks == truth.masks and read.names == truth.names
        assert len(truth) == 0 or read.ids.tolist() == truth.ids.tolist()  # type: ignore[union-attr]


def test_cells_of_a_tracking_challenge(data_dir: Path, tmp_path: Path) -> None:
    """Tracks of 6 frames: the same cells under the same numbers, pixel by pixel."""
    data = open_dataset(data_dir / "ctc/Fluo-N2DH-SIM+")[:6]
    cvat_video.write(tmp_path, data, Losses(), Place("link", tmp_path))
    back = open_dataset(tmp_path)
    assert back.groups["frame"] == data.groups["frame"] and back.names[0].startswith("frame_0000")
    for i in range(6):
        truth, read = data.truth(i), back.truth(i)
        assert read.masks == truth.masks
        assert truth.ids is not None and read.ids is not None and read.ids.tolist() == truth.ids.tolist()
