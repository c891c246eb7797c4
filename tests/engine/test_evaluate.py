from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset
from delineate.engine.evaluate import evaluate

CELL = Labels(("cell",))


@dataclass(frozen=True)
class Sample:
    image: np.ndarray
    truth: Instances
    name: str
    image_id: int


class Samples(list[Sample]):
    """Samples with classes and a column, as a dataset has them."""

    classes = CELL

    @property
    def groups(self) -> dict[str, list[str]]:
        return {"modality": ["grey" if s.image_id % 2 else "stained" for s in self]}


def truth_of(image: np.ndarray) -> Instances:
    return Instances(image.shape, masks=Masks.from_label_image(image), classes=CELL)


def samples(count: int = 4) -> Samples:
    rng = np.random.default_rng(0)
    images = [np.kron(rng.permutation(9).reshape(3, 3), np.ones((4, 5), int)) for _ in range(count)]
    return Samples(Sample(image, truth_of(image), f"{k}.png", k) for k, image in enumerate(images))


def test_a_perfect_callable_scores_one() -> None:
    report = evaluate(truth_of, samples())
    assert report.scores["mask/AP"] == pytest.approx(1)
    assert report.scores["box/AP"] == pytest.approx(1)
    assert report.scores["cells/AP"] == report.scores["cells/AP50"] == report.scores["cells/F1_50"] == 1
    assert report.scores["count/bias"] == 0
    assert (report.images, report.failed, report.notes) == (4, (), ())


def test_one_bad_image_is_reported_and_the_rest_goes_on() -> None:
    data = samples()

    def predict(image: np.ndarray) -> Any:
        if image is data[1].image:
            raise RuntimeError("broken\nfile")
        if image is data[2].image:
            return Instances.empty((9, 9), CELL)
        return truth_of(image)

    report = evaluate(predict, data)
    assert report.images == 2
    assert report.failed[0] == ("1.png", "RuntimeError: broken file")
    assert "expected a prediction of (12, 15) pixels" in report.failed[1][1]
    assert report.scores["cells/AP"] == 1
    assert "not scored: 1.png" in str(report)
    with pytest.raises(InputError, match=r"no image could be scored; the first, 0\.png: ZeroDivisionError"):
        evaluate(lambda image: 1 / 0, data)


def test_models_get_confidence_and_max_det_and_their_warnings_are_told() -> None:
    class Model:
        name = "mine"

        def predict(self, image: np.ndarray, **settings: float) -> Instances:
            assert settings == {"confidence": 0.25, "max_det": 7}
            warnings.warn("max_det reached", stacklevel=2)
            logging.getLogger("delineate").warning("kept %d objects", image[0, 0])
            return truth_of(image)

    report = evaluate(Model(), samples(2), confidence=0.25, max_det=7)
    assert report.predictor == "mine"
    assert report.notes[0].endswith("objects (so or alike in 2 images)")
    assert report.notes[1] == "max_det reached (so or alike in 2 images)"
    assert report.protocol["coco"]["max_dets"] == [1, 7]
    assert report.all_notes[-1].startswith(
        "mask and box AP: 2 detections beyond max_det=7 per class in 2 images"
    )


def test_confidence_is_the_operating_point() -> None:
    def predict(image: np.ndarray) -> Instances:
        found = truth_of(image)
        return found.replace(scores=np.where(np.arange(len(found)) < 2, 0.3, 0.9))

    by_default = evaluate(predict, samples(1))
    assert by_default.scores["mask/AP"] == pytest.approx(1)
    assert by_default.scores["count/bias"] == -2
    lower = evaluate(predict, samples(1), confidence=0.2)
    assert (lower.scores["count/bias"], lower.scores["cells/AP"]) == (0, 1)
    higher = evaluate(predict, samples(1), confidence=0.5)
    assert higher.scores["mask/AR100"] == 0.75
    assert higher.protocol["coco"]["taken"] == "detections from 0.5 on"


def test_groups_and_their_total() -> None:
    report = evaluate(
        lambda image: truth_of(image)[:4] if image[0, 0] > 3 else truth_of(image), samples(), by="modality"
    )
    assert set(report.groups) == {"grey", "stained"}
    totals = [report.groups[g].cells.pooled[0].tp for g in report.groups]  # type: ignore[union-attr]
    assert sum(totals) == report.total.cells.pooled[0].tp  # type: ignore[union-attr]
    plain = evaluate(lambda image: truth_of(image)[:4] if image[0, 0] > 3 else truth_of(image), samples())
    assert plain.scores == pytest.approx(report.scores, nan_ok=True)
    assert "grey, pooled" in str(report)
    with pytest.raises(InputError, match="column of the dataset, got 'stain'; it has modality"):
        evaluate(truth_of, samples(), by="stain")


def test_classes_are_matched_by_name() -> None:
    classes = Labels(("dog", "cat"), ids=(4, 9))
    truth = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]], labels=[0, 1], classes=classes)
    data = [Sample(np.zeros((9, 9)), truth, "a.png", 1)]
    other = Labels(("Cat", "bird", "Dog"))
    found = Instances(
        (9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9], [1, 1, 2, 2]], labels=[2, 0, 1], classes=other
    )
    report = evaluate(lambda image: found, data, metrics=["coco"])
    assert report.scores["box/AP"] == pytest.approx(1)
    assert report.notes[-1] == "1 detections of classes that the data does not have were not scored"
    one = Labels(("nucleus",))
    report = evaluate(lambda image: truth_of(image).replace(classes=one), samples(1))
    assert report.scores["mask/AP"] == pytest.approx(1)
    with pytest.raises(InputError, match="expected some of dog, cat as the data has, got cell"):
        evaluate(lambda image: Instances((9, 9), classes=CELL), data)


