from __future__ import annotations

import copy
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.federation import Federation
from delineate.metrics.lvis_ap import LvisAveragePrecision

FOUR = Labels(("ant", "bat", "cat", "dog"), ids=(3, 7, 9, 11))
CATEGORIES = [
    {"id": i, "name": name, "frequency": f} for i, name, f in zip(FOUR.ids, FOUR.names, "rcff", strict=True)
]
ORDER = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR300", "ARs", "ARm", "ARl"]


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


def case(seed: int, empty: bool = True) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A few images: classes absent, not exhaustive, unknown; equal scores, duplicates, empty masks."""
    rng = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for number in (1 + rng.permutation(50)[: rng.integers(1, 5)]).tolist():
        size = (int(rng.integers(1, 140)), int(rng.integers(1, 140)))
        kept: list[np.ndarray] = []
        for _ in range(rng.integers(0, 6)):
            kept.append(blob(rng, size))
            record = annotation(kept[-1], number, int(rng.choice(FOUR.ids[:3])))
            record["area"] = float(rng.choice([record["area"], 0.0, 1024.0, 9216.0, 500.5]))
            annotations.append({**record, "id": len(annotations) + 1})
        there = {a["category_id"] for a in annotations if a["image_id"] == number}
        images.append(
            {
                "id": number,
                "height": size[0],
                "width": size[1],
                "neg_category_ids": [c for c in FOUR.ids if c not in there and rng.random() < 0.5],
                "not_exhaustive_category_ids": [c for c in FOUR.ids if rng.random() < 0.3],
            }
        )
        for _ in range(rng.integers(0, 9)):
            mask = blob(rng, size) if not kept or rng.random() < 0.3 else kept[rng.integers(len(kept))].copy()
            if rng.random() < 0.5:
                mask = mask & (rng.random(size) < rng.choice([0.5, 0.6, 0.75, 0.9]))
            score = float(rng.choice([0.125, 0.5, 0.5, 0.75, 0.9375]))
            results.append({**annotation(mask, number, int(rng.choice(FOUR.ids))), "score": score})
    if not empty:
        annotations = [a for a in annotations if a["area"]]
        results = [r for r in results if r["area"]]
    for record in results:
        del record["area"]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}, results


def ours(
    dataset: dict[str, Any],
    results: list[dict[str, Any]],
    kind: str,
    classes: Labels = FOUR,
    shard: int = 0,
    **settings: Any,
) -> LvisAveragePrecision:
    """Fed with Instances, images shared out over two shards by the bits of ``shard``."""
    federation = Federation.of_records(dataset["images"], dataset["categories"])
    parts = [LvisAveragePrecision(kind, classes, federation, **settings) for _ in range(2)]  # type: ignore[arg-type]
    for k, image in enumerate(dataset["images"]):
        size = (image["height"], image["width"])
        pair = []
        for records in (results, dataset["annotations"]):
            mine = [a for a in records if a["image_id"] == image["id"]]
            boxes = np.array([a["bbox"] for a in mine], dtype=np.float64).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            masks = [
                Masks.from_rle([a["segmentation"]], size)
                if isinstance(a["segmentation"], dict)
                else Masks.from_polygons([a["segmentation"]], size)
                for a in mine
            ]
            pair.append(
                Instances(
                    size,
                    boxes=boxes,
                    masks=Masks.concatenate(masks) if masks else Masks.empty(size),
                    labels=[classes.index(a["category_id"]) for a in mine],
                    scores=[a.get("score", 1.0) for a in mine],
                    areas=[a["area"] for a in mine] if mine and "area" in mine[0] else None,
                    classes=classes,
                )
            )
        parts[shard >> k & 1].update(*pair, image["id"])
    parts[0].merge(parts[1])
    return parts[0]


def published(dataset: dict[str, Any], results: list[dict[str, Any]], kind: str, limit: int) -> Any:
    """The lvis package's own run, where it is installed; it needs NumPy 1's name for float."""
    lvis = pytest.importorskip("lvis", reason="pip install --no-deps lvis compares with LVIS's own package")
    logging.getLogger("lvis").setLevel(logging.CRITICAL)
    truth = lvis.LVIS.__new__(lvis.LVIS)
    truth.logger = logging.getLogger("lvis.quiet")
    truth.dataset = copy.deepcopy(dataset)
    truth._create_index()
    run = lvis.LVISEval(truth, lvis.LVISResults(truth, copy.deepcopy(results), max_dets=limit), kind)
    run.run()
    return run


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated")
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(["mask", "box"]), st.sampled_from([300, 3]), st.integers(0, 15)
)
def test_random_cases_equal_the_lvis_package(seed: int, kind: str, limit: int, shard: int) -> None:
    dataset, results = case(seed)
    if not results:
        return
    with_boxes = kind == "box" or seed % 2 == 0
    plain = [{k: v for k, v in r.items() if k != "bbox" or with_boxes} for r in results]
    area = {"detection_area": "box"} if with_boxes else {}
    report = ours(dataset, results, kind, max_det=limit, shard=shard, **area).compute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "float", float, raising=False)
        run = published(dataset, plain, "segm" if kind == "mask" else "bbox", limit)
    assert np.array_equal(report.precision, run.eval["precision"])
    assert np.array_equal(report.recall, run.eval["recall"])
    expected = [math.nan if v == -1 else float(v) for v in run.results.values()]
    assert np.array_equal(list(report.scores.values()), expected, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mask", "box"]), st.integers(0, 15))
def test_random_cases_equal_faster_coco_eval(seed: int, kind: str, shard: int) -> None:
    dataset, results = case(seed, empty=False)
    if not results:
        return
    report = ours(dataset, results, kind, shard=shard).compute()
    known = {(a["image_id"], a["category_id"]) for a in dataset["annotations"]}
    known |= {(i["id"], c) for i in dataset["images"] for c in i["neg_category_ids"]}
    plain = [  # it stumbles over an image of which it drops every detection
        {k: v for k, v in r.items() if k != "bbox" or kind == "box"}
        for r in results
        if (r["image_id"], r["category_id"]) in known
    ]
    if not plain:
        return
    truth = COCO(copy.deepcopy(dataset))
    found = truth.loadRes(copy.deepcopy(plain))
    run = COCOeval_faster(
        truth, found, "segm" if kind == "mask" else "bbox", lvis_style=True, print_function=lambda *a: None
    )
    run.params.maxDets = [300]
    run.evaluate()
    run.accumulate()
    assert np.allclose(report.precision, run.eval["precision"][..., -1], rtol=0, atol=1e-12)


def test_real_annotations_score_themselves(data_dir: Path) -> None:
    path = data_dir / "formats" / "lvis" / "lvis_val_100.json"
    dataset = json.loads(path.read_text())
    dataset["images"] = dataset["images"][:20]
    few = {image["id"] for image in dataset["images"]}
    dataset["annotations"] = [a for a in dataset["annotations"] if a["image_id"] in few]
    classes = Labels(
        tuple(c["name"] for c in dataset["categories"]), tuple(c["id"] for c in dataset["categories"])
    )
    results = [{**{k: v for k, v in a.items() if k != "area"}, "score": 0.5} for a in dataset["annotations"]]
    report = ours(dataset, results, "mask", classes).compute()
    assert {name: report[name] for name in ("AP", "APc", "APf", "AR300")} == pytest.approx(
        {"AP": 1.0, "APc": 1.0, "APf": 1.0, "AR300": 1.0}
    )
    assert set(report.per_class) <= set(classes.names)
    federation = Federation.of(path)
    assert federation.absent[266409] == (284, 53, 754, 299, 654, 541, 566)


def one(**changes: Any) -> Instances:
    return Instances((8, 8), boxes=[[0, 0, 4, 4]], classes=FOUR).replace(**changes)


NOTHING = Instances.empty((8, 8), FOUR)


@pytest.mark.parametrize(
    ("absent", "incomplete", "true", "ap"),
    [
        ((), (), [], math.nan),  # nobody knows
        ((3,), (), [], math.nan),  # a false positive, but no truth to average over
        ((), (), [one()], 1.0),
        ((), (7,), [one(), one(labels=[1])], 1.0),
    ],
    ids=["unknown", "absent", "found", "found of two"],
)
def test_table(absent: Any, incomplete: Any, true: list[Instances], ap: float) -> None:
    federation = Federation(dict(zip(FOUR.ids, "rcff", strict=True)), {1: absent}, {1: incomplete})
    metric = LvisAveragePrecision("box", FOUR, federation)
    truth = Instances.concatenate(true) if true else NOTHING
    metric.update(one(scores=[0.9]), truth, 1)
    scores = metric.compute().scores
    assert list(scores) == ORDER
    assert scores["APr"] == pytest.approx(ap, nan_ok=True)


def test_what_was_not_looked_for_is_no_false_positive_and_what_is_absent_is() -> None:
    for absent, incomplete, expected in (((), (), 1.0), ((3,), (), 0.5), ((3,), (3,), 1.0)):
        federation = Federation(dict(zip(FOUR.ids, "rcff", strict=True)), {2: absent}, {2: incomplete})
        metric = LvisAveragePrecision("box", FOUR, federation)
        metric.update(one(scores=[0.5]), one(), 1)
        metric.update(one(scores=[0.9]), NOTHING, 2)
        assert metric.compute()["AP"] == pytest.approx(expected)


def test_no_images_and_the_limit_over_all_classes() -> None:
    federation = Federation(dict(zip(FOUR.ids, "rcff", strict=True)), {}, {})
    report = LvisAveragePrecision("box", FOUR, federation).compute()
    assert report.images == 0
    assert all(math.isnan(v) for v in report.scores.values())
    metric = LvisAveragePrecision("box", FOUR, federation, max_det=1)
    both = Instances.concatenate([one(scores=[0.5]), one(labels=[1], scores=[0.75])])
    metric.update(both, both)
    report = metric.compute()
    assert (report["APr"], report["APc"]) == (0.0, pytest.approx(1.0))
    assert report.notes == ("1 detections beyond the 1 of an image, in 1 images, were not scored",)
    json.dumps([report.to_dict(), report.protocol], allow_nan=False)


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    federation = Federation(dict(zip(FOUR.ids, "rcff", strict=True)), {}, {})
    metric = LvisAveragePrecision("box", FOUR, federation)
    metric.update(one(), one(), 5)
    with pytest.raises(InputError, match="every image once"):
        metric.update(one(), one(), 5)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((4, 4)), one())
    with pytest.raises(InputError, match="no crowd regions"):
        metric.update(one(), one(crowd=[True]))
    with pytest.raises(InputError, match="expected masks"):
        LvisAveragePrecision("mask", FOUR, federation).update(one(), one())
    with pytest.raises(InputError, match="settings"):
        metric.merge(LvisAveragePrecision("box", FOUR, federation, max_det=7))
    with pytest.raises(InputError, match="none for class id 3"):
        LvisAveragePrecision("box", FOUR, Federation({}, {}, {}))
    with pytest.raises(InputError, match="max_det"):
        LvisAveragePrecision("box", FOUR, federation, max_det=0)
    with pytest.raises(InputError, match="JSON file of LVIS"):
        Federation.of(tmp_path / "none.json")
    plain = tmp_path / "coco.json"
    plain.write_text(json.dumps({"images": [{"id": 1}], "categories": [{"id": 1, "name": "x"}]}))
    with pytest.raises(InputError, match="frequency r, c or f"):
        Federation.of(plain)
    plain.write_text(json.dumps({"images": [{"id": 1}], "categories": CATEGORIES}))
    with pytest.raises(InputError, match="neg_category_ids"):
        Federation.of(plain)
