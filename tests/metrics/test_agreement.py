"""Agreement of annotators, on images that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.metrics.agreement import Agreement, Strokes
from delineate.metrics.cell_matching import CellMatching

CLASSES = Labels(("cat", "dog"))
SIZE = (20, 60)


def _squares(*at: tuple[int, int, int], crowd: tuple[int, ...] = ()) -> Instances:
    """Squares of ten pixels: column, row, class."""
    dense = np.zeros((len(at), *SIZE), bool)
    for plane, (x, y, _) in zip(dense, at, strict=True):
        plane[y : y + 10, x : x + 10] = True
    marked = np.isin(np.arange(len(at)), crowd)
    labels = np.array([k for *_, k in at], np.int64)
    return Instances(SIZE, labels=labels, masks=Masks.from_dense(dense), crowd=marked, classes=CLASSES)


def _of(*people: Instances | None, strokes: list[Strokes | None] | None = None) -> Agreement:
    metric = Agreement([f"p{k}" for k in range(len(people))], CLASSES)
    metric.update(people, strokes=strokes)
    return metric


def test_the_same_twice() -> None:
    same = _squares((0, 0, 0), (20, 5, 1))
    report = _of(same, same).compute()
    scores = report.scores
    assert scores["PQ"] == scores["F1"] == scores["IoU"] == scores["kappa"] == scores["alpha_classes"] == 1
    assert scores["boundary_distance"] == scores["count_difference"] == 0
    assert scores["alpha_pixels"] == 1 and report.drawn_by == (0, 2)


def test_counted_by_hand() -> None:
    first = _squares((0, 0, 0), (20, 0, 1), (40, 0, 0))
    second = _squares((0, 0, 0), (22, 0, 0))  # one moved by two pixels, of another class; one missing
    report = _of(first, second).compute()
    pair = report.pairs[0, 1]
    assert (pair.matched, pair.alone_first, pair.alone_second) == (2, 1, 0)
    assert pair.f1 == pytest.approx(4 / 5) and pair.iou == pytest.approx((1 + 8 / 12) / 2)
    assert pair.quality == pytest.approx(pair.f1 * pair.iou)
    assert (pair.count_difference, pair.count_spread) == (-1, 1)
    assert pair.kappa == 0
    person = report.people[0]
    assert (person.alone, person.missed) == (pytest.approx(1 / 3), 0)
    assert report.people[1].missed == pytest.approx(1 / 3) and report.people[1].alone == 0
    dog = report.by_class["dog"]
    assert (dog.matched, dog.alone_first, dog.alone_second) == (0, 1, 0)


@pytest.mark.parametrize("band", [1, 130, 1 << 22])
def test_pixels_by_kappa(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both use the classes as often, alpha and kappa differ by the sample's size alone."""
    monkeypatch.setattr("delineate.metrics.agreement.BAND", band)
    first, second = _squares((0, 0, 0), (30, 0, 1)), _squares((3, 0, 0), (33, 0, 1))
    report = _of(first, second).compute()
    painted = []
    for own in (first, second):
        image = np.zeros(SIZE, int)
        for mask, label in zip(own.masks.dense(), own.labels, strict=True):  # type: ignore[union-attr]
            image[mask] = label + 1
        painted.append(image.ravel())
    assert report.alpha_pixels == pytest.approx(cohen_kappa_score(*painted), abs=1e-3)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_quality_is_that_of_cell_matching(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 9, (4, 6)), np.ones((5, 10), int))
    moved = np.roll(labels, rng.integers(0, 4, 2), (0, 1))
    one, other = (Instances(SIZE, masks=Masks.from_label_image(image)) for image in (labels, moved))
    metric = Agreement(["a", "b"], one.classes)
    metric.update([one, other])
    theirs = CellMatching((0.5,))
    theirs.update(other, one)
    wanted = theirs.compute().pooled[0]
    pair = metric.compute().pairs[0, 1]
    assert (pair.matched, pair.alone_first, pair.alone_second) == (wanted.tp, wanted.fn, wanted.fp)
    if wanted.tp + wanted.fn + wanted.fp:
        assert pair.f1 == pytest.approx(2 * wanted.tp / (2 * wanted.tp + wanted.fp + wanted.fn))


def test_three_annotators_and_an_image_that_one_did_not_see() -> None:
    metric = Agreement(["a", "b", "c"], CLASSES)
    square = _squares((0, 0, 0))
    metric.update([square, square, _squares()], name="first")
    metric.update([square, None, square], name="second")
    report = metric.compute()
    assert report.drawn_by == (0, 2, 0)
    assert [p.images for p in report.people] == [2, 1, 2]
    assert report.people[2].missed == pytest.approx(1 / 2)
    assert report.pairs[1, 2].matched == 0 and report.pairs[0, 1].matched == 1
    assert [image.name for image in report.worst] == ["first", "second"]


def test_vertices() -> None:
    square = _squares((0, 0, 0), (20, 0, 0))
    strokes = Strokes(np.array([10, 50]), np.array([40.0, 40.0]))
    report = _of(square, square, strokes=[strokes, None]).compute()
    assert report.people[0].points[1] == 30 and report.people[0].density[1] == pytest.approx(75)
    assert np.isnan(report.people[1].points[1]) and "p1" in " ".join(report.notes)
    assert report.to_dict()["annotators"][1]["points"] == [None, None, None]


def test_crowd_regions_and_empty_masks_take_no_part() -> None:
    crowd = _squares((0, 0, 0), (20, 0, 0), crowd=(0,))
    pair = _of(crowd, _squares((0, 0, 0), (20, 0, 0))).compute().pairs[0, 1]
    assert (pair.matched, pair.alone_first, pair.alone_second) == (1, 0, 0)


def test_nobody_draws_anything() -> None:
    report = _of(_squares(), _squares()).compute()
    assert np.isnan(report.scores["PQ"]) and report.worst == ()
    assert report.to_dict()["scores"]["PQ"] is None and len(report.tables) >= 3


def test_shards_make_the_whole() -> None:
    images = [(_squares((0, 0, 0)), _squares((k, 0, 1))) for k in range(4)]
    whole, one, other = (Agreement(["a", "b"], CLASSES) for _ in range(3))
    for k, pair in enumerate(images, 1):
        whole.update(pair, k)
        (one if k % 2 else other).update(pair, k)
    other.merge(one)
    assert other.compute().to_dict() == whole.compute().to_dict()
    with pytest.raises(InputError, match="in both"):
        other.merge(one)


@pytest.mark.parametrize(
    ("people", "match"),
    [
        ([_squares(), None], "two or more"),
        ([_squares()], "two or more"),
        ([_squares(), Instances((3, 3), masks=Masks.empty((3, 3)), classes=CLASSES)], "one image size"),
        ([_squares(), Instances(SIZE, boxes=[[0, 0, 1, 1]], classes=CLASSES)], "without masks"),  # type: ignore[arg-type]
        ([_squares(), Instances(SIZE, masks=Masks.empty(SIZE))], "classes"),
    ],
)
def test_refuses(people: list[Instances | None], match: str) -> None:
    with pytest.raises(InputError, match=match):
        Agreement(["a", "b"], CLASSES).update(people)


def test_refuses_names_and_thresholds() -> None:
    for names, threshold in ((["a"], 0.5), (["a", "a"], 0.5), (["a", "b"], 0)):
        with pytest.raises(InputError, match="two annotators"):
            Agreement(names, CLASSES, threshold)
