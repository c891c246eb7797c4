from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.core.panoptic import Panoptic
from delineate.metrics.cityscapes_ap import CityscapesAveragePrecision

THREE = Labels(("road", "car", "truck"), ids=(7, 26, 27), things=(False, True, True))
Found = list[tuple[int, float, np.ndarray]]
"""Class id, confidence, mask."""


@st.composite
def case(draw: st.DrawFn) -> list[tuple[np.ndarray, Found]]:
    """Images of ids as Cityscapes has them, with void, groups and small objects; predictions that overlap."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = []
    for _ in range(rng.integers(1, 4)):
        size = (int(rng.integers(8, 40)), int(rng.integers(8, 40)))
        ids = np.full(size, rng.choice([0, 7]), np.int32)
        for value in rng.choice([0, 1, 26, 27, 26000, 26001, 26002, 27000, 27001, 29], rng.integers(0, 8)):
            rectangle(rng, ids, int(value))
        found: Found = []
        for _ in range(rng.integers(0, 8)):
            mask = np.zeros(size, np.int32)
            rectangle(rng, mask, 1)
            value = int(rng.choice(np.unique(ids)))
            if value >= 1000 and rng.random() < 0.8:
                mask = (ids == value).astype(np.int32)
                rectangle(rng, mask, int(rng.integers(0, 2)), 6)
            label = value // 1000 if value >= 26000 else int(rng.choice([7, 26, 27]))
            found.append((label, float(rng.choice([0.125, 0.5, 0.5, 0.75])), mask > 0))
        images.append((ids, found))
    return images


def rectangle(rng: np.random.Generator, image: np.ndarray, value: int, most: int = 26) -> None:
    y, x = rng.integers(0, image.shape[0]), rng.integers(0, image.shape[1])
    image[y : y + rng.integers(1, most), x : x + rng.integers(1, most)] = value


def as_instances(ids: np.ndarray, found: Found) -> tuple[Instances, Instances, Masks]:
    """Predictions, true objects and void of one image."""
    values = [int(v) for v in np.unique(ids) if v >= 26000 or v in (26, 27)]
    truth = Instances(
        ids.shape,
        masks=Masks.from_dense(np.array([ids == v for v in values], bool).reshape(-1, *ids.shape)),
        labels=[THREE.index(v // 1000 if v >= 1000 else v) for v in values],
        crowd=[v < 1000 for v in values],
        classes=THREE,
    )
    pred = Instances(
        ids.shape,
        masks=Masks.from_dense(np.array([m for _, _, m in found], bool).reshape(-1, *ids.shape)),
        labels=[THREE.index(label) for label, _, _ in found],
        scores=[score for _, score, _ in found],
        classes=THREE,
    )
    return pred, truth, Masks.from_dense(np.isin(ids, (0, 1, 29))[None])


def ours(images: list[tuple[np.ndarray, Found]], smallest: int, cut: int = 0) -> CityscapesAveragePrecision:
    parts = [CityscapesAveragePrecision(THREE, smallest=smallest) for _ in range(2)]
    for k, image in enumerate(images):
        pred, truth, void = as_instances(*image)
        parts[cut >> k & 1].update(pred, truth, k, void=void)
    parts[1].merge(parts[0])
    return parts[1]


def by_definition(
    images: list[tuple[np.ndarray, Found]], label: int, threshold: float, smallest: int
) -> float:
    """The rules in words, prediction by prediction, on whole pictures."""
    entries: list[tuple[float, bool]] = []
    missed = objects = predictions = 0
    for ids, found in images:
        mine = [(score, mask) for own, score, mask in found if own == label and mask.any()]
        predictions += len(mine)
        own = [v for v in np.unique(ids).tolist() if label in (v, v // 1000)]
        counted = [v for v in own if v >= 1000 and (ids == v).sum() >= smallest]
        objects += len(counted)

        def enough(value: int, mask: np.ndarray, ids: np.ndarray = ids) -> bool:
            return bool((mask & (ids == value)).sum() / (mask | (ids == value)).sum() > threshold)

        for value in counted:
            scores = sorted((score for score, mask in mine if enough(value, mask)), reverse=True)
            entries += [(score, rank == 0) for rank, score in enumerate(scores)]
            missed += not scores
        for score, mask in mine:
            if not any(enough(value, mask) for value in own):
                ignored = int((mask & np.isin(ids, (0, 1, 29))).sum())
                for value in own:
                    shared = int((mask & (ids == value)).sum())
                    ignored += shared * (value < 1000) + shared * int((ids == value).sum() < smallest)
                if ignored / mask.sum() <= threshold:
                    entries.append((score, False))
    if not objects:
        return math.nan
    levels = sorted({score for score, _ in entries})
    curve = []
    for level in levels:
        above = [right for score, right in entries if score >= level]
        all_true = sum(right for _, right in entries)
        curve.append((sum(above) / len(above), sum(above) / max(all_true + missed, 1)))
    points = [*curve, (1.0, 0.0)]
    padded = [points[0][1], *(r for _, r in points), 0.0]
    return sum(p * (padded[k] - padded[k + 2]) / 2 for k, (p, _) in enumerate(points)) if predictions else 0.0


def published(images: list[tuple[np.ndarray, Found]], smallest: int) -> tuple[np.ndarray, dict[str, Any]]:
    """cityscapesscripts' own run, where it is installed; it needs a name that NumPy has dropped."""
    reason = "pip install --no-deps cityscapesscripts pyquaternion compares with Cityscapes' own script"
    tool = pytest.importorskip(
        "cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling", reason=reason, exc_type=ImportError
    )
    from cityscapesscripts.evaluation.instance import Instance

    store: dict[str, np.ndarray] = {}
    args = tool.args
    args.quiet, args.minRegionSizes = True, np.array([smallest, 1000, 1000])
    args.instLabels = ["car", "truck"]
    matches = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "in1d", np.isin, raising=False)
        patch.setattr(
            tool,
            "Image",
            SimpleNamespace(open=lambda name: Image.fromarray(store[name].astype(np.uint8) * 255)),
        )
        for k, (ids, found) in enumerate(images):
            truth: dict[str, list[Any]] = {"car": [], "truck": []}
            for value in np.unique(ids):
                one = Instance(ids, value)
                name = tool.id2label[one.labelID].name
                if name in truth:
                    truth[name].append(one.toDict())
            info = {}
            for label, score, mask in found:
                store[f"{k} {len(store)}"] = mask
                info[f"{k} {len(store) - 1}"] = {"labelID": label, "conf": score}
            true, pred = tool.assignGt2Preds(truth, ids, info, args)
            matches[str(k)] = {"groundTruth": true, "prediction": pred}
        ap = tool.evaluateMatches(matches, args)
    with np.errstate(invalid="ignore"):
        return ap[0], tool.computeAverages(ap, args) if not np.isnan(ap).all() else {}


