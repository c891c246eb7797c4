"""Comparing models: a second's training on squares, and results made by hand."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import delineate as dl
from delineate.core.errors import InputError
from delineate.engine.compare_models import compare, estimate
from delineate.engine.compare_result import Candidate, ModelComparison
from delineate.engine.compare_runs import ready_made, share_of, splits_of
from delineate.engine.family_settings import BY_BUILDER, family_settings
from delineate.metrics.paired_test import Difference
from delineate.models.zoo import ZOO, build

BOTH = ["center_offset", "nuclei"]
SMALL = ["augment.crop=32", "train.batch_size=2", "train.threads=1"]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six grey images of one bright square each, four to learn from."""
    folder = tmp_path_factory.mktemp("squares")
    rows = ["id,split"]
    for i in range(6):
        labels = np.zeros((48, 48), np.uint16)
        labels[8 + i : 30 + i, 10:34] = 1
        for name, pixels in (("images", np.uint8(40 + 150 * labels)), ("labels", labels)):
            (folder / name).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / name / f"{i}.png"), pixels)
        rows.append(f"{i},{'train' if i < 4 else 'val'}")
    (folder / "split.csv").write_text("\n".join(rows))
    return folder


def test_models_are_trained_once_and_scored_alike(squares: Path, tmp_path: Path) -> None:
    told: list[str] = []
    first = compare(
        squares,
        ["center_offset", "nuclei"],
        1 / 60,
        settings=SMALL,
        out=tmp_path,
        quiet=True,
        say=told.append,
    )
    trained, ready = first.candidates
    assert trained.trained and trained.steps >= 1 and trained.images == 4 and trained.minutes > 0
    assert not ready.trained and ready.minutes == 0 and ready.parameters > 0 and ready.ms > 0
    assert first.scored == 2 and any("center_offset" in line for line in told)
    for name in ("comparison.json", "comparison.csv", "comparison.txt", "comparison.png"):
        assert (tmp_path / name).stat().st_size > 100, name
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert [c["name"] for c in stored["candidates"]] == ["center_offset", "nuclei"]
    report = dl.evaluate(
        tmp_path / "nuclei" / "predictions.json", dl.open_dataset(squares, split="val"), progress=False
    )
    assert report.scores["mask/AP"] == pytest.approx(ready.score, nan_ok=True)
    stamp = (tmp_path / "center_offset" / "train" / "last.safetensors").stat().st_mtime_ns
    again = compare(squares, BOTH, 1 / 60, settings=SMALL, out=tmp_path, quiet=True)
    assert (tmp_path / "center_offset" / "train" / "last.safetensors").stat().st_mtime_ns == stamp
    assert again.candidates == first.candidates or again.to_dict() == first.to_dict()
    with pytest.raises(InputError, match=r"expected runs with budget = 1, got some with .*another --out"):
        compare(squares, ["nuclei"], 1, settings=SMALL, out=tmp_path, quiet=True)


def test_folds_score_every_image_once(squares: Path, tmp_path: Path) -> None:
    data = dl.open_dataset(squares)
    splits = splits_of(data, 3, 0)
    assert sorted(i for s in splits for i in s.scored.image_ids) == sorted(data.image_ids)
    for split in splits:
        assert not set(split.training.image_ids) & set(split.scored.image_ids)
        assert len(split.training) + len(split.scored) == len(data)
    found = compare(data, ["nuclei"], 1, folds=3, out=tmp_path, quiet=True)
    assert found.scored == 6 and found.folds == 3
    rows = json.loads((tmp_path / "nuclei" / "predictions.json").read_text())
    assert {row["image_id"] for row in rows} <= set(data.image_ids)


def test_a_smaller_share_is_part_of_a_larger(squares: Path) -> None:
    data = dl.open_dataset(squares, split="train")
    parts = [set(share_of(data, fraction, 0).image_ids) for fraction in (0.01, 0.25, 0.5, 1)]
    assert [len(part) for part in parts] == [1, 1, 2, 4]
    assert all(a <= b for a, b in pairwise(parts))


