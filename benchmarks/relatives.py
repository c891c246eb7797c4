"""Other benchmarks' numbers against the benchmarks' own programs: `benchmarks/relatives.py --data FOLDER`.

Predictions with known faults (`benchmarks/perturbed.py`) on `coco_subset` (boundary AP, VOC) and on LVIS's
annotations, and drawn cells on 512 x 512 images (Cityscapes, AJI). Ours is fed with Instances, the peers with
what they read; reading is not counted for either. CPU seconds of one run each (`process_time`), and the
largest difference of all numbers. Run it pinned, on one thread:
`taskset -c 0 env OMP_NUM_THREADS=1 RAYON_NUM_THREADS=1 python benchmarks/relatives.py --data FOLDER`.
The peers: `pip install faster-coco-eval mean-average-precision` and
`pip install --no-deps lvis cityscapesscripts pyquaternion`.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from perturbed import perturbed
from PIL import Image

from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset
from delineate.metrics.aji import AggregatedJaccard
from delineate.metrics.boundary_ap import BoundaryAveragePrecision
from delineate.metrics.cityscapes_ap import CityscapesAveragePrecision
from delineate.metrics.federation import Federation
from delineate.metrics.lvis_ap import LvisAveragePrecision
from delineate.metrics.voc_ap import VocAveragePrecision

Pairs = list[tuple[Instances, Instances, int]]
CITY = Labels(("car",), ids=(26,))


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        result = run()
    return result, time.process_time() - begin


def fed(metric: Any, pairs: Pairs) -> Any:
    for pair in pairs:
        metric.update(*pair)
    return metric.compute()


def pairs_of(path: Path, split: str | None = None) -> tuple[Any, Pairs]:
    data = open_dataset(path, split=split, images=False)
    rng = np.random.default_rng(0)
    truths = [data.truth(k) for k in range(len(data))]
    made = [perturbed(t, rng, 0.3) for t in truths]
    ids = [record.image_id for record in data.records]
    # LVIS knows no crowds; here no peer needs them
    return data, [(p, t[~t.crowd], i) for p, t, i in zip(made, truths, ids, strict=True)]


def as_coco(pairs: Pairs, classes: Labels) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Truth and results as the peers read them; results without boxes, whose areas some would take."""
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for pred, true, image in pairs:
        truth += true.to_coco(image, first_id=len(truth) + 1)
        found += [{k: v for k, v in r.items() if k != "bbox"} for r in pred.to_coco(image)]
    for record in truth:
        record |= {"iscrowd": 0, "ignore": 0}
    images = [{"id": i, "height": t.size[0], "width": t.size[1]} for _, t, i in pairs]
    categories = [{"id": i, "name": n} for i, n in zip(classes.ids, classes.names, strict=True)]
    return {"images": images, "annotations": truth, "categories": categories}, found


def boundary(folder: Path) -> Iterator[tuple[str, float, float, float, str]]:
    from faster_coco_eval import COCO, COCOeval_faster

    data, pairs = pairs_of(folder / "coco_subset", "val")
    truth, found = as_coco(pairs, data.classes)
    ours, seconds = timed(lambda: fed(BoundaryAveragePrecision(data.classes), pairs))
    loaded = COCO(truth)
    results = loaded.loadRes(found)

    def peer() -> Any:
        run = COCOeval_faster(loaded, results, "boundary", print_function=print, boundary_cpu_count=1)
        run.evaluate()
        run.accumulate()
        run.summarize()
        return run.stats[:12]

    theirs, peer_seconds = timed(peer)
    yield "boundary AP", seconds, peer_seconds, float(np.abs(ours.stats - theirs).max()), "faster-coco-eval"


def voc(folder: Path) -> Iterator[tuple[str, float, float, float, str]]:
    from mean_average_precision import MetricBuilder

    data, pairs = pairs_of(folder / "coco_subset", "val")
    ranks = iter(np.random.default_rng(1).permutation(sum(len(p) for p, _, _ in pairs)) / 4096)
    pairs = [(p.replace(scores=[next(ranks) for _ in range(len(p))]), t, i) for p, t, i in pairs]  # no ties
    metric = VocAveragePrecision("box", data.classes, rules="python", pixels="inclusive")
    ours, seconds = timed(lambda: fed(metric, pairs))

    def peer() -> Any:
        port = MetricBuilder.build_evaluation_metric(
            "map_2d", async_mode=False, num_classes=len(data.classes)
        )
        for p, t, _ in pairs:
            zero = np.zeros((len(t), 2))
            true = np.column_stack([t.boxes, t.labels, zero])
            port.add(np.column_stack([p.boxes, p.labels, p.scores]), true)
        return port.value(iou_thresholds=0.5)[0.5]

    theirs, peer_seconds = timed(peer)
    rows = list(ours.per_class.values())
    apart = max(abs(r["AP50"] - float(theirs[k]["ap"])) for k, r in enumerate(rows) if r["truths"])
    yield "VOC AP of boxes", seconds, peer_seconds, apart, "mean-average-precision (float32)"


