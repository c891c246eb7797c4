from __future__ import annotations

import contextlib
import copy
import io
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
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
from delineate.metrics.boundary import boundaries, boundary_width
from delineate.metrics.boundary_ap import BoundaryAveragePrecision

TWO = Labels(("cat", "dog"), ids=(3, 7))
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools


def published_boundary(mask: np.ndarray, dilation: float = 0.02) -> np.ndarray:
    """The authors' formula, step by step: the whole image, eroded pixel by pixel."""
    height, width = mask.shape
    steps = max(1, round(dilation * float(np.sqrt(height**2 + width**2))))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=[0])
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)
    return mask & (eroded[1:-1, 1:-1] == 0)


class Reference(COCOeval):
    """pycocotools' own matching and accumulation with the authors' overlap."""

    def computeIoU(self, imgId: int, catId: int) -> Any:
        truth, found = self._gts[imgId, catId], self._dts[imgId, catId]
        if not truth and not found:
            return []
        order = np.argsort([-d["score"] for d in found], kind="mergesort")[: self.params.maxDets[-1]]
        rles = [[found[k]["segmentation"] for k in order], [g["segmentation"] for g in truth]]
        crowd = [int(g["iscrowd"]) for g in truth]
        whole = coco_mask.iou(*rles, crowd)
        if not truth or not found:
            return whole
        edges = [[encode(published_boundary(coco_mask.decode(r) > 0)) for r in some] for some in rles]
        plain = ~np.array(crowd, bool)
        whole[:, plain] = np.minimum(whole[:, plain], coco_mask.iou(*edges, crowd)[:, plain])
        return whole


def encode(mask: np.ndarray) -> dict[str, Any]:
    rle: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return rle


