"""`delineate predict`: files in, files out, counts and codes, with a small stand-in for the model."""

from __future__ import annotations

import csv
import io
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from delineate.cli import main
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.images import read

Capture = pytest.CaptureFixture[str]


class Otsu:
    """Bright connected regions, by Otsu's threshold."""

    name = "otsu"
    classes = Labels(("=nucleus",))

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def predict(self, pixels: np.ndarray, **settings: Any) -> Instances:
        self.settings = settings
        settings["progress"](1, 2)
        grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
        grey = np.clip(grey / max(float(grey.max()), 1e-9) * 255, 0, 255).astype(np.uint8)
        _, bright = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        masks = Masks.from_label_image(cv2.connectedComponents(bright)[1])
        scores = np.full(len(masks), 0.75)
        logging.getLogger("delineate").warning("a word from the model")
        return Instances(pixels.shape[:2], masks=masks, scores=scores, classes=self.classes)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    asked = SimpleNamespace(model=Otsu(), arguments=None)

    def load(name: str | None, weights: Path | None, device: str | None) -> Otsu:
        asked.arguments = (name, weights, device)
        return asked.model

    monkeypatch.setattr("delineate.engine.load.load", load)
    return asked


def squares(count: int = 3, dtype: type = np.uint8, high: float = 200) -> np.ndarray:
    image = np.zeros((40, 20 * count), dtype)
    for k in range(count):
        image[10:30, 20 * k + 4 : 20 * k + 16] = high
    return image


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written_and_agrees(model: Any, tmp_path: Path, capsys: Capture) -> None:
    save(tmp_path / "in" / "a.png", squares(3))
    tifffile.imwrite(tmp_path / "in" / "b.tif", squares(2, np.uint16, 3000))
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    out = tmp_path / "out"
    kinds = "overlay,coco,labels,csv,geojson,crops"
    code = main(["predict", str(tmp_path / "in"), "--out", str(out), "--save", kinds, "--pixel-size", "0.5"])
    shown = capsys.readouterr()
    assert code == 0
    assert "a.png: 3 × =nucleus on 60 x 40" in shown.out and "2 images, 5 objects" in shown.out
    assert "warning: a word from the model" in shown.err
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [f"{s}{e}" for s in "ab" for e in (".overlay.png", ".labels.tif", ".geojson", ".crops")]
        + ["predictions.json", "measurements.csv", "images.csv", "totals.csv", "columns.csv"]
    )
    assert read(out / "a.overlay.png").pixels.shape == (40, 60, 3)
    assert np.unique(tifffile.imread(out / "a.labels.tif")).tolist() == [0, 1, 2, 3]
    assert len(json.loads((out / "b.geojson").read_text())["features"]) == 2
    assert sorted(p.name for p in (out / "b.crops").iterdir()) == ["00001.png", "00002.png"]
    coco = json.loads((out / "predictions.json").read_text())
    assert [i["file_name"] for i in coco["images"]] == ["a.png", "b.tif"]
    assert coco["categories"][0]["name"] == "=nucleus"
    assert [a["id"] for a in coco["annotations"]] == [1, 2, 3, 4, 5]
    again = Masks.from_rle([a["segmentation"] for a in coco["annotations"] if a["image_id"] == 1])
    assert again == Masks.from_label_image(cv2.connectedComponents(squares(3))[1])
    table = rows(out)
    assert [r["image"] for r in table] == ["a.png"] * 3 + ["b.tif"] * 2
    assert [float(r["area_um2"]) for r in table] == [60.0] * 5
    assert [float(r["intensity_mean"]) for r in table] == [200.0] * 3 + [3000.0] * 2
    assert {r["class"] for r in table} == {"'=nucleus"}  # no spreadsheet takes it for a formula


def test_a_bad_file_is_named_and_the_rest_goes_on(model: Any, tmp_path: Path, capsys: Capture) -> None:
    good = save(tmp_path / "good.png", squares())
    bad = tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])
    (tmp_path / "empty.png").touch()
    out = tmp_path / "out"
    code = main(["predict", str(bad), str(tmp_path / "none.png"), str(good), "--out", str(out)])
    shown = capsys.readouterr()
    assert code == 1
    assert f"error: {bad}: expected" in shown.err and "none.png: expected" in shown.err
    assert "1 image, 3 objects, 2 failed" in shown.out
    assert len(rows(out)) == 3
    assert main(["predict", str(bad), "--out", str(tmp_path / "other")]) == 2
    assert not (tmp_path / "other").exists()