def lvis(folder: Path) -> Iterator[tuple[str, float, float, float, str]]:
    import lvis as package

    setattr(np, "float", float)  # noqa: B010  # NumPy 1's name, which the package asks for
    logging.disable(logging.WARNING)
    path = folder / "formats" / "lvis" / "lvis_val_100.json"
    data, pairs = pairs_of(path)
    document = json.loads(path.read_text())
    truth, found = as_coco(pairs, data.classes)
    truth |= {"images": document["images"], "categories": document["categories"]}
    metric = LvisAveragePrecision("mask", data.classes, Federation.of(path))
    ours, seconds = timed(lambda: fed(metric, pairs))
    loaded = package.LVIS.__new__(package.LVIS)
    loaded.logger, loaded.dataset = logging.getLogger("lvis"), truth
    loaded._create_index()
    results = package.LVISResults(loaded, copy.deepcopy(found))

    def peer() -> Any:
        run = package.LVISEval(loaded, results, "segm")
        run.run()
        return run.results

    theirs, peer_seconds = timed(peer)
    apart = np.abs(np.nan_to_num(list(ours.scores.values()), nan=-1) - list(theirs.values())).max()
    yield "LVIS AP of masks", seconds, peer_seconds, float(apart), "lvis"


def cells(count: int = 4, side: int = 512) -> Pairs:
    """Round cells that touch, and predictions a little off."""
    rng = np.random.default_rng(2)
    pairs: Pairs = []
    for image in range(count):
        pictures = np.zeros((2, side, side), np.int32)
        middles = np.mgrid[16:side:32, 16:side:32].reshape(2, -1).T
        for k, middle in enumerate(middles, start=1):
            radius = rng.uniform(8, 18)
            for picture, blur in zip(pictures, (0, 2), strict=True):
                y, x = middle + rng.normal(0, blur, 2)
                r = radius * (1 + blur * rng.normal(0, 0.05))
                top, left = max(0, int(y) - 24), max(0, int(x) - 24)
                part = picture[top : int(y) + 24, left : int(x) + 24]
                rows, columns = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
                part[(rows - y) ** 2 + (columns - x) ** 2 < r * r] = k
        true, found = (
            Instances((side, side), masks=Masks.from_label_image(p), classes=CITY) for p in pictures
        )
        pairs.append((found.replace(scores=rng.integers(1, 99, len(found)) / 128), true, image))
    return pairs


def cityscapes() -> Iterator[tuple[str, float, float, float, str]]:
    from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling as tool
    from cityscapesscripts.evaluation.instance import Instance

    setattr(np, "in1d", np.isin)  # noqa: B010  # NumPy has dropped the name
    pairs = cells()
    ours, seconds = timed(lambda: fed(CityscapesAveragePrecision(CITY), pairs))
    args = tool.args
    args.quiet, args.instLabels = True, ["car"]
    store: dict[str, Any] = {}
    tool.Image = SimpleNamespace(open=store.__getitem__)

    def peer() -> Any:
        matches = {}
        for found, true, image in pairs:
            ids = np.where((painted := true.to_label_image()) > 0, 25_999 + painted, 7)
            info = {}
            for k, (mask, score) in enumerate(zip(found.masks.dense(), found.scores.tolist(), strict=True)):
                store[f"{k}"] = Image.fromarray(mask.astype(np.uint8) * 255)
                info[f"{k}"] = {"labelID": 26, "conf": score}
            truth = {"car": [Instance(ids, v).toDict() for v in np.unique(ids) if v >= 1000]}
            matched, pred = tool.assignGt2Preds(truth, ids, info, args)
            matches[image] = {"groundTruth": matched, "prediction": pred}
        return tool.computeAverages(tool.evaluateMatches(matches, args), args)["allAp"]

    theirs, peer_seconds = timed(peer)
    yield "Cityscapes AP", seconds, peer_seconds, abs(ours["AP"] - theirs), "cityscapesscripts"


def aji() -> Iterator[tuple[str, float, float, float, str]]:
    pairs = cells(40)
    ours, seconds = timed(lambda: fed(AggregatedJaccard(CITY), pairs))
    yield f"AJI, AJI+, PQ (AJI {ours.scores['AJI']:.3f})", seconds, float("nan"), float("nan"), ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default=os.environ.get("DELINEATE_DATA", ""), help="folder of coco_subset, formats"
    )
    folder = Path(parser.parse_args().data)
    warnings.simplefilter("ignore")
    print(f"{'':28} {'ours s':>8} {'peer s':>8} {'difference':>11}")
    for runs in (boundary(folder), voc(folder), lvis(folder), cityscapes(), aji()):
        for name, seconds, peer, apart, who in runs:
            against = f"{peer:8.2f} {apart:11.1e}  {who}" if who else ""
            print(f"{name:28} {seconds:8.2f} {against}", flush=True)


if __name__ == "__main__":
    main()
