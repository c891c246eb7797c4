"""`delineate predict --task semantic|panoptic`, with a stand-in for the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.data.dataset import open_dataset

CLASSES = Labels(("car", "sky", "road"), ids=(3, 40, 7), things=(True, False, False))
Capture = pytest.CaptureFixture[str]


class Levels:
    """Bright is sky, dark is road, red spots are cars."""

    name = "levels"
    classes = CLASSES
    confidence: Any = "not asked"

    def panoptic(self, pixels: np.ndarray, confidence: float | None) -> Panoptic:
        self.confidence = confidence
        image = np.where(pixels[..., 1] > 100, 1, 2)
        image[2:4, 2:5] = 3
        image[0, 0] = 0
        return Panoptic(image, labels=[1, 2, 0], scores=[0.9, 0.8, 0.7], classes=CLASSES)

    def semantic(self, pixels: np.ndarray) -> Semantic:
        return self.panoptic(pixels, None).to_semantic()

    def predict(self, pixels: np.ndarray, confidence: float, **_: Any) -> Instances:
        self.confidence = confidence
        return self.panoptic(pixels, confidence).to_instances()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Levels:
    levels = Levels()
    monkeypatch.setattr("delineate.engine.load.load", lambda *_, **__: levels)
    return levels


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.zeros((8, 10, 3), np.uint8)
    pixels[:4] = 200
    path = tmp_path / "in" / "street.png"
    path.parent.mkdir()
    Image.fromarray(pixels).save(path)
    return path


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def test_panoptic_files_are_a_dataset(model: Levels, image: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert run("predict", image, "--task", "panoptic", "--out", out) == 0
    said = capsys.readouterr().out
    assert "1 × sky, 1 × road, 1 × car on 10 x 8" in said and "1 image, 3 segments" in said
    assert sorted(p.name for p in out.rglob("*.*")) == ["panoptic.json", "street.overlay.png", "street.png"]
    assert model.confidence is None  # the family's own
    data = open_dataset(out / "panoptic.json", images=image.parent)
    found = data.panoptic(0)
    assert found.classes == CLASSES
    assert np.array_equal(found.map, model.panoptic(np.asarray(Image.open(image)), None).map)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_semantic_files(model: Levels, image: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert run("predict", image, "--task", "semantic", "--out", out) == 0
    assert "road 50%, sky 41%, car 8% on 10 x 8" in capsys.readouterr().out
    ids = np.asarray(Image.open(out / "street.classes.png"))
    assert (
        ids.dtype == np.uint8 and ids[0, 0] == 255 and ids[0, 1] == 40 and ids[2, 2] == 3 and ids[7, 0] == 7
    )
    record = json.loads((out / "semantic.json").read_text())
    assert record["images"][0]["pixels"] == {"road": 40, "sky": 33, "car": 6}
    assert [c["isthing"] for c in record["categories"]] == [1, 0, 0] and "annotations" not in record
    assert (out / "street.overlay.png").is_file()


def test_json_and_confidence(model: Levels, image: Path, tmp_path: Path, capsys: Capture) -> None:
    options = ("--save", "none", "--json", "--out", tmp_path / "out")
    assert run("predict", image, "--task", "panoptic", "--confidence", 0.3, *options) == 0
    record = json.loads(capsys.readouterr().out)["images"][0]
    assert record["count"] == 3 and record["classes"] == {"sky": 1, "road": 1, "car": 1}
    assert model.confidence == 0.3 and not (tmp_path / "out").exists()
    assert run("predict", image, *options) == 0
    assert model.confidence == 0.5 and json.loads(capsys.readouterr().out)["images"][0]["count"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "depth"), "--task: expected one of instance, semantic, panoptic, got 'depth'"),
        (
            ("--task", "panoptic", "--save", "csv"),
            "expected some of overlay,coco with --task panoptic, got csv",
        ),
    ],
)
def test_refuses(
    arguments: tuple[str, ...], message: str, model: Levels, image: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run("predict", image, *arguments, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err


def test_no_input_is_written_over(model: Levels, tmp_path: Path) -> None:
    path = tmp_path / "panoptic" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.repeat(np.uint8([[[200]], [[0]]]), 4, 0).repeat(10, 1).repeat(3, 2)).save(path)
    before = path.read_bytes()
    assert run("predict", path, "--task", "panoptic", "--out", tmp_path, "--quiet") == 0
    assert path.read_bytes() == before and (tmp_path / "panoptic" / "a-2.png").is_file()
