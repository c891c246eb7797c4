"""`evaluate_tracks` from files to report, against TrackEval's own way from the same files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imagecodecs import png_encode

import delineate as dl
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.data.track_files import open_tracks

Pictures = dict[int, np.ndarray]  # frame: label image of 1000 * class + object


def pictures(rng: np.random.Generator, frames: int, shift: int = 0) -> Pictures:
    """Moving squares of class 1 and 2, with ignore regions; ``shift`` above 0 disturbs them."""
    start, speed = rng.integers(0, 40, (12, 2)), rng.integers(-2, 3, (12, 2))
    result = {}
    noise = np.random.default_rng(shift)
    for t in range(frames):
        labels = np.zeros((48, 64), np.uint16)
        if not shift:
            labels[30:44, 40:60] = 10000
        for k in range(12):
            name = 1000 * (1 + k % 2) + k + 1
            if shift and noise.random() < 0.15:
                continue
            if shift and noise.random() < 0.1:
                name += 50
            y, x = (start[k] + speed[k] * t + noise.integers(0, 2 * bool(shift) + 1, 2)) % (40, 56)
            labels[y : y + 8, x : x + 8] = name
        if shift:
            labels[32:40, 44:52] = 2900 + t  # strays in the ignore region
        result[t + 1] = labels
    if shift:
        del result[2]  # a frame without any
    return result


def write_mots(path: Path, frames: Pictures) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for t, labels in frames.items():
        ids = np.unique(labels[labels > 0])
        for i, rle in zip(ids.tolist(), Masks.from_label_image(labels).to_rle(), strict=True):
            lines.append(f"{t} {i} {i // 1000} {rle['size'][0]} {rle['size'][1]} {rle['counts']}\n")
    path.write_text("".join(lines))


@pytest.fixture
def mots(tmp_path: Path) -> tuple[Path, Path]:
    """Results and truth of two sequences."""
    rng = np.random.default_rng(5)
    for name, length in (("MOTS20-02", 6), ("MOTS20-05", 4)):
        seed = int(rng.integers(100))
        write_mots(tmp_path / "gt" / name / "gt" / "gt.txt", pictures(np.random.default_rng(seed), length))
        write_mots(
            tmp_path / "ours" / "data" / f"{name}.txt", pictures(np.random.default_rng(seed), length, 7)
        )
    return tmp_path / "ours" / "data", tmp_path / "gt"


def trackeval(make: Callable[[Any], Any], root: Path, lengths: dict[str, int], cls: str) -> dict[str, Any]:
    """TrackEval's combined numbers from the files."""
    metrics = pytest.importorskip(
        "trackeval.metrics", reason="TrackEval is not installed; `make test` does it"
    )
    dataset = make(
        {
            "GT_FOLDER": str(root / "gt"),
            "TRACKERS_FOLDER": str(root),
            "TRACKERS_TO_EVAL": ["ours"],
            "SEQ_INFO": dict(lengths),
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
    )
    quiet = {"PRINT_CONFIG": False}
    judges = [metrics.HOTA(), metrics.CLEAR(dict(quiet)), metrics.Identity(dict(quiet))]
    data = {
        name: dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("ours", name), cls)
        for name in sorted(lengths)
    }
    found: dict[str, Any] = {}
    for judge in judges:
        found |= judge.combine_sequences({name: judge.eval_sequence(part) for name, part in data.items()})
    return found


def same(report: Any, cls: str, expected: dict[str, Any]) -> None:
    hota, clear, identity = (report.parts[name].classes[cls].scores for name in ("hota", "clear", "identity"))
    for name in ("HOTA", "DetA", "AssA", "LocA"):
        assert hota[name] == np.mean(expected[name]), name
    for name in ("MOTA", "MOTP", "sMOTA", "IDSW", "Frag", "MT", "PT", "ML"):
        assert clear[name] == expected[name], name
    for name in ("IDF1", "IDP", "IDR", "IDTP", "IDFN", "IDFP"):
        assert identity[name] == expected[name], name


def test_mots_files_as_trackeval_reads_them(mots: tuple[Path, Path], tmp_path: Path) -> None:
    datasets = pytest.importorskip(
        "trackeval.datasets", reason="TrackEval is not installed; `make test` does it"
    )
    report = dl.evaluate_tracks(*mots, progress=False)
    expected = trackeval(datasets.MOTSChallenge, tmp_path, {"MOTS20-02": 6, "MOTS20-05": 4}, "pedestrian")
    same(report, "pedestrian", expected)
    assert 0.2 < report.parts["hota"].classes["pedestrian"].scores["HOTA"] < 0.95
    assert report.scores["clear/sMOTSA"] == report.scores["clear/sMOTA"]
    assert set(report.parts["hota"].classes) == {"car", "pedestrian"}
    assert report.sequences == ("MOTS20-02", "MOTS20-05")
    lines = [line.split()[:3] for line in str(report).splitlines()]
    assert ["mean", "of", "classes"] in lines
    assert ["MOTS20-02:", "car"] in [line[:2] for line in lines]