@settings(max_examples=40, deadline=None)
@given(case(), st.sampled_from([0, 20, 100]), st.integers(0, 7))
def test_random_cases_follow_the_definition(images: Any, smallest: int, cut: int) -> None:
    report = ours(images, smallest, cut).compute()
    for row, label in enumerate((26, 27)):
        expected = [by_definition(images, label, t, smallest) for t in report.thresholds]
        assert report.ap[row] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert json.dumps(ours(images, smallest).compute().to_dict()) == json.dumps(report.to_dict())


@settings(max_examples=40, deadline=None)
@given(case(), st.sampled_from([0, 20, 100]))
def test_random_cases_equal_cityscapesscripts(images: Any, smallest: int) -> None:
    report = ours(images, smallest).compute()
    try:
        ap, averages = published(images, smallest)
    except IndexError:  # it stops where no prediction counts
        return
    assert np.array_equal(report.ap, ap, equal_nan=True)
    if averages:
        assert report.scores == {"AP": averages["allAp"], "AP50%": averages["allAp50%"]}
        for name, row in averages["classes"].items():
            assert report.per_class[name]["AP"] == pytest.approx(row["ap"], abs=0, nan_ok=True)


def test_segments_tell_what_is_void() -> None:
    picture = np.zeros((20, 20), np.int32)
    picture[:10] = 1
    truth = Panoptic(picture, labels=[1], classes=THREE)
    mask = np.zeros((2, 20, 20), bool)
    mask[0, :10], mask[1, 12:] = True, True
    pred = Instances((20, 20), masks=Masks.from_dense(mask), labels=[1, 1], scores=[0.5, 0.9], classes=THREE)
    metric = CityscapesAveragePrecision(THREE)
    metric.update(pred, truth)
    assert metric.compute()["AP"] == 1.0
    metric = CityscapesAveragePrecision(THREE)
    metric.update(pred, truth.to_instances())  # nobody knows that it is void
    assert metric.compute()["AP"] == 0.25


