"""`delineate doctor` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.cli import main


def square(x: int, y: int, side: int) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def coco(folder: Path, rows: list[dict[str, object]], images: int = 2) -> Path:
    """A COCO file with images of noise, each of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for k in range(images):
        noise = np.random.default_rng(k).integers(0, 256, (12, 16, 3), np.uint8)
        large = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
        large.save(folder / f"{k}.png")
        pictures.append({"id": k + 1, "file_name": f"{k}.png", "width": 160, "height": 120})
    annotations = [{"id": k + 1, "iscrowd": 0, "category_id": 1, **row} for k, row in enumerate(rows)]
    content = {
        "images": pictures,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cell"}],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def row(x: int, y: int, side: int = 20, image: int = 1) -> dict[str, object]:
    return {
        "image_id": image,
        "bbox": [x, y, side, side],
        "area": side * side,
        "segmentation": [[x, y, x + side, y + 1, x + side - 1, y + side, x + 2, y + side - 2]],
    }


def test_a_sound_dataset_has_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = coco(tmp_path, [row(5, 5), row(60, 60, image=2)])
    assert main(["doctor", str(path)]) == 0
    told = capsys.readouterr().out
    assert "2 images, 2 objects, 1 class" in told.splitlines()[0]
    assert "Faults" not in told and "no faults" in told
    assert main(["doctor", str(path), "--strict"]) == 1  # advice: few objects, no split


def test_each_fault_is_a_line_with_image_and_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = row(5, 5) | {"bbox": [5, 5, float("nan"), 2]}
    bow = row(100, 10) | {"segmentation": [[100, 10, 120, 30, 120, 10, 100, 30]]}
    path = coco(tmp_path, [row(5, 50), row(5, 50), bow, bad, row(150, 60, image=2)])
    assert main(["doctor", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    cases = {(f["kind"], f["image"], f["annotation"]) for f in found["findings"] if f["severity"] == "fault"}
    assert cases == {
        ("duplicate", "0.png", 2),
        ("crossing", "0.png", 3),
        ("invalid", "0.png", 4),
        ("outside", "1.png", 5),
    }
    assert found["exit_code"] == 1 and found["counts"]["invalid"] == 1


def test_many_cases_are_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = coco(tmp_path, [row(5, 5)] * 9)
    main(["doctor", str(path)])
    assert "and 3 more (--all)" in capsys.readouterr().out
    main(["doctor", str(path), "--all"])
    told = capsys.readouterr().out
    assert "--all" not in told and told.count("is object 1 again") == 8


@pytest.mark.parametrize("content", ["", "[]", "{}", "no JSON"])
def test_what_cannot_be_read_is_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    assert main(["doctor", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1
