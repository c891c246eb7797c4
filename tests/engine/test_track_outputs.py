"""What tracked objects are written to, read back by the readers of the formats, and by others' tools."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats import mot, mots
from delineate.data.track_files import open_tracks
from delineate.data.video import frames
from delineate.engine.track import FoundTracks
from delineate.engine.track_outputs import KINDS, Film, TrackOutputs
from delineate.tracking.tracked import Tracked

SIZE = (24, 40)
FILM = Film("clip.mp4", rate=10)
CELL = Labels(("cell",))


def boxed(*boxes: tuple[int, int, int, int]) -> Masks:
    dense = np.zeros((len(boxes), *SIZE), bool)
    for k, (x1, y1, x2, y2) in enumerate(boxes):
        dense[k, y1:y2, x1:x2] = True
    return Masks.from_dense(dense)


def found(
    number: int,
    boxes: list[tuple[int, int, int, int]],
    ids: list[int],
    classes: Labels = CELL,
    labels: list[int] | None = None,
    parents: dict[int, int] | None = None,
) -> FoundTracks:
    objects = Instances(
        SIZE, masks=boxed(*boxes), ids=np.array(ids, np.int64), labels=labels, scores=[0.75] * len(ids),
        classes=classes,
    )  # fmt: skip
    index, split = np.arange(len(ids)), np.zeros(len(ids), bool)
    picture = np.full((*SIZE, 3), 90, np.uint8)
    return FoundTracks(
        number, number / 10, picture, objects, Tracked(objects, index, split, (), parents or {})
    )


def clip() -> list[FoundTracks]:
    """Two objects; the second divides in frame 3."""
    one = [(2 + k, 3, 8 + k, 9) for k in range(6)]
    two = (20, 10, 28, 18)
    made = [found(k, [one[k], two], [1, 2]) for k in range(3)]
    halves = [(18, 10, 23, 18), (25, 10, 30, 18)]
    made += [found(3, [one[3], *halves], [1, 3, 4], parents={3: 2, 4: 2})]
    return made + [found(k, [one[k], *halves], [1, 3, 4]) for k in (4, 5)]


def write(folder: Path, made: list[FoundTracks], *kinds: str, film: Film = FILM) -> TrackOutputs:
    with TrackOutputs(folder, "clip", kinds, film) as outputs:
        for one in made:
            outputs.add(one)
    return outputs


def test_all_kinds(tmp_path: Path) -> None:
    outputs = write(tmp_path, clip(), *KINDS)
    assert outputs.done == 6 and all(path.exists() for path in outputs.files.values())
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")] and outputs.told() == []


def test_mots_text_is_what_went_in(tmp_path: Path) -> None:
    write(tmp_path, clip(), "mots")
    read = mots.read_text(tmp_path / "clip.mots.txt")
    assert read.frames == tuple(range(1, 7)) and (tmp_path / "labels.txt").read_text() == "cell\n"
    for one in clip():
        objects = read[one.number + 1].objects
        assert objects.masks == one.instances.masks
        assert objects.ids.tolist() == one.instances.ids.tolist()  # type: ignore[union-attr]


def test_mot_text_is_what_went_in(tmp_path: Path) -> None:
    write(tmp_path, clip(), "mot", film=Film("f", number_of=lambda k: 100 + k))
    read = mot.read(tmp_path / "clip.mot.txt")
    assert read.frames == tuple(range(100, 106))
    objects = read[103].objects
    np.testing.assert_allclose(objects.boxes, clip()[3].instances.boxes)
    assert objects.ids.tolist() == [1, 3, 4] and np.allclose(objects.scores, 0.75)  # type: ignore[union-attr]


def test_names_of_mots(tmp_path: Path) -> None:
    street = Labels(("person", "car"), ids=(1, 3))
    write(tmp_path, [found(0, [(0, 0, 4, 4), (9, 9, 14, 14)], [7, 1000], street, [0, 1])], "mots")
    lines = [line.split()[:5] for line in (tmp_path / "clip.mots.txt").read_text().splitlines()]
    assert lines == [["1", "7", "2", "24", "40"], ["1", "1000", "1", "24", "40"]]  # pedestrian 2, car 1
    assert not (tmp_path / "labels.txt").exists()


def test_masks_that_overlap(tmp_path: Path) -> None:
    outputs = write(tmp_path, [found(0, [(0, 0, 10, 10), (5, 5, 12, 12)], [1, 2])], "mots")
    read = mots.read_text(tmp_path / "clip.mots.txt")[1].objects.masks
    assert read is not None and read.area.tolist() == [75, 49] and read.union().area[0] == 124
    assert "1 object lost the pixels" in outputs.told()[0]


def test_boxes_alone(tmp_path: Path) -> None:
    full = found(0, [(0, 0, 4, 4)], [1])
    objects = full.instances.replace(masks=None)
    bare = full._replace(tracked=Tracked(objects, full.tracked.index, full.tracked.split))
    outputs = write(
        tmp_path, [bare, bare._replace(number=1, time=0.1)], "mots", "mot", "overlay", "coco", "table"
    )
    assert (tmp_path / "clip.mots.txt").read_text() == "" and "boxes alone" in outputs.told()[0]
    assert len((tmp_path / "clip.mot.txt").read_text().splitlines()) == 2
    assert frames(tmp_path / "clip.tracks.mp4").count == 2


def test_cell_tracking_challenge(tmp_path: Path) -> None:
    made = clip()
    del made[1]  # a frame that could not be read
    write(tmp_path, made, "ctc")
    folder = tmp_path / "clip_RES"
    assert len(list(folder.glob("mask*.tif"))) == 6
    read = open_tracks(folder)[0]
    assert read.frames == tuple(range(6)) and read.lineage is not None
    assert [len(read[k].objects) for k in (0, 2, 3, 5)] == [2, 2, 3, 3]
    ((mother, children),) = [(m, c) for m, c in read.lineage.divisions.items() if len(c) == 2]
    ends = {row[0]: row[2] for row in read.lineage.rows()}
    assert ends[mother] == 2 and len(children) == 2
    write(tmp_path, clip()[:2], "ctc")  # once more, over it
    assert len(list(folder.glob("mask*.tif"))) == 2


def test_a_folder_of_others_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "clip_RES").mkdir()
    (tmp_path / "clip_RES" / "thesis.doc").touch()
    with pytest.raises(InputError, match=r"got thesis\.doc"):
        write(tmp_path, clip(), "ctc", "mot")
    assert [p.name for p in tmp_path.iterdir()] == ["clip_RES"]


def test_coco_is_a_video_with_tracks(tmp_path: Path) -> None:
    write(tmp_path, clip(), "coco")
    document = json.loads((tmp_path / "clip.tracks.json").read_text())
    assert document["videos"] == [{"id": 1, "name": "clip.mp4"}]
    assert [(i["frame_id"], i["time"], i["video_id"]) for i in document["images"]][2] == (2, 0.2, 1)
    tracks = {a["track_id"] for a in document["annotations"]}
    assert tracks == {1, 2, 3, 4} and all(a["score"] == 0.75 for a in document["annotations"])
    from delineate.data.dataset import open_dataset

    data = open_dataset(tmp_path / "clip.tracks.json", images=False)
    assert data.records[4].groups == {"sequence": "clip.mp4", "frame": "4"}
    assert data.truth(4).ids.tolist() == [1, 3, 4]  # type: ignore[union-attr]


def test_table(tmp_path: Path) -> None:
    nasty = Labels(("=cmd|' /C calc'!A0",))
    write(tmp_path, [*clip(), found(6, [(1, 1, 3, 3)], [9], nasty)], "table")
    with (tmp_path / "clip.tracks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 + 3 * 3 + 1 and rows[-1]["class"][0] == "'"
    division = [row for row in rows if row["parent"]]
    assert [(r["frame"], r["track"], r["parent"]) for r in division] == [("3", "3", "2"), ("3", "4", "2")]
    assert (rows[0]["x1_px"], rows[0]["area_px"], rows[0]["time_s"]) == ("2.00", "36", "0.0000")


def test_trajectories(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    write(tmp_path, clip(), "trajectories")
    rows = pd.read_parquet(tmp_path / "clip.trajectories" / "trajectories.parquet")
    first = rows[rows["track"] == 1]
    assert first["time_s"].tolist() == pytest.approx([k / 10 for k in range(6)])


def test_uneven_times_reach_the_overlay(tmp_path: Path) -> None:
    times = [7, 7.1, 7.5, 8]  # of a part of a video
    made = [one._replace(time=time) for one, time in zip(clip(), times, strict=False)]
    write(tmp_path, made, "overlay")
    read = [frame.time for frame in frames(tmp_path / "clip.tracks.mp4")]
    np.testing.assert_allclose(read, np.array(times) - 7, atol=1e-3)


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_what_was_done_is_kept(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), TrackOutputs(tmp_path, "clip", KINDS, FILM) as outputs:
        for one in clip()[:3]:
            outputs.add(one)
        raise error("stop")
    assert frames(tmp_path / "clip.tracks.mp4").count == 3
    assert len(json.loads((tmp_path / "clip.tracks.json").read_text())["images"]) == 3
    assert len(list((tmp_path / "clip_RES").glob("mask*.tif"))) == 3


def test_nothing_is_left_of_nothing(tmp_path: Path) -> None:
    write(tmp_path, [], *KINDS)
    assert list(tmp_path.iterdir()) == []


def test_one_file_that_fails_does_not_take_the_others(tmp_path: Path) -> None:
    other = found(2, [(0, 0, 4, 4)], [1])
    other = other._replace(frame=np.zeros((30, 40, 3), np.uint8))
    with (
        pytest.raises(InputError, match="the image of the objects"),
        TrackOutputs(tmp_path, "c", ("mot", "overlay"), FILM) as outputs,
    ):
        for one in [*clip()[:2], other, *clip()[3:]]:
            outputs.add(one)
    assert (tmp_path / "c.mot.txt").exists() and frames(tmp_path / "c.tracks.mp4").count == 2


def test_a_kind_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected some of overlay"):
        TrackOutputs(tmp_path, "c", ("gif",), FILM)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected to write here"):
        TrackOutputs(tmp_path / "file", "c", ("mot",), FILM)


def test_leftovers_of_a_killed_run(tmp_path: Path) -> None:
    (tmp_path / ".clip_RES.part").mkdir()
    (tmp_path / ".clip_RES.part" / "mask000.tif").touch()
    (tmp_path / ".clip.mot.txt.part").write_text("half a li")
    made: list[Any] = clip()
    write(tmp_path, made, "ctc", "mot")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mot.txt", "clip_RES"]
