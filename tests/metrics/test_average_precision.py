from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.average_precision import AveragePrecision

TWO = Labels(("cat", "dog"), ids=(3, 7))


def reference(dataset: dict[str, Any], results: list[dict[str, Any]], kind: str) -> COCOeval:
    """pycocotools' own run."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(dataset)
        truth.createIndex()
        if results:
            found = truth.loadRes(copy.deepcopy(results))
        else:  # loadRes cannot read an empty list
            found = COCO()
            found.dataset = {**dataset, "annotations": []}
            found.createIndex()
        run = COCOeval(truth, found, "segm" if kind == "mask" else "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def as_instances(
    annotations: list[dict[str, Any]], size: tuple[int, int], classes: Labels, kind: str
) -> Instances:
    boxes = masks = None
    if kind == "box":
        boxes = np.array([a["bbox"] for a in annotations], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
    if kind == "mask":
        parts = [
            Masks.from_rle([a["segmentation"]], size)
            if isinstance(a["segmentation"], dict)
            else Masks.from_polygons([a["segmentation"]], size)
            for a in annotations
        ]
        masks = Masks.concatenate(parts) if parts else Masks.empty(size)
    return Instances(
        size,
        boxes=boxes,
        labels=[classes.index(a["category_id"]) for a in annotations],
        scores=[a.get("score", 1.0) for a in annotations],
        masks=masks,
        crowd=[a.get("iscrowd", 0) for a in annotations],
        areas=[a["area"] for a in annotations] if annotations and "area" in annotations[0] else None,
        classes=classes,
    )


def both(
    dataset: dict[str, Any], results: list[dict[str, Any]], image: dict[str, Any], classes: Labels, kind: str
) -> list[Instances]:
    """The predicted and the true objects of one image."""
    size = (image["height"], image["width"])
    return [
        as_instances([a for a in records if a["image_id"] == image["id"]], size, classes, kind)
        for records in (results, dataset["annotations"])
    ]


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_cocoapi_sample_equals_pycocotools_and_the_published_numbers(data_dir: Path, kind: str) -> None:
    folder = data_dir / "formats" / "coco_eval"
    name = "segm" if kind == "mask" else "bbox"
    dataset = json.loads((folder / "cocoapi" / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "cocoapi" / f"instances_val2014_fake{name}100_results.json").read_text())
    classes = Labels(
        tuple(c["name"] for c in dataset["categories"]), tuple(c["id"] for c in dataset["categories"])
    )
    metric = AveragePrecision(kind, classes)  # type: ignore[arg-type]
    for image in dataset["images"]:
        pred, truth = both(dataset, results, image, classes, kind)
        metric.update(pred, truth, image["id"])
    report = metric.compute()
    run = reference(dataset, results, kind)
    assert report.stats.tolist() == run.stats.tolist()
    assert np.array_equal(report.precision, run.eval["precision"])
    assert np.array_equal(report.recall, run.eval["recall"])
    published = (folder / "val2014_fake_eval_res.txt").read_text().split(f"type={name}")[1].splitlines()
    expected = [float(line.split("=")[-1]) for line in published if line.startswith(" Average")][:12]
    assert report.stats.round(3).tolist() == expected


@st.composite
def case(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A few images with a few masks: holes, single pixels, empty, crowds, duplicates, equal scores."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images, annotations, results = [], [], []
    numbers = rng.permutation(50)[: draw(st.integers(1, 4))].tolist()
    scores = np.array([0.125, 0.5, 0.5, 0.75, 0.9375])
    for number in numbers:
        size = (int(rng.integers(1, 140)), int(rng.integers(1, 140)))
        images.append({"id": number, "height": size[0], "width": size[1]})
        kept = []
        for _ in range(rng.integers(0, 5)):
            mask = blob(rng, size)
            kept.append(mask)
            record = annotation(mask, number, int(rng.choice(TWO.ids)))
            record["area"] = float(rng.choice([record["area"], 0.0, 1024.0, 9216.0, 500.5]))
            annotations.append(
                {**record, "id": len(annotations) + 1, "iscrowd": int(rng.random() < 0.25), "ignore": 1}
            )
        for _ in range(rng.integers(0, 7)):
            mask = blob(rng, size) if not kept or rng.random() < 0.3 else kept[rng.integers(len(kept))].copy()
            if rng.random() < 0.5:
                mask = mask & (rng.random(size) < rng.choice([0.5, 0.6, 0.75, 0.9]))
            record = annotation(mask, number, int(rng.choice(TWO.ids)))
            del record["area"]
            results.append({**record, "score": float(rng.choice(scores))})
    categories = [{"id": i, "name": n} for i, n in zip(TWO.ids, TWO.names, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def blob(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
    kind = rng.integers(4)
    if kind == 0:
        mask[y, x] = True
    elif kind < 3:
        mask[y : y + rng.integers(1, 110), x : x + rng.integers(1, 110)] = True
        if kind == 2:
            mask[y + 1 : y + 3, x + 1 : x + 3] = False
    return mask


def annotation(mask: np.ndarray, image: int, category: int) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "image_id": image,
        "category_id": category,
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
        "bbox": coco_mask.toBbox(rle).tolist(),
        "area": float(mask.sum()),
    }


@settings(max_examples=60, deadline=None)
@given(case(), st.sampled_from(["mask", "box"]), st.booleans())
def test_random_cases_equal_pycocotools(case: Any, kind: str, with_boxes: bool) -> None:
    dataset, results = case
    plain = [{k: v for k, v in r.items() if k != "bbox" or kind == "box" or with_boxes} for r in results]
    settings = {"detection_area": "box"} if with_boxes else {}
    metric = AveragePrecision(kind, TWO, **settings)  # type: ignore[arg-type]
    shards = [AveragePrecision(kind, TWO, **settings) for _ in range(2)]  # type: ignore[arg-type]
    for k, image in enumerate(dataset["images"]):
        found, truth = both(dataset, results, image, TWO, kind)
        metric.update(found, truth, image["id"])
        shards[k % 2].update(found, truth, image["id"])
    run = reference(dataset, plain, kind)
    report = metric.compute()
    assert report.stats.tolist() == list(run.stats)
    assert np.array_equal(report.precision, run.eval["precision"])
    shards[1].merge(shards[0])
    assert np.array_equal(shards[1].compute().precision, report.precision)
    raw = AveragePrecision(kind, TWO, **settings)  # type: ignore[arg-type]
    raw.update_coco(dataset["images"], dataset["annotations"], results)
    assert raw.compute().stats.tolist() == report.stats.tolist()


BOX = ([[0.0, 0, 4, 4]], [0])


@pytest.mark.parametrize(
    ("found", "true", "ap", "ar"),
    [
        (([], []), ([], []), np.nan, np.nan),
        (BOX, ([], []), np.nan, np.nan),
        (([], []), BOX, 0.0, 0.0),
        (BOX, BOX, 1.0, 1.0),
        (([[0, 0, 4, 3.0]], [0]), BOX, 0.6, 0.6),  # IoU 0.75 passes at 0.50 to 0.75
    ],
    ids=["nothing", "only found", "only true", "perfect", "three quarters"],
)
def test_table(found: Any, true: Any, ap: float, ar: float) -> None:
    metric = AveragePrecision("box", TWO)
    make = [Instances((8, 8), boxes=np.reshape(b, (-1, 4)), labels=k, classes=TWO) for b, k in (found, true)]
    metric.update(*make)
    report = metric.compute()
    assert report["AP"] == pytest.approx(ap, nan_ok=True)
    assert report["AR100"] == pytest.approx(ar, nan_ok=True)
    json.dumps(report.to_dict(), allow_nan=False)


def test_no_images() -> None:
    report = AveragePrecision("mask", TWO).compute()
    assert report.images == 0
    assert (report.stats == -1).all()


def test_an_image_without_truth_counts_its_false_positives() -> None:
    one = Instances((8, 8), boxes=BOX[0], scores=[0.5])
    metric = AveragePrecision("box", one.classes)
    metric.update(one, one)
    assert metric.compute()["AP50"] == pytest.approx(1.0)
    metric.update(one.replace(scores=[0.9]), Instances.empty((8, 8)))
    assert metric.compute()["AP50"] == pytest.approx(0.5)


def test_detections_beyond_max_det_are_counted_and_ap_is_at_the_largest_limit() -> None:
    grid = np.array([[x, y, x + 2, y + 2] for y in range(0, 30, 3) for x in range(0, 60, 3)], dtype=float)
    truth = Instances((40, 70), boxes=grid)
    metric = AveragePrecision("box", truth.classes)
    metric.update(truth.replace(scores=np.linspace(1, 0.5, len(grid))), truth)
    metric.update(truth[:5], truth[:5])
    report = metric.compute()
    assert (report.unscored, report.unscored_images) == (100, 1)
    assert len(report.notes) == 1
    assert report.notes[0].startswith(
        "100 detections beyond max_det=100 per class in 1 images were not scored"
    )
    more = AveragePrecision("box", truth.classes, max_dets=(1, 10, 100, 300))
    more.update(truth, truth)
    report = more.compute()
    assert (report["AP"], report["AR100"], report["AR300"], report.notes) == (pytest.approx(1), 0.5, 1.0, ())
    assert list(report.scores)[6:10] == ["AR1", "AR10", "AR100", "AR300"]
    assert report.protocol["AP_at"] == "max_det=300"


def test_per_class_rows_follow_the_class_ids_and_keep_double_names() -> None:
    classes = Labels(("b", "a", "b"), ids=(9, 2, 4))
    truth = Instances((8, 8), boxes=[[0, 0, 2, 2], [4, 4, 8, 8]], labels=[0, 1], classes=classes)
    metric = AveragePrecision("box", classes)
    metric.update(truth[:1], truth)
    rows = metric.compute().per_class
    assert list(rows) == ["a", "b", "b (2)"]
    assert (rows["a"]["AP"], rows["b (2)"]["AP"], rows["b (2)"]["truths"]) == (0.0, pytest.approx(1), 1)
    assert np.isnan(rows["b"]["AP"])


def test_errors_say_what_to_do() -> None:
    one = Instances((8, 8), boxes=BOX[0])
    metric = AveragePrecision("box", one.classes)
    metric.update(one, one, 5)
    with pytest.raises(InputError, match="every image once"):
        metric.update(one, one, 5)
    with pytest.raises(InputError, match="every image once"):
        metric.update(one, one, -1)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((4, 4)), one)
    with pytest.raises(InputError, match="expected masks in the prediction"):
        AveragePrecision("mask", one.classes).update(one, one)
    with pytest.raises(InputError, match="map its classes"):
        metric.update(Instances((8, 8), boxes=BOX[0], labels=[1], classes=TWO), one)
    other = AveragePrecision("box", one.classes)
    other.update(one, one, 5)
    with pytest.raises(InputError, match="image 5 in both"):
        metric.merge(other)
    with pytest.raises(InputError, match="settings"):
        metric.merge(AveragePrecision("mask", one.classes))
    for bad in ((), (0, 10), (10, 10), (100, 10)):
        with pytest.raises(InputError, match="max_dets"):
            AveragePrecision("box", TWO, max_dets=bad)
    with pytest.raises(InputError, match="class ids"):
        AveragePrecision("box", Labels(("x",), ids=(-1,)))
    with pytest.raises(InputError, match="'mask' or 'box'"):
        AveragePrecision("keypoints", TWO)  # type: ignore[arg-type]
