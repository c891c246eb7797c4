"""`delineate composite` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.images import read
from delineate.data.video import VideoWriter, frames
from delineate.data.write import write_label_tiff, write_png
from delineate.engine.backgrounds import Loop, background
from delineate.engine.composite import Objects, composite_video

pytest.importorskip("av")

COUNT = 8


def scene(t: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Two squares on grey, one of which moves, and their labels."""
    picture = np.full((64, 96, 3), 120, np.uint8)
    labels = np.zeros((64, 96), np.int32)
    picture[10:40, 10 + 3 * t : 34 + 3 * t], labels[10:40, 10 + 3 * t : 34 + 3 * t] = (220, 40, 40), 1
    picture[44:60, 70:90], labels[44:60, 70:90] = (40, 40, 220), 2
    return picture, labels


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video, its label images ``labels/`` and the COCO file ``found.json`` with ids."""
    rows, images = [], []
    (tmp_path / "labels").mkdir()
    with VideoWriter(tmp_path / "clip.mp4", 10) as writer:
        for t in range(COUNT):
            picture, labels = scene(t)
            writer.add(picture, t / 10)
            write_label_tiff(tmp_path / "labels" / f"{t:03d}.tif", labels)
            masks = Masks.from_label_image(labels)
            classes = Labels(("person", "box"), (1, 2))
            found = Instances((64, 96), masks=masks, labels=[0, 1], ids=[1, 2], classes=classes)
            rows += found.to_coco(image_id=t + 1, first_id=len(rows) + 1)
            images.append({"id": t + 1, "frame": t, "file_name": f"{t}", "width": 96, "height": 64})
    names = [{"id": 1, "name": "person"}, {"id": 2, "name": "box"}]
    content = {"images": images, "annotations": rows, "categories": names}
    (tmp_path / "found.json").write_text(json.dumps(content))
    return tmp_path / "clip.mp4"


def pixels(path: Path) -> list[NDArray[np.uint8]]:
    return [np.asarray(frame.pixels) for frame in frames(path)]


def test_a_background_behind_a_class(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = clip.parent / "green.mp4"
    given = ["--detections", str(clip.parent / "found.json"), "--keep", "person", "--background", "#00c000"]
    assert main(["composite", str(clip), *given, "--out", str(out)]) == 0
    assert "8 frames, 8 objects chosen" in capsys.readouterr().out
    made = pixels(out)
    assert len(made) == COUNT
    for t, picture in enumerate(made):
        assert abs(picture[25, 22 + 3 * t].astype(int) - (220, 40, 40)).max() < 20
        assert abs(picture[52, 80].astype(int) - (0, 192, 0)).max() < 12


def test_an_object_by_its_id_is_removed_with_what_other_frames_show(clip: Path) -> None:
    out = clip.parent / "results"
    given = ["--tracks", str(clip.parent / "labels"), "--effect", "remove:id:1", "--as", "png"]
    assert main(["composite", str(clip), *given, "--out", str(out), "--quiet"]) == 0
    made = pixels(out / "clip.composite")
    assert len(made) == COUNT
    for picture in made:
        assert abs(picture[5:42, 5:65].astype(int) - 120).max() < 30
        assert picture[52, 80, 2] > 180


def test_a_cut_out_with_alpha_and_a_part(clip: Path) -> None:
    out = clip.parent / "cut.mov"
    given = ["--tracks", str(clip.parent / "labels"), "--background", "transparent", "--keep", "id:2"]
    assert main(["composite", str(clip), *given, "--from", "0.3", "--to", "0.6", "--out", str(out)]) == 0
    import av

    with av.open(str(out)) as file:
        made = [frame.to_ndarray(format="rgba") for frame in file.decode(video=0)]
    assert len(made) == 3
    assert made[1][52, 80, 3] > 250 and made[1][25, 30, 3] < 5


def test_photographs_and_one_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "labels").mkdir()
    for t in range(2):
        picture, labels = scene(t)
        write_png(tmp_path / "photos" / f"p{t}.png", picture)
        write_label_tiff(tmp_path / "labels" / f"p{t}.tif", labels)
    (tmp_path / "photos" / "p9.png").write_bytes(b"no picture")
    given = ["--detections", str(tmp_path / "labels"), "--background", "navy", "--out", str(tmp_path / "out")]
    assert main(["composite", str(tmp_path / "photos"), *given, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [r["objects"] for r in told["results"]] == [2, 2] and len(told["failed"]) == 1
    made = read(tmp_path / "out" / "p1.composite.png").pixels
    assert made[0, 0].tolist() == [0, 0, 128]
    one = [
        "composite",
        str(tmp_path / "photos" / "p1.png"),
        "--detections",
        str(tmp_path / "labels" / "p1.tif"),
    ]
    assert (
        main([*one, "--effect", "outline=red:id:2", "--edges", "hard", "--out", str(tmp_path / "one.png")])
        == 0
    )
    assert (read(tmp_path / "one.png").pixels == (255, 0, 0)).all(axis=2).sum() > 50


def test_a_model_and_a_tracker(clip: Path) -> None:
    """The embedded model; ids are given where they are asked for."""
    given = ["--effect", "outline:id:1", "--confidence", "0.3", "--to", "0.2", "--quiet"]
    assert main(["composite", str(clip), *given, "--out", str(clip.parent / "out")]) == 0
    assert (clip.parent / "out" / "clip.composite.mp4").is_file()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "--background or --effect"),
        (["--background", "blur", "--keep", "elephant"], "'elephant'"),
        (["--background", "nothere.jpg"], "nothere.jpg"),
        (["--background", "blur=3"], "blur=SHARE"),
        (["--background", "glitter"], "'glitter'"),
        (["--effect", "melt"], "'melt'"),
        (["--background", "transparent", "--out", "x.mp4"], "transparency"),
        (["--background", "blur", "--out", "x.avi"], ".avi"),
        (["--background", "blur", "--from", "90"], "--from"),
        (["--background", "blur", "--from", "2", "--to", "1"], "after"),
        (["--background", "blur", "--steady", "2"], "steady"),
        (["--background", "blur", "--model", "nuclei"], "one of"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    clip: Path, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    out = [] if "--out" in given else ["--out", str(clip.parent / "out")]
    assert main(["composite", str(clip), "--detections", str(clip.parent / "found.json"), *given, *out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and told in lines[0]


def test_the_input_is_not_overwritten(clip: Path) -> None:
    before = clip.read_bytes()
    given = ["--detections", str(clip.parent / "found.json"), "--background", "blur", "--out", str(clip)]
    assert main(["composite", str(clip), *given]) == 2
    assert clip.read_bytes() == before


def test_a_video_as_background_begins_anew(clip: Path) -> None:
    loop = Loop(clip)
    places = [int(np.flatnonzero(loop(t)[25, :, 0] > 170)[0]) for t in (0.0, 0.1, 0.35, 0.75, 0.85, 1.72)]
    assert np.allclose(places, [10, 13, 19, 31, 10, 13], atol=2)
    assert background(str(clip)).behind is not None


def test_overlapped_or_not_the_pictures_are_the_same(clip: Path) -> None:
    from delineate.apply.composite import Effect, Look

    look = Look(effects=(Effect.parse("remove:person"), Effect.parse("spotlight:box")))
    made = []
    for ahead in (0, 2):
        objects = Objects.of_file(clip.parent / "found.json", clip)
        made.append([c.picture for c in composite_video(frames(clip), objects, look, ahead=ahead)])
    assert len(made[0]) == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(*made, strict=True))
