from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from imagecodecs import png_encode

from delineate.core.errors import DatasetError
from delineate.core.masks import Masks
from delineate.data.formats import ctc, mot, mots
from delineate.data.track_files import open_tracks

LABELS = np.zeros((6, 8), np.uint16)
LABELS[1:4, 1:4], LABELS[1:4, 5:8], LABELS[5, :4] = 1001, 2001, 10000


def mots_lines(frame: int) -> list[str]:
    rles = Masks.from_label_image(LABELS).to_rle()
    ids = [1001, 2001, 10000]
    return [f"{frame} {i} {i // 1000} 6 8 {r['counts']}" for i, r in zip(ids, rles, strict=True)]


def test_mots_text_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "0002.txt"
    lines = [*mots_lines(7), "", *mots_lines(3)]
    path.write_bytes("\r\n".join(lines[::-1]).encode())
    sequence = mots.read_text(path)
    assert (sequence.name, sequence.frames, sequence.size) == ("0002", (3, 7), (6, 8))
    frame = sequence[3].objects
    assert frame.ids is not None
    assert frame.ids.tolist() == [10000, 2001, 1001]
    assert frame.labels.tolist() == [0, 1, 0]
    assert frame.crowd.tolist() == [True, False, False]
    assert frame.masks is not None
    assert frame.masks[2] == Masks.from_dense(LABELS[None] == 1001)
    assert [f.number for f in sequence] == [3, 7]
    assert sequence.get(4) is None
    with pytest.raises(DatasetError, match="expected one of 2 frames"):
        sequence[4]


def test_a_trackers_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("0010", "0002"):
        (tmp_path / "data" / f"{name}.txt").write_text("\n".join(mots_lines(0)))
    assert [s.name for s in open_tracks(tmp_path)] == ["0002", "0010"]


def test_mots_png(tmp_path: Path) -> None:
    folder = tmp_path / "0001"
    folder.mkdir()
    (folder / "000012.png").write_bytes(png_encode(LABELS))
    (sequence,) = open_tracks(folder)
    assert (sequence.name, sequence.frames, sequence.complete) == ("0001", (12,), True)
    frame = sequence[12].objects
    assert frame.ids is not None
    assert frame.ids.tolist() == [1001, 2001, 10000]
    assert frame.names[:2] == ["car", "pedestrian"]
    assert frame.crowd.tolist() == [False, False, True]


def test_real_mots_png_with_its_own_classes(data_dir: Path) -> None:
    folder = data_dir / "formats" / "datumaro_assets" / "mots_dataset" / "train"
    (sequence,) = open_tracks(folder)
    assert sequence.frames == (1, 2)
    assert sequence[1].objects.names == ["c", "d", "d"]
    assert sequence[1].objects.ids.tolist() == [3002, 4001, 4003]  # type: ignore[union-attr]


def test_mot_text(tmp_path: Path) -> None:
    gt = tmp_path / "MOT17-02" / "gt"
    gt.mkdir(parents=True)
    (gt / "gt.txt").write_text("2,1,11,21,10.5,20,1,1,0.5\n1,1,10,20,10,20,1,1,1\n1,2,5,5,4,4,0,8,1\n\n")
    sequence = mot.read(gt / "gt.txt", truth=True)
    assert (sequence.name, sequence.frames, sequence.kind, sequence.complete) == (
        "MOT17-02",
        (1, 2),
        "box",
        False,
    )
    frame = sequence[1]
    assert frame.boxes is not None and frame.considered is not None
    assert frame.boxes.tolist() == [[10, 20, 20, 40], [5, 5, 9, 9]]
    assert frame.objects.boxes.tolist() == [[9, 19, 19, 39], [4, 4, 8, 8]]
    assert frame.considered.tolist() == [True, False]
    assert frame.objects.names == ["pedestrian", "distractor"]
    info = gt.parent / "seqinfo.ini"
    info.write_text("[Sequence]\nseqLength=4\nimWidth=640\nimHeight=480\n")
    (sequence,) = open_tracks(tmp_path, truth=True)
    assert (sequence.frames, sequence.size, len(sequence[4].objects)) == ((1, 2, 3, 4), (480, 640), 0)
    info.write_text("[Sequence]\nseqLength=1\n")
    with pytest.raises(DatasetError, match=r"expected frames 1 to 1 as seqinfo\.ini says, got 1 to 2"):
        mot.read(gt / "gt.txt", truth=True)
    info.write_text("rubbish")
    with pytest.raises(DatasetError, match=r"seqinfo.ini: expected a \[Sequence\]"):
        mot.read(gt / "gt.txt", truth=True)