def test_json_is_one_document_and_nothing_else(model: Any, tmp_path: Path, capsys: Capture) -> None:
    save(tmp_path / "a.png", squares(2))
    arguments = ["predict", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--json", "--save", "labels"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    document = json.loads(capsys.readouterr().out)
    (record,) = document["images"]
    assert (record["count"], record["classes"], record["width"], record["height"]) == (
        2,
        {"=nucleus": 2},
        40,
        40,
    )
    assert record["summary"]["area_mean"] == 240
    assert list(record["files"]) == ["labels"]
    assert document["failed"][0]["file"].endswith("b.png")
    assert main(["predict", str(tmp_path / "b.png"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["images"] == []


def test_quiet_prints_errors_only(model: Any, tmp_path: Path, capsys: Capture) -> None:
    save(tmp_path / "a.png", squares(2))
    arguments = ["predict", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert main([*arguments, str(tmp_path / "b.png")]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1


def test_standard_input(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    data = save(tmp_path / "a.png", squares(2)).read_bytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert main(["predict", "-", "--out", str(tmp_path / "out")]) == 0
    assert "stdin: 2 × =nucleus" in capsys.readouterr().out
    assert (tmp_path / "out" / "stdin.overlay.png").exists()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    assert main(["predict", "-", "--out", str(tmp_path / "out")]) == 2


def test_every_page_is_an_image(model: Any, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([squares(2)] * 3), photometric="minisblack")
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "stack.tif"), "--out", str(out), "--quiet"]) == 0
    assert sorted(p.name for p in out.glob("*.overlay.png")) == [
        f"stack.page{k}.overlay.png" for k in range(3)
    ]
    assert [r["page"] for r in rows(out)] == ["0", "0", "1", "1", "2", "2"]
    one = tmp_path / "one"
    assert main(["predict", str(tmp_path / "stack.tif"), "--page", "1", "--out", str(one), "--quiet"]) == 0
    assert [p.name for p in one.glob("*.overlay.png")] == ["stack.page1.overlay.png"]
    assert main(["predict", str(tmp_path / "stack.tif"), "--page", "7", "--out", str(one), "--quiet"]) == 2


def test_equal_names_do_not_write_over_each_other(model: Any, tmp_path: Path) -> None:
    for k, name in enumerate(["x/a.png", "y/a.png", "y/A.bmp", "y/a-2.png"]):
        save(tmp_path / name, squares(k + 1))
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "**" / "*.*"), "--out", str(out), "--quiet"]) == 0
    made = {p.name.casefold() for p in out.glob("*.labels.tif")}
    assert len(made) == 4
    assert sorted(len(np.unique(tifffile.imread(p))) - 1 for p in out.glob("*.labels.tif")) == [1, 2, 3, 4]
    names = [i["file_name"] for i in json.loads((out / "predictions.json").read_text())["images"]]
    assert len(set(names)) == 4


def test_inputs_are_never_written_over_nor_results_taken_for_inputs(model: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.png", squares(2))
    precious = save(tmp_path / "a.overlay.png", squares(1)).read_bytes()
    files = [str(tmp_path / "a.png"), str(tmp_path / "a.overlay.png")]
    assert main(["predict", *files, "--out", str(tmp_path), "--save", "overlay", "--quiet"]) == 0
    assert (tmp_path / "a.overlay.png").read_bytes() == precious
    assert (tmp_path / "a-2.overlay.png").exists()
    folder = tmp_path / "again"
    save(folder / "b.png", squares(2))
    for _ in range(2):
        assert main(["predict", str(folder), "--out", str(folder), "--quiet"]) == 0
        assert len(json.loads((folder / "predictions.json").read_text())["images"]) == 1


def test_crops_of_an_earlier_run_go(model: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for count in (3, 1):
        save(tmp_path / "a.png", squares(count))
        arguments = ["predict", str(tmp_path / "a.png"), "--out", str(out), "--save", "crops", "--quiet"]
        assert main(arguments) == 0
        assert len(list((out / "a.crops").iterdir())) == count


def test_settings_reach_the_model(model: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.dstack([squares()] * 3))
    arguments = [
        "predict",
        str(path),
        "--save",
        "none",
        "--confidence",
        "0.2",
        "--iou",
        "0.4",
        "--max-det",
        "9",
    ]
    arguments += ["--tile", "512", "--channels", "1", "--model", "m", "--weights", "w", "--device", "cpu"]
    assert main([*arguments, "--quiet", "--out", str(tmp_path / "out")]) == 0
    assert model.arguments == ("m", Path("w"), "cpu")
    del model.model.settings["progress"]
    assert model.model.settings == {"confidence": 0.2, "iou": 0.4, "max_det": 9, "tile": 512}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "overlays"], "--save: expected some of"),
        (["--save", ""], "--save: expected some of"),
        (["--tile", "big"], "--tile: expected auto"),
        (["--tile", "7"], "predict, tile: expected"),
        (["--confidence", "2"], "predict, confidence: expected"),
        (["--max-det", "0"], "predict, max_det: expected"),
        (["--channels", "0,1"], "--channels: expected one or three"),
        (["--channels", "red"], "expected one channel called 'red', got no names"),
        (["--pixel-size", "0"], "pixel_size: expected a positive number"),
        (["--pixel-size", "nan"], "pixel_size: expected a positive number"),
        (["--page", "3"], "expected page 0"),
        (["--max-pixels", "10"], "megapixels"),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    arguments: list[str], message: str, model: Any, tmp_path: Path, capsys: Capture
) -> None:
    path = save(tmp_path / "a.png", squares())
    assert main(["predict", str(path), "--out", str(tmp_path / "out"), *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and shown.err.count("\n") == 1 and shown.out == ""


def test_a_place_that_cannot_be_written_is_told(model: Any, tmp_path: Path, capsys: Capture) -> None:
    path = save(tmp_path / "a.png", squares())
    assert main(["predict", str(path), "--out", str(path)]) == 2
    assert "--out" in capsys.readouterr().err


def test_boxes_alone_give_what_they_can(model: Any, tmp_path: Path, capsys: Capture) -> None:
    model.model.predict = lambda pixels, **_: Instances(pixels.shape[:2], boxes=np.array([[1, 2, 9, 9.5]]))
    path = save(tmp_path / "a.png", squares())
    out = tmp_path / "out"
    kinds = "overlay,coco,labels,csv,geojson,crops"
    assert main(["predict", str(path), "--out", str(out), "--save", kinds]) == 0
    assert "boxes only; left out: labels, geojson" in capsys.readouterr().err
    names = {p.name for p in out.iterdir()}
    tables = {"measurements.csv", "images.csv", "totals.csv", "columns.csv"}
    assert names == {"a.overlay.png", "a.crops", "predictions.json"} | tables


def test_an_interrupt_keeps_what_is_done(model: Any, tmp_path: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.png", squares(2))
    predict = model.model.predict
    calls = []

    def interrupted(pixels: np.ndarray, **settings: Any) -> Instances:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return predict(pixels, **settings)

    model.model.predict = interrupted
    assert main(["predict", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 130
    assert len(rows(tmp_path / "out")) == 2
    assert "interrupted" in capsys.readouterr().err


def test_names_of_any_kind(model: Any, tmp_path: Path, capsys: Capture) -> None:
    names = ["=cmd|' C calc'!A0.png", "-1.png", "ü 语 \u202e.png", "new\nline.png", "50%[a].png"]
    for name in names:
        save(tmp_path / "in" / name, squares(1))
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "in"), "--out", str(out)]) == 0
    assert "\u202e" not in capsys.readouterr().out
    assert {r["image"] for r in rows(out)} == {f"'{n}" if n[0] in "=-" else n for n in names}
    assert {i["file_name"] for i in json.loads((out / "predictions.json").read_text())["images"]} == set(
        names
    )


def test_malformed_images_never_end_in_a_fault(
    model: Any, bad_inputs: Path, tmp_path: Path, capsys: Capture
) -> None:
    files = sorted(p for p in (bad_inputs / "images").rglob("*") if p.is_file())
    assert files
    code = main(["predict", *map(str, files), "--json", "--save", "none", "--max-pixels", "4000000"])
    shown = capsys.readouterr()
    assert code in (1, 2)
    document = json.loads(shown.out)
    assert len(document["failed"]) + len({i["file"] for i in document["images"]}) >= len(files)
    assert not [f for f in document["failed"] if "fault of delineate" in f["reason"]]
    assert "Traceback" not in shown.err
