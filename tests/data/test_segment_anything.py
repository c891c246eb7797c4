"""SA-V's masklets and SA-1B's masks."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import DatasetError
from delineate.core.masks import Masks
from delineate.data import open_dataset
from delineate.data.formats import sa1b, sav
from delineate.data.images import write_png
from delineate.data.known_formats import FORMATS, guess


def masklets(path: Path, frames: int = 3, **changes: object) -> Path:
    """Two objects, the second of which is gone in the second entry."""
    rows = []
    for index in range(frames):
        dense = np.zeros((2, 12, 16), bool)
        dense[0, index : index + 3, 2:5] = True
        dense[1, 8:10, 8:14] = index != 1
        rows.append(Masks.from_dense(dense).to_rle())
    content = {
        "video_id": "v1",
        "video_height": 12.0,
        "video_width": 16.0,
        "masklet": rows,
        "masklet_id": [4, 9],
    }
    path.write_text(json.dumps(content | changes))
    return path


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        write_png(folder / f"{number:05d}.png", np.full((12, 16), number, np.uint8))


@pytest.mark.parametrize(
    ("inside", "count", "shown"), [("", 9, 8), ("JPEGImages_24fps", 10, 8), ("frames", 3, 2)]
)
def test_frames_and_tracks(tmp_path: Path, inside: str, count: int, shown: int) -> None:
    pictures(tmp_path / inside / "v1", count)
    path = masklets(tmp_path / "v1_manual.json")
    found = guess(path)
    assert found is not None and found.name == "sa-v" and not found.writes
    data = pickle.loads(pickle.dumps(open_dataset(path)))
    assert data.groups == {"sequence": ["v1_manual"] * 3, "frame": ["0", "4", "8"]}
    assert [data.truth(i).ids.tolist() for i in range(3)] == [[4, 9], [4], [4, 9]]
    assert data[2].image[0, 0] == shown and data[2].truth.masks.area.tolist() == [9, 12]


def test_frames_out_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    from delineate.data.video import VideoWriter

    monkeypatch.setenv("DELINEATE_CACHE", str(tmp_path / "cache"))
    with VideoWriter(tmp_path / "v1.mp4", 24) as video:
        for number in range(9):
            video.add(np.full((12, 16, 3), 20 * number, np.uint8), number / 24)
    data = open_dataset(masklets(tmp_path / "v1.json"))
    assert [round(float(data[i].image.mean()) / 20) for i in range(3)] == [0, 4, 8]
    first = data.records[0].path.stat().st_mtime_ns
    assert open_dataset(tmp_path / "v1.json").records[0].path.stat().st_mtime_ns == first


def test_the_published_example(data_dir: Path) -> None:
    folder = data_dir / "formats/sav_json/example"
    data = sav.read(folder, images=False)
    assert len(data) == 242 and set(data.groups["sequence"]) == {"sav_000001_auto", "sav_000001_manual"}
    content = json.loads((folder / "sav_000001_manual.json").read_text())
    manual = data.select(sequence="sav_000001_manual")
    areas, seen = np.zeros(5), np.zeros(5)
    for index in range(len(manual)):
        truth = manual.truth(index)
        areas[truth.ids] += truth.masks.area  # type: ignore[union-attr, index]
        seen[truth.ids] += 1  # type: ignore[index]
    assert np.allclose(areas / seen, content["masklet_size_abs"], rtol=1e-6)
    assert manual.groups["frame"][-1] == "480"
    with pytest.raises(DatasetError, match=r"expected sav_000001\.mp4 or a folder sav_000001"):
        sav.read(folder / "sav_000001_manual.json")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"masklet": 3}, "expected masklets as SA-V has them"),
        ({"masklet_id": [1]}, "expected 1 masks in each entry"),
        ({"video_height": 0.0}, "a size above 0"),
    ],
)
def test_bad_masklets(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    path = masklets(tmp_path / "v1.json", **changes)
    with pytest.raises(DatasetError, match=told):
        sav.read(path, images=False)
    masklets(tmp_path / "v2.json")
    assert len(sav.read(tmp_path, images=False, skip_invalid=True)) == 3


def test_too_few_frames_and_damaged_masks(tmp_path: Path) -> None:
    pictures(tmp_path / "v1", 2)
    path = masklets(tmp_path / "v1.json")
    with pytest.raises(DatasetError, match="9 or 3, got 2"):
        sav.read(path)
    wrong = [[{"size": [3, 3], "counts": "1"}, {"size": [12, 16], "counts": "~"}]]
    with pytest.raises(DatasetError, match=r"masklet\[0\]"):
        sav.read(masklets(tmp_path / "v3.json", masklet=wrong), images=False).truth(0)


def test_sa_1b(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "formats/datumaro_assets/segment_anything_dataset"
    found = guess(source)
    assert found is not None and found.name == "sa-1b" and FORMATS["sa-1b"].writes is False
    data = open_dataset(source)
    assert data.names == ["a.jpg", "b.jpg"] and data.format == "SA-1B"
    rows = json.loads((source / "a.json").read_text())["annotations"]
    truth = data[0].truth
    assert truth.masks is not None and truth.masks.area.tolist() == [row["area"] for row in rows]
    assert np.allclose(truth.scores, [row["predicted_iou"] for row in rows])
    for name in ("a.json", "a.jpg"):
        shutil.copyfile(source / name, tmp_path / name)
    content = json.loads((tmp_path / "a.json").read_text())
    for change, told in (
        ({"image": {**content["image"], "width": 0}}, "a width and a height"),
        ({"annotations": [{"id": "x"}]}, "expected masks as SA-1B has them"),
        ({"image": {**content["image"], "file_name": "../a.jpg"}}, "leads outside"),
    ):
        (tmp_path / "a.json").write_text(json.dumps(content | change))
        with pytest.raises(DatasetError, match=told):
            sa1b.read(tmp_path / "a.json")
