"""The relatives of AP by their names, as `delineate evaluate --metrics` computes them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.dataset import open_dataset
from delineate.engine.evaluate import evaluate

CELLS = Labels(("cell",))


class Sample:
    image, name, image_id = np.zeros((40, 40), np.uint8), "a.png", 3
    truth = Instances(
        (40, 40),
        masks=Masks.from_label_image(np.kron([[1, 0], [0, 2]], np.ones((20, 20), int))),
        classes=CELLS,
    )


def test_names_and_numbers_of_the_report() -> None:
    report = evaluate(
        lambda image: Sample.truth[:1].replace(scores=[0.9]),
        [Sample()],
        metrics=["voc", "boundary", "cityscapes", "aji"],
    )
    expected = {
        "voc/AP50": 0.5,
        "voc/AP50_2007": 6 / 11,
        "voc_mask/AP70": 0.5,
        "boundary/AP": 51 / 101,
        "cityscapes/AP": 0.5,
        "cells/AJI": 0.5,
        "cells/AJI+": 0.5,
        "cells/DQ": 2 / 3,
    }
    assert {name: report.scores[name] for name in expected} == pytest.approx(expected)
    assert report.protocol["voc"]["match"].startswith("IoU >= threshold")
    assert any("no pixel is taken for void" in note for note in report.notes)
    text = str(report)
    assert "boundary" in text.lower()
    json.dumps(report.to_dict(), allow_nan=False)


def test_boxes_alone_leave_voc_by_boxes() -> None:
    class Boxes(Sample):
        truth = Instances((40, 40), boxes=[[0, 0, 20, 20]], classes=CELLS)

    report = evaluate(lambda image: Boxes.truth, [Boxes()], metrics=["voc", "boundary"])
    assert report.scores["voc/AP50"] == 1.0
    assert "boundary/AP" not in report.scores


def test_lvis_reads_what_was_looked_for_from_the_data(tmp_path: Path, data_dir: Path) -> None:
    document = json.loads((data_dir / "formats" / "lvis" / "lvis_val_100.json").read_text())
    document["images"] = document["images"][:6]
    for image in document["images"]:
        del image["file_name"]  # as in LVIS 1.0, which has addresses alone
    few = {image["id"] for image in document["images"]}
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] in few]
    used = {a["category_id"] for a in document["annotations"]}
    document["categories"] = [c for c in document["categories"] if c["id"] in used]
    known = {i for image in document["images"] for i in image["neg_category_ids"]}
    assert known - used, "classes that occur nowhere are absent from the file's categories here"
    truth = tmp_path / "lvis.json"
    truth.write_text(json.dumps(document))
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5}
        for a in document["annotations"]
    ]
    stored = tmp_path / "results.json"
    stored.write_text(json.dumps(results))
    report = evaluate(stored, open_dataset(truth, images=False), metrics=["lvis"])
    scores = {name.split("/")[1]: value for name, value in report.scores.items()}
    assert scores["AP"] == pytest.approx(1.0)
    assert set(scores) >= {"APr", "APc", "APf", "AR300"}


def test_lvis_refuses_other_data() -> None:
    with pytest.raises(InputError, match="JSON file of LVIS"):
        evaluate(lambda image: Sample.truth, [Sample()], metrics=["lvis"])


def test_cityscapes_data_know_their_void(data_dir: Path) -> None:
    folder = data_dir / "formats" / "datumaro_assets" / "cityscapes_dataset" / "dataset"
    data = open_dataset(folder)
    truths = iter([data.truth(k) for k in range(len(data))])
    report = evaluate(lambda image: next(truths), data, metrics=["cityscapes"])
    assert not any("void" in note for note in report.notes)
    assert math.isnan(report.scores["cityscapes/AP"]) or report.scores["cityscapes/AP"] == 1.0