def reference(dataset: dict[str, Any], results: list[dict[str, Any]]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(dataset)
        truth.createIndex()
        run = Reference(truth, truth.loadRes(copy.deepcopy(results)), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def ours(
    dataset: dict[str, Any], results: list[dict[str, Any]], classes: Labels = TWO, shard: int = 0
) -> BoundaryAveragePrecision:
    """Images shared out over two shards by the bits of ``shard``."""
    parts = [BoundaryAveragePrecision(classes) for _ in range(2)]
    for k, image in enumerate(dataset["images"]):
        size = (image["height"], image["width"])
        pair = []
        for records in (results, dataset["annotations"]):
            mine = [a for a in records if a["image_id"] == image["id"]]
            masks = [
                Masks.from_rle([a["segmentation"]], size)
                if isinstance(a["segmentation"], dict)
                else Masks.from_polygons([a["segmentation"]], size)
                for a in mine
            ]
            pair.append(
                Instances(
                    size,
                    masks=Masks.concatenate(masks) if masks else Masks.empty(size),
                    labels=[classes.index(a["category_id"]) for a in mine],
                    scores=[a.get("score", 1.0) for a in mine],
                    crowd=[a.get("iscrowd", 0) for a in mine],
                    areas=[a["area"] for a in mine] if mine and "area" in mine[0] else None,
                    classes=classes,
                )
            )
        parts[shard >> k & 1].update(*pair, image["id"])
    parts[1].merge(parts[0])
    return parts[1]


def case(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A few images: holes, single pixels, empty masks, crowds, duplicates, equal scores, half overlaps."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for number in (1 + rng.permutation(50)[: rng.integers(1, 4)]).tolist():
        size = (int(rng.integers(1, 120)), int(rng.integers(1, 120)))
        images.append({"id": number, "height": size[0], "width": size[1]})
        kept = []
        for _ in range(rng.integers(0, 5)):
            kept.append(blob(rng, size))
            area = float(rng.choice([kept[-1].sum(), 0.0, 1024.0, 9216.0, 500.5]))
            record = annotation(kept[-1], number, int(rng.choice(TWO.ids)))
            crowd = int(rng.random() < 0.25)
            annotations.append({**record, "id": len(annotations) + 1, "area": area, "iscrowd": crowd})
        for _ in range(rng.integers(0, 8)):
            mask = blob(rng, size)
            if kept and rng.random() < 0.8:
                mask = np.roll(kept[rng.integers(len(kept))], rng.integers(-2, 3), axis=rng.integers(2))
            if rng.random() < 0.3:
                mask = mask & (rng.random(size) < rng.choice([0.6, 0.9, 0.99]))
            score = float(rng.choice([0.125, 0.5, 0.5, 0.75, 0.9375]))
            results.append({**annotation(mask, number, int(rng.choice(TWO.ids))), "score": score})
    categories = [{"id": i, "name": n} for i, n in zip(TWO.ids, TWO.names, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def blob(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    y, x = rng.integers(0, size[0]), rng.integers(0, size[1])
    kind = rng.integers(6)
    if kind == 0:
        mask[y, x] = True
    elif kind < 5:
        mask[y : y + rng.integers(1, 110), x : x + rng.integers(1, 110)] = True
        if kind == 2:
            mask[y + 1 : y + 3, x + 1 : x + 3] = False
    return mask


def annotation(mask: np.ndarray, image: int, category: int) -> dict[str, Any]:
    rle = encode(mask)
    segmentation = {"size": rle["size"], "counts": rle["counts"].decode()}
    return {"image_id": image, "category_id": category, "segmentation": segmentation}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_random_cases_equal_pycocotools_with_the_authors_overlap(seed: int, shard: int) -> None:
    dataset, results = case(seed)
    if not results:
        return
    report, run = ours(dataset, results, shard=shard).compute(), reference(dataset, results)
    assert np.array_equal(report.precision, run.eval["precision"])
    assert np.array_equal(report.recall, run.eval["recall"])
    assert report.stats.tolist() == list(run.stats)


def test_cocoapi_sample_equals_both_references(data_dir: Path) -> None:
    folder = data_dir / "formats" / "coco_eval" / "cocoapi"
    dataset = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakesegm100_results.json").read_text())
    few = {image["id"] for image in dataset["images"][:6]}
    dataset["images"] = [i for i in dataset["images"] if i["id"] in few]
    dataset["annotations"] = [a for a in dataset["annotations"] if a["image_id"] in few]
    results = [r for r in results if r["image_id"] in few]
    classes = Labels(
        tuple(c["name"] for c in dataset["categories"]), tuple(c["id"] for c in dataset["categories"])
    )
    report = ours(dataset, results, classes).compute()
    assert report.stats.tolist() == reference(dataset, results).stats.tolist()
    truth = FasterCOCO(copy.deepcopy(dataset))
    run = COCOeval_faster(
        truth, truth.loadRes(copy.deepcopy(results)), "boundary", print_function=lambda *a: None
    )
    run.evaluate()
    run.accumulate()
    run.summarize()
    assert np.allclose(report.stats, run.stats[:12], rtol=0, atol=1e-12)
    assert report.protocol["overlap"].startswith("the smaller of mask IoU and boundary IoU")


def rectangles(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    masks = np.zeros((draw(st.integers(0, 3)), height, width), bool)
    for m in masks:
        y, x = rng.integers(0, height), rng.integers(0, width)
        m[y : y + rng.integers(0, 60), x : x + rng.integers(0, 60)] = True
        m &= rng.random((height, width)) < rng.choice([0.95, 0.999, 1])
    return masks


@settings(max_examples=60, deadline=None)
@given(st.composite(rectangles)(), st.sampled_from([0.005, 0.02, 0.05, 1.0]))
def test_boundaries_equal_the_authors(masks: np.ndarray, dilation: float) -> None:
    found = boundaries(Masks.from_dense(masks), boundary_width(masks.shape[1:], dilation)).dense()
    assert np.array_equal(found, [published_boundary(m, dilation) for m in masks] or masks)


def square(inset: int, size: int = 60) -> Instances:
    mask = np.zeros((1, size, size), bool)
    mask[:, inset : size - inset, inset : size - inset] = True
    return Instances((size, size), masks=Masks.from_dense(mask))


NOTHING = Instances.empty((60, 60), square(5).classes).replace(masks=Masks.empty((60, 60)))


@pytest.mark.parametrize(
    ("found", "true", "ap"),
    [
        (NOTHING, NOTHING, math.nan),
        (square(5), NOTHING, math.nan),
        (NOTHING, square(5), 0.0),
        (square(5), square(5), 1.0),
        (square(6), square(5), 0.0),  # mask IoU 0.92, boundary IoU 0.32
    ],
    ids=["nothing", "only found", "only true", "perfect", "one pixel off"],
)
def test_table(found: Instances, true: Instances, ap: float) -> None:
    metric = BoundaryAveragePrecision(square(5).classes)
    metric.update(found, true)
    report = metric.compute()
    assert report["AP"] == pytest.approx(ap, nan_ok=True)
    json.dumps([report.to_dict(), report.protocol], allow_nan=False)


def test_one_large_pixel_off_is_seen_where_mask_ap_is_not() -> None:
    plain = AveragePrecision("mask", square(5).classes)
    plain.update(square(6), square(5))
    assert plain.compute()["AP"] > 0.8


def test_no_images_and_the_limit() -> None:
    classes = square(5).classes
    assert (BoundaryAveragePrecision(classes).compute().stats == -1).all()
    metric = BoundaryAveragePrecision(classes, max_dets=(1,))
    both = Instances.concatenate([square(5), square(20)]).replace(scores=[0.5, 0.9])
    metric.update(both, both)
    report = metric.compute()
    assert (report["AR1"], report.unscored, report.unscored_images) == (0.5, 1, 1)


def test_errors_say_what_to_do() -> None:
    one = square(5)
    metric = BoundaryAveragePrecision(one.classes)
    metric.update(one, one, 5)
    with pytest.raises(InputError, match="every image once"):
        metric.update(one, one, 5)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((4, 4)), one)
    with pytest.raises(InputError, match="expected masks in the prediction"):
        metric.update(one.replace(masks=None), one)
    with pytest.raises(InputError, match="map its classes"):
        metric.update(one.replace(labels=[1], classes=TWO), one)
    other = BoundaryAveragePrecision(one.classes)
    other.update(one, one, 5)
    with pytest.raises(InputError, match="image 5 in both"):
        metric.merge(other)
    with pytest.raises(InputError, match="settings"):
        metric.merge(BoundaryAveragePrecision(one.classes, dilation=0.01))
    for bad in ((), (0, 10), (100, 10)):
        with pytest.raises(InputError, match="max_dets"):
            BoundaryAveragePrecision(TWO, max_dets=bad)
    with pytest.raises(InputError, match="dilation"):
        BoundaryAveragePrecision(TWO, dilation=0)
