"""Datasets refined by edges and by a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset
from delineate.data.write import write_png
from delineate.engine.refine import Refined, by_model

SIZE = (64, 96)


def _disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    return np.hypot(columns - x, rows - y) < radius


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two discs, an octagon each; the second is a crowd region; and an image without objects."""
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rings = [np.array([30, 32]) + 16 * around, np.array([70, 32]) + 12 * around]
    write_png(tmp_path / "1.png", (_disc(30, 32, 16) | _disc(70, 32, 12)).astype(np.uint8) * 150)
    write_png(tmp_path / "2.png", np.zeros(SIZE, np.uint8))
    rows = {
        "images": [
            {"id": k, "file_name": f"{k}.png", "height": SIZE[0], "width": SIZE[1]} for k in (1, 2)
        ],
        "annotations": [
            {"id": k, "image_id": 1, "category_id": 3, "segmentation": [ring.ravel().tolist()],
             "iscrowd": k - 1}
            for k, ring in enumerate(rings, 1)
        ],
        "categories": [{"id": 3, "name": "disc"}],
    }  # fmt: skip
    (tmp_path / "drawn.json").write_text(json.dumps(rows))
    return tmp_path / "drawn.json"


def test_by_edges(drawn: Path) -> None:
    data = open_dataset(drawn)
    made = Refined(data)
    truth = Masks.from_dense(_disc(30, 32, 16)[None])
    old, new = data.truth(0), made.data.truth(0)
    assert old.masks is not None and new.masks is not None
    assert old.masks[0].iou(truth)[0, 0] < 0.92 < 0.97 < new.masks[0].iou(truth)[0, 0]
    assert new.masks[1] == old.masks[1] and new.crowd.tolist() == [False, True]
    assert len(made.data.truth(1)) == 0
    report = made.report()
    assert len(report.iou) == 2 and report.iou[1] == 1 and report.kept["a crowd region"] == 1
    assert list(made.changes()) == [0]


def test_by_a_model(drawn: Path) -> None:
    data = open_dataset(drawn)
    sure = Masks.from_dense(np.stack([_disc(30, 32, 16), _disc(5, 5, 3)]))
    made = Refined(data, model=lambda image: Instances(SIZE, masks=sure))
    assert made.data.truth(0).masks[0] == sure[0]  # type: ignore[index]
    assert made.report().kept["the model sees no such object"] == 1


def test_a_model_moves_outlines_only_so_far() -> None:
    masks = Masks.from_dense(_disc(40, 32, 12)[None])
    larger = Instances(SIZE, masks=Masks.from_dense(_disc(40, 32, 16)[None]))
    found, alone = by_model(masks, larger, reach=0.1)
    assert alone == 0 and masks.area[0] < found.area[0] < larger.area[0]
    same, alone = by_model(masks, Instances(SIZE, boxes=[[0, 0, 3, 3]]))  # type: ignore[arg-type]
    assert same == masks and alone == 1


def test_the_command(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, pictures = tmp_path / "refined.json", tmp_path / "pictures"
    arguments = ["refine", str(drawn), "--out", str(out), "--pictures", str(pictures), "--json", "--quiet"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["objects"], told["moved"]) == (2, 1)
    assert [path.name for path in pictures.iterdir()] == ["01_1.png"]
    assert len(open_dataset(out)[0].truth) == 2
    assert main(["refine", str(drawn), "--out", str(tmp_path / "other.json"), "--reach", "7"]) == 2
    assert "reach" in capsys.readouterr().err


def test_one_bad_image_is_left_out_on_request(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "2.png").write_bytes(b"no picture")
    out = tmp_path / "refined.json"
    assert main(["refine", str(drawn), "--out", str(out)]) == 2 and not out.exists()
    assert main(["refine", str(drawn), "--out", str(out), "--skip-invalid"]) == 1
    told = capsys.readouterr()
    assert "left out: 2.png" in told.err and "Traceback" not in told.err
    assert open_dataset(out).names == ["1.png"]


def test_degraded_nuclei_come_nearer(data_dir: Path) -> None:
    sample = open_dataset(data_dir / "dsb2018", split="val")[0]
    masks = sample.truth.masks
    assert masks is not None
    rng = np.random.default_rng(0)
    rough = []
    for parts in masks.to_polygons():
        ring = parts[0].exterior
        chosen = ring[np.linspace(0, len(ring), min(10, len(ring)), endpoint=False).astype(int)]
        rough.append([(chosen + rng.normal(0, 1, chosen.shape)).ravel().tolist()])
    from delineate.apply.refine import refine_masks

    before = Masks.from_polygons(rough, masks.size)
    after = refine_masks(sample.image, before)
    diagonal = np.arange(len(masks))
    assert after.iou(masks)[diagonal, diagonal].mean() > before.iou(masks)[diagonal, diagonal].mean() + 0.02