def test_what_needs_no_training(squares: Path, tmp_path: Path) -> None:
    data = dl.open_dataset(squares)
    assert ready_made("nuclei", data) and not ready_made("center_offset", data)
    assert not ready_made("maskrcnn_resnet50_fpn_coco", data)  # knows other classes: its weights are a start
    assert estimate(["nuclei", "yolact"], data, 30, 3, 2).startswith("6 trainings of 30 min: about 3.0 h")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": []}, "one name at least"),
        ({"models": ["yolo_seg_x"]}, "expected a name of the zoo"),
        ({"budget": 0}, "minutes above 0"),
        ({"fractions": [0.0]}, "above 0, at most 1"),
        ({"folds": 1}, "0 or 2 to 6"),
        ({"folds": 7}, "0 or 2 to 6"),
        ({"metric": "count/MAE"}, "mask/AP"),
    ],
)
def test_bad_settings(squares: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    given: dict[str, object] = {"models": ["nuclei"], "budget": 1.0} | changes
    with pytest.raises(InputError, match=message):
        compare(squares, out=tmp_path, quiet=True, **given)  # type: ignore[arg-type]


def test_a_dataset_without_splits(squares: Path, tmp_path: Path) -> None:
    data = dl.open_dataset(squares)
    bare = dataclasses.replace(
        data, records=tuple(dataclasses.replace(record, groups={}) for record in data.records)
    )
    with pytest.raises(InputError, match=r"expected splits 'train' and 'val', got no splits; give --folds 3"):
        compare(bare, ["nuclei"], 1, out=tmp_path, quiet=True)


def candidate(name: str, score: float, ms: float, fraction: float = 1.0, images: int = 100) -> Candidate:
    return Candidate(
        name, name.split(" ")[0], fraction, True, images, 5.0, 10, 1000, ms,
        score, score - 0.02, score + 0.02, {"mask/AP50": score},
    )  # fmt: skip


def comparison(*candidates: Candidate, **p: float) -> ModelComparison:
    best = max(candidates, key=lambda c: c.score)
    differences = {
        name: Difference(c.score, best.score, best.score - c.score, 0.0, 0.1, p[name])
        for c in candidates
        if (name := c.name) in p
    }
    return ModelComparison("data", "mask/AP", 5.0, 0, 10, candidates, differences)


def test_a_faster_model_that_may_be_as_good_is_recommended() -> None:
    slow, quick, poor = candidate("slow", 0.50, 90), candidate("quick", 0.49, 9), candidate("poor", 0.2, 3)
    found = comparison(slow, quick, poor, quick=0.4, poor=0.001)
    assert found.recommended == quick and "may be chance (p = 0.4)" in found.reason
    sure = comparison(slow, quick, poor, quick=0.01, poor=0.001)
    assert sure.recommended == slow and "the best mask/AP" in sure.reason
    assert comparison(slow).recommended == slow
    assert "* quick" in str(found) and "* slow" in str(sure)


def test_nothing_learnt_recommends_nothing() -> None:
    found = comparison(candidate("a", 0.001, 5), candidate("b", 0.0, 4), b=0.9)
    assert found.recommended is None and "nothing was learnt" in found.reason
    undefined = comparison(candidate("a", float("nan"), 5))
    assert undefined.recommended is None
    assert undefined.to_dict()["candidates"][0]["score"] is None


def test_what_more_labels_bring(tmp_path: Path) -> None:
    rows = [candidate("a (25 %)", 0.2, 5, 0.25, 25), candidate("a", 0.5, 5), candidate("b", 0.4, 3)]
    found = comparison(*rows, b=0.01)
    assert [c.images for c in found.curves["a"]] == [25, 100] and list(found.curves) == ["a"]
    assert found.gains == ["a: from 25 to 100 images mask/AP changed by +0.300; more labels should help."]
    assert found.plot(tmp_path / "chart.png")[0].stat().st_size > 1000


@pytest.mark.parametrize(
    ("before", "after", "advice"),
    [
        (0.2, 0.5, "more labels should help"),
        (0.4, 0.41, "too close to tell"),
        (0.5, 0.2, "the time is too short for so many"),
        (0.0, 0.001, "nothing was learnt yet"),
        (0.0, float("nan"), "nothing was learnt yet"),
    ],
)
def test_what_is_said_of_more_labels(before: float, after: float, advice: str) -> None:
    found = comparison(candidate("a (25 %)", before, 5, 0.25, 25), candidate("a", after, 5))
    (line,) = found.gains
    assert advice in line


def test_family_settings_fit_their_builders() -> None:
    """Every model of the zoo that is trained takes the settings of its family."""
    tiny = {"backbone": "resnet18", "channels": 64, "encoder_layers": 1, "decoder_layers": 1}
    for name in ("mask2former", "maskdino", "dimaskdino"):
        settings = {
            key.removeprefix("model.settings."): value
            for key, value in family_settings(name)
            if key.startswith("model.settings.")
        }
        assert settings["frozen_norms"] is False
        assert build(name, **tiny, **settings).settings["frozen_norms"] is False
    used = {tuple(family_settings(name)) for name in ZOO}
    assert {tuple(values.items()) for values in BY_BUILDER.values()} <= used
