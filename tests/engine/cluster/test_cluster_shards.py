"""Measuring and scoring by chunks give what one go gives: the work of the workers, without Ray."""

import json
from functools import partial

import numpy as np
import pandas as pd

from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset
from delineate.data.images import write_label_tiff, write_png
from delineate.engine.cluster import chunks
from delineate.engine.cluster import evaluate as of_evaluate
from delineate.engine.cluster import measure as of_measure
from delineate.engine.cluster.evaluate import EvaluateWork, evaluate_cluster
from delineate.engine.cluster.measure import MeasureWork, measure_cluster
from delineate.engine.evaluate import evaluate
from delineate.engine.measure_files import RunSettings, measure_items
from delineate.engine.measure_inputs import chosen_items
from delineate.engine.measure_journal import MeasureJournal


class Bright:
    name = "bright"

    def predict(self, pixels, **_):
        import scipy.ndimage

        found, count = scipy.ndimage.label(np.atleast_3d(pixels).max(axis=2) > 100)
        scores = np.linspace(0.9, 0.4, max(count, 1))[:count]
        return Instances(pixels.shape[:2], scores=scores, masks=Masks.from_label_image(found))


METRICS = (
    *("coco", "cells", "crowd", "size", "errors", "confusion", "thresholds", "calibration", "intervals"),
    *("label_errors", "aji", "voc", "spacenet", "boundary", "cityscapes"),
)


def test_scores_by_chunks_are_those_of_one_go(monkeypatch):
    monkeypatch.setattr(of_evaluate, "CHUNK", 2)
    monkeypatch.setattr(chunks, "PARTS", 1)  # as of runs with more images than that
    opened = partial(open_dataset, "synthetic:crowds?images=5&val=2&size=96")
    data = opened()
    alone = evaluate(Bright(), data, metrics=METRICS, by=None, progress=False)
    work = EvaluateWork(Bright(), opened, {"metrics": METRICS})
    seen = []
    shared = evaluate_cluster(work, None, lambda *n: seen.append(n), seen.append)
    assert seen[0] == (len(data), 0) and sum(seen[1:]) == len(data)
    one, many = json.loads(alone.to_json()), json.loads(shared.to_json())
    for record in (one, many):
        record.pop("seconds", None)
    assert one == many


def test_records_by_chunks_are_those_of_one_go(tmp_path, monkeypatch):
    monkeypatch.setattr(of_measure, "CHUNK", 2)
    monkeypatch.setattr(chunks, "PARTS", 1)
    (tmp_path / "labels").mkdir()
    random = np.random.default_rng(0)
    for k in range(5):
        labels = np.zeros((40, 50), np.uint16)
        for i in range(k):
            y, x = random.integers(0, 34, 2)
            labels[y : y + 6, x : x + 6] = i + 1
        write_label_tiff(tmp_path / "labels" / f"{k}.tif", labels)
    write_png(tmp_path / "labels" / "5.png", np.ones((4, 4), np.uint8))
    (tmp_path / "labels" / "6.tif").write_bytes(b"II*\0broken")
    settings = RunSettings(pixel_size=0.5)
    inputs = ((str(tmp_path / "labels"),), {}, "", 0.5, "")
    items = chosen_items(*inputs)
    with MeasureJournal(tmp_path / "one", {}) as journal:
        alone = measure_items(items, settings, journal)
    told = []
    with MeasureJournal(tmp_path / "two", {}) as journal:
        work = MeasureWork(*inputs, settings)
        shared = measure_cluster(work, items, None, journal, lambda name, row: told.append(name))
    assert sorted(told) == sorted(item.name for item in items)
    pd.testing.assert_frame_equal(shared.objects, alone.objects)
    pd.testing.assert_frame_equal(shared.images, alone.images)
    assert [name for name, _ in shared.failed] == [name for name, _ in alone.failed] == ["6.tif"]
    with MeasureJournal(tmp_path / "two", {}, resume=True) as journal:
        monkeypatch.setattr(of_measure, "run_here", lambda work, chunks: iter(()))  # nothing is done again
        again = measure_cluster(MeasureWork(*inputs, settings), items[:5], None, journal)
    assert len(again.objects) == len(alone.objects[alone.objects["image"].isin([i.name for i in items[:5]])])
