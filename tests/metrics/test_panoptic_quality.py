from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hotcoco.panoptic import PanopticEval
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.metrics.panoptic_quality import PanopticQuality
from delineate.metrics.panoptic_report import PanopticReport

CLASSES = Labels(("person", "car", "grass", "sky"), ids=(1, 3, 90, 200), things=(True, True, False, False))


def rows(text: str, labels: list[int], crowd: list[bool] | None = None) -> Panoptic:
    image = np.array([[0 if c == "." else int(c) for c in text]] * 2)
    return Panoptic(image, labels=labels, crowd=crowd, classes=CLASSES)


def report(pairs: list[tuple[Panoptic, Panoptic]]) -> PanopticReport:
    metric = PanopticQuality()
    for pred, truth in pairs:
        metric.update(pred, truth)
    return metric.compute()


@pytest.mark.parametrize(
    ("pred", "labels", "true", "true_labels", "crowd", "expected"),
    [
        ("........", [], "........", [], None, (0, 0, 0, 0.0)),
        ("11......", [0], "22222222".replace("2", "1"), [1], None, (0, 1, 1, 0.0)),
        ("11111111", [0], "11111111", [0], None, (1, 0, 0, 1.0)),
        ("11111111", [0], "1111....", [0], None, (1, 0, 0, 1.0)),  # void is not judged
        ("11112222", [0, 1], "11111111", [0], None, (0, 2, 1, 0.0)),  # IoU of exactly one half
        ("11111222", [0, 1], "11111111", [0], None, (1, 1, 0, 0.625)),
        ("11111...", [0], ".....111", [0], None, (0, 0, 1, 0.0)),  # all of it in void
        ("1111....", [0], "..111111", [0], None, (0, 1, 1, 0.0)),  # half in void is not more than half
        ("11111111", [0], "11111111", [0], [True], (0, 0, 0, 0.0)),  # crowd: neither
        ("11111111", [1], "11111111", [0], [True], (0, 1, 0, 0.0)),  # of another class
        ("........", [], "11111111", [0], [True], (0, 0, 0, 0.0)),
        ("11122222", [0, 0], "11111222", [0, 0], [True, False], (1, 0, 0, 0.6)),
    ],
)
def test_table(
    pred: str, labels: list[int], true: str, true_labels: list[int], crowd: list[bool] | None,
    expected: tuple[int, int, int, float],
) -> None:  # fmt: skip
    found = report([(rows(pred, labels), rows(true, true_labels, crowd))])
    counts = [sum(getattr(c, name) for c in found.by_class) for name in ("tp", "fp", "fn")]
    iou = sum((c.sq or 0) * c.tp for c in found.by_class)
    assert (*counts, pytest.approx(iou)) == expected
    json.dumps(found.to_dict(), allow_nan=False)


def test_no_images() -> None:
    found = PanopticQuality().compute()
    assert found.images == 0 and found.all.pq == 0 and found.all.classes == 0 and found.by_class == ()


def test_the_text_and_the_names() -> None:
    found = report([(rows("11112222", [0, 2]), rows("11112222", [0, 2]))])
    assert found.scores["PQ things"] == 1.0 and len(found.scores) == 9
    assert str(found).splitlines()[1].split() == ["all", "1.000", "1.000", "1.000", "2"]
    assert found.by_class[1].pq is None


def test_refuses() -> None:
    metric = PanopticQuality()
    metric.update(rows("11", [0]), rows("11", [0]), 3)
    with pytest.raises(InputError, match="image 3 twice"):
        metric.update(rows("11", [0]), rows("11", [0]), 3)
    with pytest.raises(InputError, match="one size"):
        metric.update(rows("111", [0]), rows("11", [0]))
    with pytest.raises(InputError, match="one list of classes"):
        metric.update(Panoptic(np.ones((2, 2), int), labels=[0]), rows("11", [0]))
    with pytest.raises(InputError, match="image 3 in both"):
        metric.merge(metric)


