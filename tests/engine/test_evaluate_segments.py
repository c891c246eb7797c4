"""`evaluate` with the metrics panoptic and semantic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hotcoco.panoptic import PanopticEval
from typer.testing import CliRunner

from delineate.cli import app
from delineate.core.batch import InputSpec
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.semantic import Semantic
from delineate.data.dataset import Dataset, open_dataset
from delineate.data.formats import coco_panoptic
from delineate.data.write import write_png
from delineate.engine.evaluate import evaluate
from delineate.engine.load import Model
from delineate.engine.stored import ImageEntry
from delineate.engine.stored_segments import ClassPictures
from delineate.engine.whole_image_scores import pixels_in_classes, segments_in_classes
from delineate.metrics.panoptic_quality import PanopticQuality
from delineate.models.zoo import build

CLASSES = Labels(("disc", "grass", "sky"), ids=(3, 5, 9), things=(True, False, False))
WHOLE = ("panoptic", "semantic")


def scene(seed: int) -> Panoptic:
    """Two discs on grass under the sky."""
    rng = np.random.default_rng(seed)
    image = np.full((20, 24), 2)
    image[:8] = 3
    image[10:14, 2:8] = 1
    image[2:6, 12 : 12 + int(rng.integers(3, 9))] = 4
    return Panoptic(image, labels=[0, 1, 2, 0], classes=CLASSES)


def data(folder: Path, count: int = 3) -> Dataset:
    """COCO panoptic with pictures of noise."""
    truth = [(f"{i}.png", i + 1, scene(i)) for i in range(count)]
    for name, i, _ in truth:
        write_png(folder / name, np.full((20, 24), i, np.uint8))
    return open_dataset(coco_panoptic.write(folder / "truth.json", truth))


def test_the_truth_itself_scores_one(tmp_path: Path) -> None:
    samples = data(tmp_path)
    report = evaluate(lambda image: scene(int(image[0, 0]) - 1), samples, metrics=WHOLE)
    assert report.scores["panoptic/PQ"] == report.scores["semantic/mIoU"] == 1
    assert report.scores["panoptic/PQ_stuff"] == report.scores["panoptic/RQ_things"] == 1
    assert (report.images, report.failed, report.notes) == (3, (), ())
    text = str(report)
    assert "Panoptic quality by class" in text and "sky" in text and "Semantic protocol" in text
    found = json.loads(report.to_json())
    assert found["details"]["panoptic"]["by_class"][0]["tp"] == 6
    assert found["details"]["semantic"]["iou"] == {"disc": 1, "grass": 1, "sky": 1}
    assert ",disc,panoptic/PQ,1.0" in report.to_csv() and ",sky,semantic/IoU,1.0" in report.to_csv()


def test_results_in_files_score_as_hotcoco_has_it(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "formats" / "panoptic_sample"
    truth = folder / "panoptic_examples.json"
    samples = open_dataset(truth, images=False)
    rng = np.random.default_rng(3)
    found = []
    for i in range(2):
        true = samples.panoptic(i)
        image = np.roll(true.map, (4, 6), (0, 1))
        image[rng.random(image.shape) < 0.2] = 0
        kept, numbered = np.unique(np.concatenate([[0], image.ravel()]), return_inverse=True)
        labels = true.labels[kept[1:] - 1]
        pred = Panoptic(numbered[1:].reshape(image.shape), labels=labels, classes=true.classes)
        found.append((samples.names[i], samples.image_ids[i], pred))
    path = coco_panoptic.write(tmp_path / "panoptic.json", found)
    theirs = PanopticEval(truth, path, gt_folder=truth.with_suffix(""), pred_folder=tmp_path / "panoptic")
    theirs.evaluate()
    arguments = ["evaluate", "--predictions", str(tmp_path), "--data", str(truth), "--json"]
    run = CliRunner().invoke(app, [*arguments, "--metrics", "panoptic,semantic,coco"])
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    for name, end in (("All", ""), ("Things", "_things"), ("Stuff", "_stuff")):
        for part in ("pq", "sq", "rq"):
            ours = report["scores"][f"panoptic/{part.upper()}{end}"]
            assert ours == pytest.approx(theirs.results()[name][part])
    confusion = np.zeros((134, 134))  # an own count, pixel by pixel
    for i, (_, _, pred) in enumerate(found):
        np.add.at(confusion, (samples.semantic(i).map, pred.to_semantic().map), 1)
    right = np.diagonal(confusion)[:-1]
    union = confusion[:-1].sum(1) + confusion[:-1, :-1].sum(0) - right
    there = confusion[:-1].sum(1) > 0
    assert report["scores"]["semantic/mIoU"] == pytest.approx((right[there] / union[there]).mean())
    assert 0 < report["scores"]["mask/AP"] < 1  # the things of the same file


def test_a_model_is_asked_for_each_task(tmp_path: Path) -> None:
    samples = data(tmp_path)
    settings: dict[str, Any] = {
        "backbone": "resnet10t", "queries": 8, "encoder_layers": 1, "decoder_layers": 2, "channels": 64,
        "encoder_hidden": 64, "decoder_hidden": 64, "frozen_norms": False,
        "input": InputSpec(shortest_edge=64, longest_edge=96),
    }  # fmt: skip
    model = Model(build("mask2former", classes=CLASSES, **settings))
    sure = evaluate(model, samples, metrics=WHOLE, confidence=1.0)
    assert sure.scores["panoptic/PQ"] == 0  # nothing is surer than 1: all void
    metric = PanopticQuality()
    for i, sample in enumerate(samples):
        metric.update(model.panoptic(sample.image, confidence=0.1), samples.panoptic(i))
    report = evaluate(model.segmenter, samples, metrics=WHOLE, confidence=0.1)
    assert report.total.panoptic == metric.compute() and report.images == 3


def test_pictures_of_classes(tmp_path: Path) -> None:
    samples = data(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    rows = [
        {"id": i, "name": n, "isthing": int(n == "disc")} for i, n in ((9, "Sky"), (5, "grass"), (3, "disc"))
    ]
    (folder / "semantic.json").write_text(json.dumps({"categories": rows}))
    for i in range(2):
        write_png(folder / f"{i}.classes.png", samples.semantic(i).to_ids().astype(np.uint8))
    report = evaluate(folder, samples, metrics=["semantic"])
    judged = [samples.semantic(i).area.sum() for i in range(3)]
    assert report.scores["semantic/pACC"] == pytest.approx(sum(judged[:2]) / sum(judged))
    assert report.notes[1:] == ("1 of 3 images have no prediction and count as void",)
    with pytest.raises(InputError, match="expected panoptic results, got classes of pixels"):
        evaluate(folder, samples, metrics=["panoptic"])
    alike = [ImageEntry(1, "a/0.png", (2, 2)), ImageEntry(2, "b/0.png", (2, 2))]
    with pytest.raises(InputError, match="expected a picture for one image, got 2 images of that name"):
        ClassPictures(folder, alike, samples.classes)
    (folder / "semantic.json").write_text('{"categories": [{"id": 3}]}')
    with pytest.raises(InputError, match="expected categories with id, name and isthing"):
        evaluate(folder, samples, metrics=["semantic"])


def test_classes_by_name() -> None:
    other = Labels(("SKY", "dog", "grass"), things=(False, True, False))
    found = Panoptic([[1, 1, 2], [3, 3, 0]], labels=[0, 1, 2], ids=[7, 8, 9], classes=other)
    moved, lost = segments_in_classes(found, CLASSES)
    assert moved.map.tolist() == [[1, 1, 0], [2, 2, 0]] and lost == 1
    assert moved.names == ["sky", "grass"] and moved.ids.tolist() == [7, 9]
    assert pixels_in_classes(found.to_semantic(), CLASSES).map.tolist() == [[2, 2, -1], [1, 1, -1]]
    with pytest.raises(InputError, match="classes: expected some of disc, grass, sky"):
        pixels_in_classes(Semantic([[0]], Labels(("cat",))), CLASSES)


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        (lambda image: Instances.empty(image.shape), "expected Panoptic, got Instances"),
        (lambda image: Panoptic([[1]], labels=[0], classes=CLASSES), r"expected a prediction of \(20, 24\)"),
        (3, "expected a model, a callable, predictions"),
    ],
)
def test_wrong_predictors(predictor: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(predictor, data(tmp_path), metrics=["panoptic"])


def test_models_and_data_with_objects_alone_say_so(tmp_path: Path) -> None:
    samples = data(tmp_path)
    with pytest.raises(InputError, match=r"semantic: .* got center_offset, which finds objects alone"):
        evaluate(Model(build("center_offset", channels=(8, 8))), samples, metrics=["semantic"])
    (tmp_path / "objects.json").write_text('{"images": [], "annotations": [], "categories": []}')
    write_png(tmp_path / "a.png", np.zeros((4, 4), np.uint8))
    rows = {
        "images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 4}],
        "annotations": [],
        "categories": [{"id": 1, "name": "disc"}],
    }
    (tmp_path / "objects.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"for panoptic, got COCO, which has objects alone"):
        evaluate(lambda image: image, tmp_path / "objects.json", metrics=["panoptic"])