def test_boxes_only_give_box_scores_and_a_note() -> None:
    report = evaluate(lambda image: truth_of(image).replace(masks=None), samples(2))
    assert (report.total.mask, report.total.cells) == (None, None)
    assert report.scores["box/AP"] == pytest.approx(1)
    assert report.notes == ("the predictions have boxes only: masks and cells are not scored",)
    with pytest.raises(InputError, match="got boxes only"):
        evaluate(lambda image: truth_of(image).replace(masks=None), samples(2), metrics=["cells"])


def test_nothing_predicted_counts_as_missed() -> None:
    report = evaluate(lambda image: Instances(image.shape, classes=CELL), samples(1))
    assert (report.scores["mask/AP"], report.scores["cells/AP"], report.scores["count/bias"]) == (0, 0, -8)


def test_the_report_saves_itself(tmp_path: Path) -> None:
    data = samples(2)
    report = evaluate(truth_of, data, by="modality")
    files = report.save(tmp_path / "out")
    assert [f.name for f in files] == ["report.json", "report.csv", "report.txt", "report.html"]
    record = json.loads(files[0].read_text())
    assert record["scores"]["cells/AP50"] == 1
    assert record["scores"]["mask/APl"] is None  # no large objects
    assert record["protocol"]["coco"]["area_ranges"]["small"] == [0, 1024]
    assert set(record["groups"]) == {"grey", "stained"}
    with files[1].open(newline="") as lines:
        rows = {(r["group"], r["class"], r["score"]): r["value"] for r in csv.DictReader(lines)}
    assert float(rows["", "", "mask/AP"]) == report.scores["mask/AP"]
    assert rows["grey", "cell", "mask/truths"] == "8"
    assert files[2].read_text().rstrip() == str(report)
    assert report.save(tmp_path / "a.csv") == [tmp_path / "a.csv"]
    with pytest.raises(InputError, match=r"got '\.xlsx'"):
        report.save(tmp_path / "a.xlsx")
    assert report.plot(tmp_path / "ap.png").stat().st_size > 1000
    assert "mask/AP 1.000" in repr(report)


def test_class_names_are_no_formulas_in_the_csv_and_no_markup_on_the_terminal() -> None:
    classes = Labels(("=1+1", "[red]x"))
    truth = Instances((9, 9), boxes=[[0, 0, 4, 4], [5, 5, 9, 9]], labels=[0, 1], classes=classes)
    report = evaluate(lambda image: truth, [Sample(np.zeros((9, 9)), truth, "a.png", 1)], metrics=["coco"])
    assert "'=1+1" in report.to_csv()
    assert "[red]x" in str(report)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics": ["ap"]}, "metrics"),
        ({"metrics": "coco"}, "metrics"),
        ({"metrics": []}, "metrics"),
        ({"confidence": 2.0}, "confidence"),
        ({"max_det": 0}, "max_det"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(truth_of, samples(1), **settings)


def test_wrong_predictors_and_empty_data() -> None:
    with pytest.raises(InputError, match="expected a model, a callable"):
        evaluate(3, samples(1))
    with pytest.raises(InputError, match=r"expected Instances, .* got int"):
        evaluate(lambda image: 3, samples(1))
    with pytest.raises(InputError, match="empty dataset"):
        evaluate(truth_of, [])


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_files_equal_pycocotools(data_dir: Path, kind: str) -> None:
    folder = data_dir / "formats" / "coco_eval" / "cocoapi"
    results = folder / f"instances_val2014_fake{kind}100_results.json"
    dataset = folder / "instances_val2014_100.json"
    report = evaluate(results, dataset, metrics=["coco"])
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(dataset))
        plain = json.loads(results.read_text())
        boxed = [
            r if "bbox" in r else {**r, "bbox": coco_mask.toBbox(r["segmentation"]).tolist()} for r in plain
        ]
        runs = {}
        for name in ("segm", "bbox") if kind == "segm" else ("bbox",):
            # With a bbox field pycocotools sizes masks by their boxes; without, boxes by their masks.
            runs[name] = COCOeval(truth, truth.loadRes(plain if name == "segm" else boxed), name)
            runs[name].evaluate()
            runs[name].accumulate()
            runs[name].summarize()
    assert report.total.box is not None
    assert report.total.box.stats.tolist() == runs["bbox"].stats.tolist()
    if kind == "segm":
        assert report.total.mask is not None
        assert report.total.mask.stats.tolist() == runs["segm"].stats.tolist()
        assert report.total.mask.stats.round(3).tolist()[:2] == [0.320, 0.562]


def test_real_nuclei_against_their_own_label_images(data_dir: Path, tmp_path: Path) -> None:
    data = open_dataset(data_dir / "dsb2018", split="val").subset(range(0, 69, 9))
    report = evaluate(data_dir / "dsb2018" / "labels", data, by="modality", metrics=["cells"])
    assert report.scores["cells/AP"] == 1
    assert report.images == len(data)
    assert set(report.groups) == set(data.groups["modality"])
    missing = evaluate(lambda image: Instances.empty(image.shape[:2]), data, metrics=["cells"])
    assert missing.scores["cells/AP"] == 0
