"""Several datasets of the same images, compared by the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from delineate.cli import main
from delineate.core.errors import InputError
from delineate.core.polygons import Polygon
from delineate.data.dataset import open_dataset
from delineate.data.write import write_png
from delineate.engine.annotators import consensus_dataset, measure, open_annotators, strokes


def _write(folder: Path, name: str, moved: int, classes: dict[int, str], images: tuple[str, ...]) -> Path:
    """Two squares in each image, moved to the right; the second of the last class."""
    ids = list(classes)
    rows = {
        "images": [{"id": k, "file_name": i, "height": 40, "width": 80} for k, i in enumerate(images, 1)],
        "annotations": [
            {
                "id": 2 * k + n, "image_id": k, "category_id": ids[0] if n == 0 else ids[-1], "iscrowd": 0,
                "segmentation": [[x + moved, 5, x + moved + 20, 5, x + moved + 20, 25, x + moved, 25]],
            }
            for k in range(1, len(images) + 1)
            for n, x in enumerate((5, 45))
        ],
        "categories": [{"id": k, "name": n} for k, n in classes.items()],
    }  # fmt: skip
    path = folder / f"{name}.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three annotators; the second has other ids, the third another class and one image less."""
    for name in ("a", "b"):
        write_png(tmp_path / f"{name}.png", np.full((40, 80), 90, np.uint8))
    return [
        _write(tmp_path, "ann", 0, {1: "ripe", 2: "green"}, ("a.png", "b.png")),
        _write(tmp_path, "bob", 1, {7: "ripe", 9: "green"}, ("b.png", "a.png")),
        _write(tmp_path, "cleo", 2, {1: "ripe", 2: "blue"}, ("a.png",)),
    ]


def test_images_and_classes_are_matched_by_name(three: list[Path]) -> None:
    people = open_annotators(three)
    assert people.names == ("ann", "bob", "cleo")
    assert [(shared.name, shared.indices) for shared in people.images] == [
        ("a.png", (0, 1, 0)),
        ("b.png", (1, 0, None)),
    ]
    assert people.classes.names == ("ripe", "green", "blue") and people.classes.ids == (1, 2, 3)
    report, failed = measure(people)
    assert not failed and report.pairs[0, 1].matched == 4 and report.pairs[0, 2].matched == 2
    assert report.by_class["blue"].matched == 0 and report.people[0].points[1] == 4


def test_consensus(three: list[Path], tmp_path: Path) -> None:
    data = consensus_dataset(open_annotators(three), "vote")
    first = data.truth(0)
    assert first.names == ["ripe", "green"] and first.boxes[0].tolist() == [6, 5, 26, 25]
    assert len(data) == 2 and data.records[0].path == tmp_path / "a.png"


def test_the_command(three: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, out = tmp_path / "page.html", tmp_path / "consensus.json"
    arguments = ["agreement", *map(str, three)]
    assert main([*arguments, "--out", str(page), "--consensus", str(out), "--quiet"]) == 0
    text = page.read_text()
    assert text.count("<figure") == 2 and "data:image/jpeg" in text and 'src="http' not in text
    found = open_dataset(out)
    assert len(found) == 2 and found.classes.names == ("ripe", "green", "blue")
    capsys.readouterr()
    assert main([*arguments, "--json", "--names", "x,y,z"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [person["name"] for person in told["annotators"]] == ["x", "y", "z"] and told["failed"] == []
    assert main(arguments) == 0
    assert "x" in capsys.readouterr().out


def test_one_bad_image_is_told_and_the_rest_goes_on(
    three: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(three[1].read_text())
    rows["images"][1] |= {"height": 41}
    three[1].write_text(json.dumps(rows))
    out = tmp_path / "consensus.json"
    assert main(["agreement", *map(str, three[:2]), "--quiet", "--consensus", str(out)]) == 1
    assert "a.png: expected one image size" in capsys.readouterr().err
    assert open_dataset(out).names == ["b.png"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--names", "x"], "names"),
        (["--iou", "0"], "threshold"),
        (["--method", "mean"], "staple or vote"),
        (["--consensus", "out.xyz"], "--to"),
    ],
)
def test_wrong_usage(
    three: list[Path], arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agreement", *map(str, three), *arguments]) == 2
    assert told in capsys.readouterr().err


def test_nothing_in_common(three: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = _write(tmp_path / "other", "dora", 0, {1: "ripe"}, ("z.png",))
    with pytest.raises(InputError, match="none in common"):
        open_annotators([three[0], other], images=None)
    with pytest.raises(InputError, match="two datasets or more"):
        open_annotators(three[:1])


def test_a_closing_point_is_none() -> None:
    square = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]
    found = strokes([[Polygon(square)], None])
    assert found.points.tolist() == [4, -1] and found.length[0] == 8 and np.isnan(found.length[1])


def test_label_images_against_polygons(data_dir: Path, tmp_path: Path) -> None:
    """Masks of nuclei, and their own outlines as polygons: the same objects, drawn in two ways."""
    truth = open_dataset(data_dir / "dsb2018", split="val")[:2]
    rows = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "object"}]}
    for index, record in enumerate(truth.records):
        own = truth.truth(index)
        image = {"id": index + 1, "file_name": record.name, "height": own.size[0], "width": own.size[1]}
        rows["images"].append(image)
        for parts in own.to_polygons(tolerance=0.5):
            ring = max(parts, key=lambda part: part.area).to_coco()
            rows["annotations"].append(
                {"id": len(rows["annotations"]) + 1, "image_id": index + 1, "category_id": 1,
                 "segmentation": [ring], "iscrowd": 0}
            )  # fmt: skip
    (tmp_path / "drawn.json").write_text(json.dumps(rows))
    report, failed = measure(open_annotators([data_dir / "dsb2018", tmp_path / "drawn.json"]))
    assert not failed and len(report.images) == 2
    assert report.scores["F1"] > 0.98 and report.scores["IoU"] > 0.85
    assert np.isnan(report.people[0].points[1]) and report.people[1].points[1] > 5
