"""Datasets with outlines of one density."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from delineate.cli import main
from delineate.core.errors import InputError
from delineate.data.dataset import open_dataset
from delineate.engine.uniform_polygons import UniformPolygons, UniformSettings


def _wheel(points: int, x: float, radius: float) -> list[float]:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return (np.array([x, 40]) + radius * np.stack([np.cos(angle), np.sin(angle)], 1)).ravel().tolist()


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A wheel of 50 points, one of 12, a small one, and an image without objects."""
    shapes = [_wheel(50, 40, 30), _wheel(12, 110, 30), _wheel(20, 160, 3)]
    rows = {
        "images": [{"id": k, "file_name": f"{k}.png", "height": 80, "width": 180} for k in (1, 2)],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 7, "segmentation": [shape], "iscrowd": 0}
            for k, shape in enumerate(shapes, 1)
        ],
        "categories": [{"id": 7, "name": "wheel"}],
    }
    path = tmp_path / "drawn.json"
    path.write_text(json.dumps(rows))
    return path


def test_the_density_is_one(drawn: Path) -> None:
    made = UniformPolygons(open_dataset(drawn, images=False), UniformSettings(1.0))
    points = [sum(len(p.exterior) for p in parts) for parts in made.data.drawn(0) if parts]
    assert abs(points[0] - points[1]) <= 4 and points[2] < points[0]
    report = made.report()
    assert report.points_before.tolist() == [50, 12, 20] and report.bound.max() <= 1
    assert report.iou.min() >= 0.9 and report.points_after.tolist() == points
    assert len(made.data.truth(1)) == 0 and made.data.classes.ids == (7,)


def test_small_objects_are_simplified_less(drawn: Path) -> None:
    data = open_dataset(drawn, images=False)
    rough = UniformPolygons(data, UniformSettings(3.0, min_iou=0))
    kept = UniformPolygons(data, UniformSettings(3.0))
    rough.data.truth(0), kept.data.truth(0)
    assert rough.report().finer == 0 and kept.report().finer >= 1
    assert kept.report().iou.min() >= 0.9 > rough.report().iou.min()


def test_the_command(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "uniform.json"
    arguments = ["polygons", str(drawn), "--tolerance", "1", "--out", str(out)]
    assert main([*arguments, "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["objects"] == 3 and told["hausdorff_bound"] <= 1 and told["vertices_before"] == 82
    written = json.loads(out.read_text())
    assert sum(len(a["segmentation"][0]) // 2 for a in written["annotations"]) == told["vertices_after"]
    assert [i["file_name"] for i in written["images"]] == ["1.png", "2.png"]
    assert main([*arguments, "--spacing", "2"]) == 2
    assert "already" in capsys.readouterr().err


def test_spacing(drawn: Path) -> None:
    made = UniformPolygons(open_dataset(drawn, images=False), UniformSettings(1.0, spacing=4))
    for parts in made.data.drawn(0):
        assert parts is not None
        ring = parts[0].exterior
        assert np.hypot(*(np.roll(ring, -1, 0) - ring).T).max() <= 4 + 1e-9


@pytest.mark.parametrize("command", ["polygons", "refine"])
def test_a_folder_gets_the_data_s_own_format(command: str, tmp_path: Path) -> None:
    crowds, out = tmp_path / "crowds", tmp_path / "even"
    given = ["--images", "2", "--val", "1", "--size", "40", "--objects", "3", "--quiet"]
    assert main(["synthesize", str(crowds), *given]) == 0
    assert main([command, str(crowds), "--out", str(out), "--quiet"]) == 0
    assert open_dataset(out).format == open_dataset(crowds).format == "COCO"


@pytest.mark.parametrize(
    "settings", [{"tolerance": -1.0}, {"tolerance": float("nan")}, {"min_iou": 2.0}, {"spacing": 0.1}]
)
def test_refuses(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="polygons"):
        UniformSettings(**settings)


def test_masks_of_nuclei(data_dir: Path) -> None:
    data = open_dataset(data_dir / "dsb2018", split="val")[:2]
    made = UniformPolygons(data, UniformSettings(1.0))
    for index in range(2):
        assert len(made.data.truth(index)) == len(data.truth(index))
    report = made.report()
    assert report.bound.max() <= 1 and report.points_after.sum() < report.points_before.sum() / 2
    assert report.iou.mean() > 0.95
