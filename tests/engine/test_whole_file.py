"""A results file scored at once gives the numbers that its entries give one by one, and pycocotools'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core import rle
from delineate.data.formats import coco
from delineate.data.formats.coco_results_table import read_table
from delineate.engine import predictions
from delineate.engine.evaluate import evaluate
from delineate.engine.report import Report

SIZE = (9, 12)
RECT = st.tuples(st.integers(0, 10), st.integers(0, 7), st.integers(1, 12), st.integers(1, 9))
OBJECT = st.tuples(RECT, st.sampled_from([3, 7]), st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0]), st.booleans())


def mask(rect: tuple[int, int, int, int], hole: bool) -> dict[str, Any]:
    x, y, width, height = rect
    dense = np.zeros(SIZE, bool)
    dense[y : y + height, x : x + width] = True
    dense[y + 1 : y + height - 1, x + 1 : x + width - 1] &= not hole
    return rle.encode(dense)


def truth_of(images: list[list[Any]]) -> dict[str, Any]:
    rows = []
    for number, objects in enumerate(images, 1):
        for (x, y, width, height), category, _, crowd in objects:
            right, bottom = min(x + width, SIZE[1]), min(y + height, SIZE[0])
            rows.append({
                "id": len(rows) + 1, "image_id": number, "category_id": category, "iscrowd": int(crowd),
                "area": (right - x) * (bottom - y), "bbox": [x, y, right - x, bottom - y],
                "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
            })  # fmt: skip
    listed = [
        {"id": k, "file_name": f"{k}.png", "height": SIZE[0], "width": SIZE[1]}
        for k in range(1, len(images) + 1)
    ]
    classes = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
    return {"images": listed, "annotations": rows, "categories": classes}


def results_of(images: list[list[Any]], boxed: bool) -> list[dict[str, Any]]:
    rows = []
    for number, objects in enumerate(images, 1):
        for rect, category, score, hole in objects:
            row = {
                "image_id": number,
                "category_id": category,
                "score": score,
                "segmentation": mask(rect, hole),
            }
            rows.append({**row, "bbox": [float(v) for v in rect]} if boxed else row)
    return rows


def both(
    folder: Path, truth: Any, results: Any, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> list[Report]:
    """Scored at once, and with its entries one by one."""
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    data = coco.read(folder / "truth.json", images=False)
    found = []
    for quick in (True, False):
        with monkeypatch.context() as patch:
            if not quick:
                patch.setattr(predictions, "read_plain_results", lambda *_: None)
            found.append(evaluate(folder / "results.json", data, progress=False, **more))
    return found


def same(reports: list[Report]) -> None:
    first, second = ({**r.to_dict(), "seconds": 0} for r in reports)
    assert json.dumps(first) == json.dumps(second)
    for kind in ("mask", "box"):
        for name in ("precision", "recall"):
            np.testing.assert_array_equal(*[getattr(report.total[kind], name) for report in reports])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.lists(OBJECT, max_size=4), st.lists(OBJECT, max_size=5)), min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, 1, 2, 300]),
)
def test_at_once_equals_one_by_one(
    tmp_path_factory: pytest.TempPathFactory, images: list[Any], boxed: bool, max_det: int | None
) -> None:
    truth, results = truth_of([true for true, _ in images]), results_of([found for _, found in images], boxed)
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("whole")
        same(both(folder, truth, results, patch, max_det=max_det, metrics=["coco", "cells"]))


def test_real_objects(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_dir / "formats" / "coco_eval" / "cocoapi"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    results = json.loads((folder / "instances_val2014_fakesegm100_results.json").read_text())
    same(both(tmp_path, truth, results, monkeypatch, metrics=["coco"]))


def test_the_careful_reader_takes_what_is_not_plain(tmp_path: Path) -> None:
    sizes = {1: SIZE}
    plain = results_of([[((1, 1, 4, 4), 3, 0.5, False)]], boxed=False)[0]
    path = tmp_path / "results.json"

    def table(rows: object) -> Any:
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows))
        return read_table(path, sizes, {(1, 3)})

    found = table([plain, plain])
    assert (len(found), found.areas.tolist(), found.boxes[0].tolist()) == (2, [16, 16], [1, 1, 4, 4])
    assert (found.kept.tolist(), found.counts) == ([0, 1], (plain["segmentation"]["counts"],) * 2)
    assert len(table(json.dumps([plain] * 3, indent=1))) == 3
    mask_of = plain["segmentation"]
    other: dict[str, Any] = {
        "no list": {}, "nothing": [], "empty": "", "cut": "[" + json.dumps(plain), "more": "[] 1",
        "image": [{**plain, "image_id": 2}], "score": [{**plain, "score": 1.5}],
        "no score": [{**plain, "score": None}],
        "size": [{**plain, "segmentation": {**mask_of, "size": [12, 9]}}],
        "short": [{**plain, "segmentation": {**mask_of, "counts": mask_of["counts"][:-1]}}],
        "negative": [{**plain, "segmentation": {**mask_of, "counts": rle_text([10, 20, -5, 83])}}],
        "polygon": [{**plain, "segmentation": [[1, 1, 5, 1, 5, 5]]}],
        "counts": [{**plain, "segmentation": {**mask_of, "counts": [8, 100]}}],
        "box": [{**plain, "bbox": [1, 1, -2, 2]}], "some boxes": [plain, {**plain, "bbox": [1, 1, 2, 2]}],
        "neither": [{**plain, "segmentation": None}], "huge": [{**plain, "category_id": 2**63}],
    }  # fmt: skip
    for name, rows in other.items():
        assert table(rows) is None, name


def rle_text(counts: list[int]) -> str:
    return rle.write(np.array(counts), np.array([0, len(counts)]))[0]


def test_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are cut between entries alone, whatever stands inside of them."""
    rows = results_of([[((k % 8, k % 5, 3, 3), 3, k / 40, False) for k in range(40)]], boxed=False)
    for k, row in enumerate(rows):
        row["note"] = {"text": "}, {" * (k % 3), "list": [{"a": 1}, {"b": "]"}]}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    whole = read_table(path, {1: SIZE})
    assert whole is not None
    for piece in (64, 100, 333, 1000):
        monkeypatch.setattr("delineate.data.formats.coco_results_table.PIECE", piece)
        found = read_table(path, {1: SIZE})
        assert found is None or found.scores.tolist() == whole.scores.tolist()
