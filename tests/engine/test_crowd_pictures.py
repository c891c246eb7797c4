from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.records import Sample
from delineate.engine.crowd_pictures import PREDICTION_COLORS, TRUTH_COLORS, WorstPictures, draw_judged
from delineate.engine.evaluate import evaluate
from delineate.metrics.crowd import judge_image

TRUE = np.zeros((20, 30), np.int64)
TRUE[2:10, 2:8], TRUE[2:10, 8:14], TRUE[12:18, 20:26] = 1, 2, 3
JOINED = np.where(TRUE == 2, 1, 0) | (TRUE == 1)


def instances(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def samples(number: int) -> list[Sample]:
    pixels = np.full(TRUE.shape, 90, np.uint8)
    return [Sample(pixels, instances(TRUE), f"cells/im{k}.tif", Path(f"im{k}.tif"), k) for k in range(number)]


def tints(picture: Image.Image) -> set[tuple[int, ...]]:
    pixels = np.asarray(picture)
    return {tuple(c) for c in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


@pytest.mark.parametrize(
    "image", [None, np.zeros(TRUE.shape, np.uint16), np.zeros((*TRUE.shape, 3), np.uint8)]
)
def test_each_fate_has_its_color(image: np.ndarray | None) -> None:
    picture = draw_judged(judge_image(instances(JOINED), instances(TRUE)), image)
    half = picture.crop((picture.width // 2 + 2, 0, picture.width, picture.width // 2 * 20 // 30))
    assert {TRUTH_COLORS["merged"], TRUTH_COLORS["missed"], PREDICTION_COLORS["merging"]} <= tints(half)
    assert TRUTH_COLORS["split"] not in tints(half)


def test_no_objects_can_be_drawn_and_another_image_is_refused() -> None:
    judged = judge_image(Instances.empty((8, 8)), Instances.empty((8, 8)))
    assert draw_judged(judged).width > 16
    with pytest.raises(InputError, match="8 x 8"):
        draw_judged(judged, np.zeros((4, 4), np.uint8))


def test_only_the_worst_are_kept_and_none_without_errors(tmp_path: Path) -> None:
    worst = WorstPictures(2)
    truth = instances(TRUE)
    for k, pred in enumerate((truth, truth[:1], truth[:0], truth[:2])):
        worst.add(pred, truth, None, k, f"im{k}.png")
    assert [f.name for f in worst.save(tmp_path / "new")] == ["01_im2.png", "02_im1.png"]
    with Image.open(tmp_path / "new" / "01_im2.png") as picture:
        assert picture.mode == "RGB"
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="expected a folder"):
        worst.save(file)


def test_evaluate_scores_the_crowd_and_draws_it(tmp_path: Path) -> None:
    answers = iter([instances(TRUE), instances(JOINED)])
    report = evaluate(lambda image: next(answers), samples(2), metrics=["crowd"], pictures=tmp_path / "worst")
    scores = report.scores
    assert (scores["crowd/objects"], scores["crowd/matched"], scores["crowd/merged_pairs"]) == (6, 4, 1)
    assert [f.name for f in (tmp_path / "worst").iterdir()] == ["01_im1.png"]
    assert report.to_dict()["details"]["crowd"]["scores"]["merged_pairs"] == 1
    assert report.protocol["crowd"]["taken"] == "detections from 0.5 on"
    assert "crowd/merged_pairs [gap touching],1\n" in report.to_csv()
    assert "Crowd: what became of each true object" in str(report)
    assert "no neighbour within 0.5" in str(report)
    assert report.total.cells is None
    assert "crowd" not in " ".join(evaluate(lambda image: instances(TRUE), samples(1)).scores)


def test_pictures_need_the_crowd_metric_and_boxes_give_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'crowd' among the metrics"):
        evaluate(lambda image: instances(TRUE), samples(1), metrics=["cells"], pictures=tmp_path)
    boxes = instances(TRUE).replace(masks=None)
    report = evaluate(lambda image: boxes, samples(1), metrics=["coco", "cells", "crowd"])
    assert report.total.crowd is None
    assert report.notes == ("the predictions have boxes only: masks, cells and crowd are not scored",)


class Grouped(list[Sample]):
    """Samples with a column, as a dataset has them."""

    @property
    def groups(self) -> dict[str, list[str]]:
        return {"stain": ["ab"[sample.image_id % 2] for sample in self]}


def test_groups_are_scored_apart() -> None:
    answers = iter([instances(TRUE), instances(JOINED), instances(TRUE)])
    report = evaluate(lambda image: next(answers), Grouped(samples(3)), metrics=["crowd"], by="stain")
    merged = {name: scores.flat()["crowd/merged_pairs"] for name, scores in report.groups.items()}
    assert merged == {"a": 0, "b": 1}
    assert report.scores["crowd/merged_pairs"] == 1
