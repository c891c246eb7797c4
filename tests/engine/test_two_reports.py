"""One predictor against another, and one protocol against another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import delineate
from delineate.cli import app
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.records import Sample
from delineate.engine.comparison import compare_reports
from delineate.engine.evaluate import evaluate
from delineate.engine.explanation import explain_difference
from delineate.engine.protocol_choices import Choices
from delineate.engine.report import Report

CLASSES = Labels(("a", "b"), ids=(1, 2))


def truth(k: int) -> Instances:
    rng = np.random.default_rng(k)
    corner = rng.integers(0, 40, (8, 2)) + np.array([[50 * (n % 2), 50 * (n // 4)] for n in range(8)])
    crowd = np.arange(8) == 7
    return Instances(
        (120, 120),
        boxes=np.hstack([corner, corner + 12]),
        labels=np.arange(8) % 2,
        crowd=crowd,
        areas=np.full(8, 5000.0),
        classes=CLASSES,
    )


def found(k: int, share: float) -> Instances:
    true = truth(k)
    rng = np.random.default_rng(100 + k)
    kept = true[rng.random(len(true)) < share]
    return Instances(
        true.size, boxes=kept.boxes, labels=kept.labels, scores=rng.random(len(kept)), classes=CLASSES
    )


def score(share: float, count: int = 12, **settings: Any) -> Report:
    data = [
        Sample(np.zeros((120, 120), np.uint8), truth(k), f"{k}.png", Path(f"{k}.png"), k)
        for k in range(count)
    ]
    answers = iter([found(k, share) for k in range(count)])
    return evaluate(lambda image: next(answers), data, metrics=["coco", "intervals"], **settings)


def test_a_clear_difference_is_told_with_its_interval() -> None:
    better = delineate.compare_reports(score(0.9), score(0.4), draws=200)
    d = better.differences["box/AP"]
    assert d.low > 0 and d.p < 0.01 and d.difference == pytest.approx(d.second - d.first)
    assert "is better than" in better.sentence and "over 12 images" in better.sentence
    assert "is worse than" in compare_reports(score(0.4), score(0.9), draws=200).sentence
    assert "No sure difference" in compare_reports(score(0.9), score(0.9), draws=50).sentence
    json.dumps(better.to_dict(), allow_nan=False)
    assert len(better.tables[0].rows) == len(better.differences)


def test_reports_without_intervals_or_of_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="'intervals'"):
        data = [Sample(np.zeros((120, 120)), truth(0), "a.png", Path("a.png"), 0)]
        compare_reports(score(0.9), evaluate(lambda image: found(0, 1), data, metrics=["coco"]))
    with pytest.raises(InputError, match="same images"):
        compare_reports(score(0.9), score(0.9, 11))


@pytest.mark.parametrize(
    ("choices", "changed", "protocol"),
    [
        ("max_det=1", "box/AP", "max_dets"),
        ("confidence=0.5", "box/AR100", "taken"),
        ("crowd=counted", "box/AP", "crowd"),
        ("truth_area=mask", "box/APs", "truth_area"),
    ],
)
def test_where_two_protocols_part(choices: str, changed: str, protocol: str) -> None:
    usual, other = score(1.0), score(1.0, protocol=choices)
    told = explain_difference(usual, other, choices)
    assert changed in {name for name, *_ in told.scores}
    assert told.tables[0].title == "Choices that differ"
    assert any(row[0] == f"coco: {protocol}" for row in told.tables[0].rows)
    assert choices in told.sentence
    json.dumps(told.to_dict(), allow_nan=False)
    if choices != "truth_area=mask":  # sizes alone change there
        assert told.tables[-1].title.startswith("Images that differ")


def test_the_same_protocol_tells_so() -> None:
    told = explain_difference(score(0.8), score(0.8), "max_det=100")
    assert told.scores == () and told.tables == () and "are the same" in told.sentence


def test_choices_are_read_and_refused() -> None:
    assert not Choices.parse("") and str(Choices()) == "as usual"
    assert Choices.parse("detection_area=box,confidence=0.25").told == {
        "confidence": 0.25,
        "detection_area": "box",
    }
    for wrong in ("crowd=maybe", "max_det=many", "size=3", "crowd"):
        with pytest.raises(InputError, match="protocol: expected some of max_det"):
            Choices.parse(wrong)
    with pytest.raises(InputError, match="max_det"):
        score(1.0, protocol="max_det=0")


def test_the_command_compares_explains_and_writes_a_page(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(4)]
    rows: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    rows["categories"] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    good, bad = [], []
    for k, name in enumerate(names):
        rows["images"].append({"id": k, "file_name": name, "height": 120, "width": 120})
        boxes = truth(k).to_coco(k, first_id=len(rows["annotations"]) + 1)
        rows["annotations"] += [{**r, "segmentation": [_ring(r["bbox"])], "iscrowd": 0} for r in boxes]
        good += [{**r, "score": 0.9} for r in boxes]
        bad += [{**r, "score": 0.9} for r in boxes[:3]]
    for name, content in (("truth", rows), ("good", good), ("bad", bad)):
        for record in content if isinstance(content, list) else ():
            record.pop("id", None), record.pop("iscrowd", None), record.pop("area", None)
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    given = ["evaluate", "--predictions", str(tmp_path / "good.json"), "--data", str(tmp_path / "truth.json")]
    extra = ["--against", str(tmp_path / "bad.json"), "--explain-difference", "max_det=2"]
    done = CliRunner().invoke(app, [*given, *extra, "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["comparison"]["differences"]["box/AP"]["difference"] > 0
    assert record["explained"]["scores"]["box/AP"]["other"] < 1
    done = CliRunner().invoke(app, [*given, *extra, "--out", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    assert "bad.json: box/AP" in " ".join(done.stdout.split())
    assert "Against the other" in (tmp_path / "page.html").read_text()
    assert "Where two protocols part" in (tmp_path / "page.html").read_text()
    done = CliRunner().invoke(app, [*given, "--explain-difference", "max_dets=2"])
    assert isinstance(done.exception, InputError)


def _ring(box: list[float]) -> list[float]:
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]