def test_mot_results(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1,3,1,1,4,4,-1\n")
    frame = mot.read(path)[1]
    assert (frame.objects.names, frame.considered, frame.objects.scores.tolist()) == (
        ["pedestrian"],
        None,
        [0],
    )
    path.write_text("  \n")
    assert len(mot.read(path)) == len(mots.read_text(path)) == 0


def test_real_detections_are_no_tracks(data_dir: Path) -> None:
    folder = data_dir / "formats" / "datumaro_assets" / "mot_dataset" / "mot_seq_with_seqinfo"
    with pytest.raises(DatasetError, match="expected the id of a track"):
        open_tracks(folder, truth=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n", "got 3 numbers in a line"),
        ("1,2,3,4,5,6,7\n1,2,3,4,5,6\n", "expected lines `frame,id,left,top"),
        ("1,2,a,4,5,6,7\n", "expected lines `frame,id,left,top"),
        ("1.5,2,3,4,5,6,1\n", "expected a whole frame number >= 0, got 1.5"),
        ("1,2,nan,4,5,6,1\n", "expected finite numbers"),
        ("1,2,3,4,-5,6,1\n", "expected a width and height >= 0"),
        ("1,2,3,4,5,6,1,3\n", "expected class 1 or -1"),
        ("1,99999999999,3,4,5,6,1\n", "expected the id of a track"),
        ("1 2001 2 6 8 ~~~~~\n", "line 1"),
        ("1 2001 2 6 8 \n", "line 1: expected `frame id class height width rle`, got 5 words"),
        ("1 2001 2 6 8 11 11\n", "line 1: expected `frame id class height width rle`, got 7 words"),
        ("one 2001 2 6 8 11\n", "line 1: expected a frame as a whole number, got 'one'"),
        ("1 2001 -2 6 8 11\n", "line 1: expected a class as a whole number, got '-2'"),
        ("1 2001 2 6 8 `1\n1 2002 2 6 9 f1\n", "expected one size of frame 1"),
        ("1 3001 3 6 8 `1\n", "frame 1: expected classes 1, 2 or 10"),
        ("1 2001 2 999999999 999999999 11\n", "line 1"),
        ("\x00\x01\x02 2\n", "line 1: expected a frame"),
    ],
)
def test_a_bad_text_says_where(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        for frame in open_tracks(path)[0]:
            assert frame.number
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truth_without_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1,2,3,4,5,6,1\n")
    with pytest.raises(DatasetError, match="expected at least 8 numbers in a line of the truth"):
        mot.read(path, truth=True)


def ctc_folder(folder: Path, lines: str = "1 0 1 0\n") -> Path:
    folder.mkdir()
    for number in (0, 1):
        tifffile.imwrite(folder / f"mask{number:03d}.tif", (LABELS == 1001).astype(np.uint16))
    (folder / "res_track.txt").write_text(lines)
    return folder


def test_ctc_folder(tmp_path: Path) -> None:
    ctc_folder(tmp_path / "01_RES")
    ctc_folder(tmp_path / "02_RES", "1 0 1 0\r\n\r\n")
    sequences = open_tracks(tmp_path)
    assert [s.name for s in sequences] == ["01", "02"]
    assert sequences[0].frames == (0, 1)
    assert sequences[0][1].objects.ids.tolist() == [1]  # type: ignore[union-attr]
    assert sequences[1].lineage is not None
    assert sequences[1].lineage.rows() == [(1, 0, 1, 0)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1 0 1\n", "line 1: expected four whole numbers"),
        ("1 0 1 0\n2 0 x 0\n", "line 2: expected four whole numbers"),
        ("1 0 1 -1\n", "line 1: expected four whole numbers"),
        ("1 0 1 0\n1 0 1 0\n", "expected distinct ids above 0, got 1"),
        ("1 0 1 7\n", "track 1: expected as parent 0 or a track that ends before frame 0, got 7"),
        ("99999999999 0 1 0\n", "line 1: expected four whole numbers"),
    ],
)
def test_a_bad_lineage_says_where(lines: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=message):
        ctc.read(ctc_folder(tmp_path / "01_RES", lines))


def test_bad_ctc_folders(tmp_path: Path) -> None:
    folder = ctc_folder(tmp_path / "01_RES")
    (folder / "mask000.tif").rename(folder / "mask002.tif")
    with pytest.raises(DatasetError, match="got none of frame 0"):
        ctc.read(folder)
    tifffile.imwrite(folder / "mask000.tif", np.zeros((3, 6, 8), np.uint16), photometric="minisblack")
    with pytest.raises(DatasetError, match="expected a label image in 2-D, got 3 planes"):
        ctc.read(folder)[0]
    (folder / "mask000.tif").write_bytes(b"II*\x00rubbish")
    with pytest.raises(DatasetError, match=r"mask000\.tif"):
        ctc.read(folder)[0]
    (folder / "mask01.tif").write_bytes(b"")
    with pytest.raises(DatasetError, match="expected one file for each frame"):
        ctc.read(folder)
    (folder / "mask000_001.tif").write_bytes(b"")
    with pytest.raises(DatasetError, match="volumes are not read"):
        ctc.read(folder)
    for path in folder.glob("*.tif"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"expected label images mask000\.tif"):
        ctc.read(folder)
    with pytest.raises(DatasetError, match=r"expected res_track\.txt, or TRA/man_track\.txt"):
        ctc.read(tmp_path)
    with pytest.raises(DatasetError, match="expected a folder of the Cell Tracking Challenge"):
        ctc.read_all(folder.parent / "none")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file or folder"):
        open_tracks(tmp_path / "none")
    with pytest.raises(DatasetError, match="got none of them"):
        open_tracks(tmp_path)
    with pytest.raises(DatasetError, match="expected PNG files named by frame numbers"):
        mots.read_png(tmp_path)
    with pytest.raises(DatasetError, match="expected a text file of masks"):
        mots.read_text(tmp_path / "none.txt")
    with pytest.raises(DatasetError, match="expected a text file of boxes"):
        mot.read(tmp_path / "none.txt")