def test_mots_png_is_the_same_as_text(mots: tuple[Path, Path], tmp_path: Path) -> None:
    for side in (0, 1):
        for sequence in open_tracks(mots[side], truth=bool(side)):
            folder = tmp_path / f"png{side}" / sequence.name
            folder.mkdir(parents=True)
            for frame in sequence:
                objects = frame.objects
                assert objects.masks is not None and objects.ids is not None
                picture = np.zeros(objects.size, np.uint16)
                for dense, i in zip(objects.masks.dense(), objects.ids, strict=True):
                    picture[dense] = i
                (folder / f"{frame.number:06d}.png").write_bytes(png_encode(picture))
    texts = dl.evaluate_tracks(*mots, progress=False)
    png = dl.evaluate_tracks(tmp_path / "png0", tmp_path / "png1", progress=False)
    assert png.scores == texts.scores


def write_mot(path: Path, rows: list[list[float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{v:g}" for v in row) + "\n" for row in rows))


def mot_rows(rng: np.random.Generator, frames: int) -> tuple[list[list[float]], list[list[float]]]:
    """Truth with distractors and unjudged boxes, sorted by track; results near it, with fractions."""
    truth, found = [], []
    for k in range(14):
        label, judged = [1, 1, 1, 7, 8, 3, 12][k % 7], int(k != 2)
        x, y = rng.integers(1, 300, 2)
        for t in range(1, frames + 1):
            if rng.random() < 0.2:
                continue
            box = [x + 3 * t, y + t, 40, 80]
            truth.append([t, k + 1, *box, judged, label, 1])
            if rng.random() < 0.8:
                name = k + 1 + 40 * (rng.random() < 0.2)
                moved = (np.array(box) + rng.normal(0, 6, 4)).round(2).tolist()
                found.append([t, name, *moved, round(rng.random(), 2), -1, -1, -1])
    return truth, found


@pytest.mark.parametrize("name", ["MOT17-02", "MOT20-01"])
def test_mot_files_as_trackeval_reads_them(name: str, tmp_path: Path) -> None:
    datasets = pytest.importorskip(
        "trackeval.datasets", reason="TrackEval is not installed; `make test` does it"
    )
    truth, found = mot_rows(np.random.default_rng(2), 8)
    write_mot(tmp_path / "gt" / name / "gt" / "gt.txt", truth)
    write_mot(tmp_path / "ours" / "data" / f"{name}.txt", found)
    (tmp_path / "gt" / name / "seqinfo.ini").write_text(
        "[Sequence]\nname=a\nseqLength=8\nimWidth=640\nimHeight=480\n"
    )
    report = dl.evaluate_tracks(tmp_path / "ours" / "data", tmp_path / "gt", progress=False)

    def make(config: dict[str, Any]) -> Any:
        return datasets.MotChallenge2DBox({**config, "BENCHMARK": name.split("-")[0]})

    same(report, "pedestrian", trackeval(make, tmp_path, {name: 8}, "pedestrian"))
    assert report.parts["hota"].kind == "box"
    assert "clear/MOTSA" not in report.scores


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A dataset of the Cell Tracking Challenge: a cell that divides, and one that stays."""
    before, after = np.zeros((2, 12, 20), np.uint16)
    before[2:8, 2:12], before[2:8, 14:18] = 1, 2
    after[2:8, 2:6], after[2:8, 8:12], after[2:8, 14:18] = 3, 4, 2
    lines = "1 0 1 0\n2 0 3 0\n3 2 3 1\n4 2 3 1\n"
    for folder, prefix, text in (
        ("01_GT/TRA", "man_track", "man_track.txt"),
        ("01_RES", "mask", "res_track.txt"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / text).write_text(lines)
        for number, labels in enumerate((before, before, after, after)):
            tifffile.imwrite(tmp_path / folder / f"{prefix}{number:03d}.tif", labels)
    (tmp_path / "01_GT" / "SEG").mkdir()
    tifffile.imwrite(tmp_path / "01_GT" / "SEG" / "man_seg002.tif", after)
    return tmp_path


def test_cells(cells: Path) -> None:
    report = dl.evaluate_tracks(cells / "01_RES", cells / "01_GT", progress=False)
    assert set(report.parts) == {"seg", "tra"}
    assert [report.scores[f"ctc/{name}"] for name in ("SEG", "TRA", "DET", "OP_CTB")] == [1, 1, 1, 1]
    assert report.parts["seg"].scores["cells"] == 3  # the one frame that has segmentation
    (cells / "01_RES" / "res_track.txt").write_text("1 0 1 0\n2 0 3 0\n3 2 3 0\n4 2 3 1\n")
    both = dl.evaluate_tracks(cells, cells, metrics=["ctc", "hota"], progress=False)
    assert both.parts["tra"].sequences["01"].missing_edges == 1
    assert both.scores["hota/HOTA"] == 1


def test_cells_are_scored_frame_by_frame_where_pictures_are_wanted(cells: Path, tmp_path: Path) -> None:
    report = dl.evaluate_tracks(cells, cells, images=tmp_path, progress=False)
    assert {name.split("/")[0] for name in report.scores} == {"ctc", "clear"} and report.timelines
    with pytest.raises(InputError, match="got ctc alone"):
        dl.evaluate_tracks(cells, cells, metrics=["ctc"], images=tmp_path, progress=False)


def test_report(cells: Path, tmp_path: Path) -> None:
    report = dl.evaluate_tracks(cells, cells, metrics=["ctc", "hota", "clear", "identity"], progress=False)
    files = report.save(tmp_path / "scores")
    assert [file.name for file in files] == ["report.json", "report.csv", "report.txt"]
    record = json.loads(files[0].read_text())
    assert record["scores"]["identity/IDF1"] == 1
    assert set(record["protocol"]) == {"hota", "clear", "identity", "seg", "tra"}
    assert ",,ctc/TRA,1.0" in files[1].read_text()
    assert "01,cell,hota/HOTA,1.0" in files[1].read_text()
    text = files[2].read_text()
    assert "HOTA protocol: HOTA as TrackEval computes it" in text
    assert "1 sequence, 4 frames scored" in text
    assert "hota/HOTA 1.000" in repr(report)
    with pytest.raises(InputError, match=r"expected a \.html, \.json, \.csv or \.txt file"):
        report.save(tmp_path / "x.xlsx")


def test_one_bad_sequence_does_not_stop_the_rest(mots: tuple[Path, Path]) -> None:
    (mots[0] / "MOTS20-05.txt").write_text("1 2001 2 48 64 rubbish~~\n")
    (mots[0] / "other.txt").write_text("")
    report = dl.evaluate_tracks(*mots, progress=False)
    assert report.sequences == ("MOTS20-02",)
    assert [name for name, _ in report.failed] == ["MOTS20-05"]
    assert "line 1" in report.failed[0][1]
    assert report.notes == ("without truth and not scored: other",)
    whole = dl.evaluate_tracks(mots[0] / "MOTS20-02.txt", mots[1] / "MOTS20-02", progress=False)
    assert whole.scores == report.scores
    (mots[0] / "MOTS20-02.txt").unlink()
    with pytest.raises(InputError, match="no sequence could be scored; the first, 'MOTS20-02': no results"):
        dl.evaluate_tracks(*mots, progress=False)


def test_masks_that_overlap_are_told(mots: tuple[Path, Path]) -> None:
    path = mots[0] / "MOTS20-02.txt"
    frame, _, rest = path.read_text().splitlines()[0].split(" ", 2)
    path.write_text(f"{path.read_text()}{frame} 2999 {rest}\n")
    report = dl.evaluate_tracks(*mots, progress=False)
    assert report.notes == ("MOTS20-02: masks of the results overlap (frames: 1), which MOTS does not allow",)


def test_settings_are_checked(cells: Path, mots: tuple[Path, Path], tmp_path: Path) -> None:
    for given, message in [
        ({"metrics": ["vace"]}, "expected some of"),
        ({"metrics": []}, "expected some of"),
        ({"metrics": ["ctc"]}, "expected the truth in folders of the Cell Tracking Challenge"),
        ({"by": "points"}, "expected 'mask' or 'box'"),
    ]:
        with pytest.raises(InputError, match=message):
            dl.evaluate_tracks(*mots, progress=False, **given)  # type: ignore[arg-type]
    assert dl.evaluate_tracks(*mots, by="box", progress=False).parts["hota"].kind == "box"
    write_mot(tmp_path / "boxes.txt", [[1, 1, 2, 2, 5, 5, 1, 1, 1]])
    with pytest.raises(InputError, match="expected masks to compare by, got boxes only"):
        dl.evaluate_tracks(tmp_path / "boxes.txt", mots[1] / "MOTS20-02", by="mask", progress=False)
    (cells / "01_RES" / "mask003.tif").unlink()
    with pytest.raises(InputError, match="expected 4 frames"):
        dl.evaluate_tracks(cells / "01_RES", cells / "01_GT", progress=False)


def test_real_cells_against_themselves(data_dir: Path) -> None:
    folder = data_dir / "ctc" / "Fluo-N2DH-SIM+" / "01_GT"
    report = dl.evaluate_tracks(folder, folder, progress=False)
    assert report.frames == 45
    assert [report.scores[f"ctc/{name}"] for name in ("SEG", "TRA", "DET", "LNK")] == [1, 1, 1, 1]
    assert report.parts["seg"].scores["cells"] == 1715