SQUARE = np.pad(np.full((10, 10), 26000, np.int32), 2, constant_values=7)
WHOLE = SQUARE > 1000


@pytest.mark.parametrize(
    ("ids", "found", "ap"),
    [
        (SQUARE * 0 + 7, [], math.nan),
        (SQUARE * 0 + 7, [(26, 0.5, WHOLE)], math.nan),
        (SQUARE, [], 0.0),
        (SQUARE, [(26, 0.5, WHOLE)], 1.0),
        (SQUARE, [(27, 0.5, WHOLE)], 0.0),
        (SQUARE, [(26, 0.5, WHOLE & False)], 0.0),
        (np.where(SQUARE > 1000, SQUARE, 26), [(26, 0.5, WHOLE), (26, 0.9, ~WHOLE)], 1.0),  # on a group
    ],
    ids=["nothing", "only found", "only true", "perfect", "other class", "empty mask", "group"],
)
def test_table(ids: np.ndarray, found: Found, ap: float) -> None:
    report = ours([(ids, found)], 100).compute()
    assert report["AP"] == pytest.approx(ap, nan_ok=True)
    json.dumps([report.to_dict(), report.protocol], allow_nan=False)


def test_no_images_and_small_objects() -> None:
    assert math.isnan(CityscapesAveragePrecision(THREE).compute()["AP"])
    assert math.isnan(ours([(SQUARE, [(26, 0.5, WHOLE)])], 101).compute()["AP"])


def test_errors_say_what_to_do() -> None:
    pred, truth, void = as_instances(SQUARE, [(26, 0.5, WHOLE)])
    metric = CityscapesAveragePrecision(THREE)
    metric.update(pred, truth, 5)
    with pytest.raises(InputError, match="every image once"):
        metric.update(pred, truth, 5)
    with pytest.raises(InputError, match="image's size"):
        metric.update(Instances.empty((4, 4)), truth)
    with pytest.raises(InputError, match="image's size"):
        metric.update(pred, truth, void=Masks.empty((4, 4)))
    with pytest.raises(InputError, match="expected masks in the prediction"):
        metric.update(pred.replace(masks=None), truth, void=void)
    with pytest.raises(InputError, match="map its classes"):
        CityscapesAveragePrecision(Labels(("a",))).update(pred, truth)
    other = CityscapesAveragePrecision(THREE)
    other.update(pred, truth, 5)
    with pytest.raises(InputError, match="image 5 in both"):
        metric.merge(other)
    with pytest.raises(InputError, match="settings"):
        metric.merge(CityscapesAveragePrecision(THREE, smallest=7))
    with pytest.raises(InputError, match="smallest"):
        CityscapesAveragePrecision(THREE, smallest=-1)