def random_panoptic(rng: np.random.Generator, size: tuple[int, int], crowds: bool) -> Panoptic:
    """Blocks of random segments; at most one crowd region per class."""
    coarse = rng.integers(0, 7, (size[0] // 4, size[1] // 4))
    image = np.kron(coarse, np.ones((4, 4), int))
    noise = rng.random(size) < 0.1
    image[noise] = rng.integers(0, 7, noise.sum())
    values, numbered = np.unique(np.concatenate([[0], image.ravel()]), return_inverse=True)
    labels = rng.integers(0, 4, len(values) - 1)
    crowd = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        crowd[np.flatnonzero(labels == label)[-1]] = crowds and rng.random() < 0.3
    return Panoptic(
        numbered[1:].reshape(size),
        labels=labels,
        crowd=crowd & np.array(CLASSES.things)[labels],
        classes=CLASSES,
    )


def another(rng: np.random.Generator, truth: Panoptic) -> Panoptic:
    """The truth with some labels changed, some segments joined and some pixels lost."""
    image = truth.map.copy()
    image[rng.random(image.shape) < 0.2] = 0
    image = np.roll(image, int(rng.integers(0, 3)), 1)
    values, numbered = np.unique(np.concatenate([[0], image.ravel()]), return_inverse=True)
    labels = truth.labels[values[1:] - 1].copy()
    changed = rng.random(len(labels)) < 0.3
    labels[changed] = rng.integers(0, 4, changed.sum())
    return Panoptic(numbered[1:].reshape(image.shape), labels=labels, classes=CLASSES)


def save(folder: Path, parts: list[Panoptic]) -> Path:
    """As COCO panoptic, by nothing of ours but the colours."""
    pictures = folder / "panoptic"
    pictures.mkdir(parents=True)
    annotations, images = [], []
    for i, part in enumerate(parts, 1):
        picture, segments = part.to_coco()
        Image.fromarray(picture).save(pictures / f"{i}.png")
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": segments})
        images.append({"id": i, "file_name": f"{i}.jpg", "height": part.size[0], "width": part.size[1]})
    categories = [
        {"id": i, "name": n, "isthing": int(t), "color": [i, i, i]}
        for i, n, t in zip(CLASSES.ids, CLASSES.names, CLASSES.things, strict=True)
    ]
    path = folder / "panoptic.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def test_the_same_numbers_as_hotcoco(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    truths = [random_panoptic(rng, (24, 32), crowds=True) for _ in range(12)]
    preds = [another(rng, truth) for truth in truths]
    theirs = PanopticEval(
        save(tmp_path / "t", truths), save(tmp_path / "p", preds),
        gt_folder=tmp_path / "t" / "panoptic", pred_folder=tmp_path / "p" / "panoptic",
    )  # fmt: skip
    theirs.evaluate()
    wanted = theirs.results()
    found = report(list(zip(preds, truths, strict=True)))
    assert 0.1 < found.all.pq < 0.9
    for name in ("All", "Things", "Stuff"):
        ours = getattr(found, name.lower())
        assert [ours.pq, ours.sq, ours.rq] == pytest.approx([wanted[name][k] for k in ("pq", "sq", "rq")])
        assert ours.classes == wanted[name]["n"]
    for identity, ours in zip(CLASSES.ids, found.by_class, strict=True):
        assert ours.pq == pytest.approx(wanted["per_class"][identity]["pq"])


def brute(pred: Panoptic, truth: Panoptic) -> list[list[float]]:
    """From the paper's words, one pixel set at a time: IoU sums, TP, FP, FN per class."""
    counts = [[0.0, 0, 0, 0] for _ in CLASSES.names]
    spots = [{tuple(p) for p in np.argwhere(truth.map == i)} for i in range(len(truth) + 1)]
    void, matched = spots[0], set()
    free = set(range(len(pred)))
    for p in range(len(pred)):
        mine = {tuple(q) for q in np.argwhere(pred.map == p + 1)}
        for t in range(len(truth)):
            union = (mine - void) | spots[t + 1]
            iou = len(mine & spots[t + 1]) / len(union)
            if not truth.crowd[t] and truth.labels[t] == pred.labels[p] and iou > 0.5:
                counts[truth.labels[t]][0] += iou
                counts[truth.labels[t]][1] += 1
                matched.add(t)
                free.discard(p)
        if p in free:
            excused = len(mine & void)
            crowds = [t for t in range(len(truth)) if truth.crowd[t] and truth.labels[t] == pred.labels[p]]
            excused += len(mine & spots[crowds[-1] + 1]) if crowds else 0
            counts[pred.labels[p]][2] += excused / len(mine) <= 0.5
    for t in range(len(truth)):
        counts[truth.labels[t]][3] += not truth.crowd[t] and t not in matched
    return counts


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_as_counted_pixel_by_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = random_panoptic(rng, (8, 12), crowds=True)
    pred = another(rng, truth)
    for (iou, tp, fp, fn), ours in zip(brute(pred, truth), report([(pred, truth)]).by_class, strict=True):
        assert (ours.tp, ours.fp, ours.fn) == (tp, fp, fn)
        if tp:
            assert ours.sq == pytest.approx(iou / tp)


def test_shards_give_the_same() -> None:
    rng = np.random.default_rng(0)
    truths = [random_panoptic(rng, (24, 32), crowds=False) for _ in range(4)]
    pairs = [(another(rng, t), t) for t in truths]
    one, two = PanopticQuality(), PanopticQuality()
    for i in (3, 0):
        one.update(*pairs[i], i + 1)
    for i in (2, 1):
        two.update(*pairs[i], i + 1)
    empty = PanopticQuality()
    empty.merge(two)
    empty.merge(one)
    one.merge(two)
    assert one.compute() == empty.compute() == report(pairs)
