from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.ops
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.core.boxes import iou
from delineate.core.errors import InputError
from delineate.core.masks import Masks
from delineate.core.suppress import Suppression, nms_boxes, nms_masks


@st.composite
def detections(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    number = draw(st.integers(0, 14))
    corners = draw(arrays(np.float32, (number, 2, 2), elements=st.integers(0, 9).map(float)))
    scores = draw(arrays(np.float32, number, elements=st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0])))
    return (
        np.sort(corners, axis=1).reshape(-1, 4),
        scores,
        draw(arrays(np.int64, number, elements=st.integers(0, 2))),
    )


@given(detections(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_boxes_as_torchvision(found: tuple[Any, Any, Any], threshold: float) -> None:
    box, score, label = found
    args = torch.from_numpy(box), torch.from_numpy(score)
    np.testing.assert_array_equal(
        nms_boxes(box, score, threshold), torchvision.ops.nms(*args, threshold).numpy()
    )
    by_class = torchvision.ops.batched_nms(*args, torch.from_numpy(label), threshold).numpy()
    assert set(nms_boxes(box, score, threshold, label).tolist()) == set(by_class.tolist())


def test_many_boxes_as_torchvision() -> None:
    rng = np.random.default_rng(0)
    corner = rng.random((3000, 2)).astype(np.float32) * 400
    box = np.concatenate((corner, corner + 10 + rng.random((3000, 2)).astype(np.float32) * 40), axis=1)
    score = rng.random(3000).astype(np.float32)
    expected = torchvision.ops.nms(torch.from_numpy(box), torch.from_numpy(score), 0.5).numpy()
    np.testing.assert_array_equal(nms_boxes(box, score, 0.5), expected)


@given(
    arrays(np.bool_, st.tuples(st.integers(0, 8), st.just(4), st.just(5))),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    st.sampled_from(["iou", "ios"]),
    st.data(),
)
def test_masks_by_definition(dense: Any, threshold: float, measure: Any, data: Any) -> None:
    number = len(dense)
    score = data.draw(arrays(np.float64, number, elements=st.sampled_from([0.1, 0.5, 0.9])))
    label = data.draw(arrays(np.int64, number, elements=st.integers(0, 1)))
    area = dense.sum((1, 2))
    kept: list[int] = []
    for k in np.argsort(-score, kind="stable").tolist():
        shared = [(dense[k] & dense[m]).sum() for m in kept]
        whole = [
            area[k] + area[m] - s if measure == "iou" else min(area[k], area[m])
            for m, s in zip(kept, shared, strict=True)
        ]
        if not any(
            label[k] == label[m] and s > 0 and s / w > threshold
            for m, s, w in zip(kept, shared, whole, strict=True)
        ):
            kept.append(k)
    assert nms_masks(Masks.from_dense(dense), score, threshold, label, measure).tolist() == kept


@pytest.mark.parametrize(
    ("scores", "threshold", "labels"),
    [([0.5, 0.5], 0.5, None), ([0.5], 0.5, [1, 2]), ([float("nan")], 0.5, None), ([0.5], 50, None)],
)
def test_errors(scores: Any, threshold: float, labels: Any) -> None:
    with pytest.raises(InputError, match=r"suppress: expected .*got "):
        nms_boxes([[0, 0, 1, 1]], scores, threshold, labels)
    with pytest.raises(InputError, match="measure"):
        nms_masks(Masks.from_label_image([[1]]), [1], 0.5, measure="dice")  # type: ignore[arg-type]


def naive_soft(box: Any, score: Any, label: Any, sigma: float, floor: float) -> tuple[list[int], list[float]]:
    """Soft-NMS as its paper's pseudo code says it."""
    left = {i: float(s) for i, s in enumerate(score) if s > floor}
    kept, scores = [], []
    while left:
        best = max(left, key=lambda i: (left[i], score[i], -i))
        kept.append(best)
        scores.append(left.pop(best))
        for i in list(left):
            overlap = iou(box[[best]], box[[i]])[0, 0] if label[i] == label[best] else 0.0
            left[i] *= np.exp(-(overlap**2) / sigma)
            if left[i] <= floor:
                del left[i]
    return kept, scores


def naive_prototype(
    box: Any, score: Any, label: Any, weight: Any, threshold: float, agree: float
) -> list[int]:
    length = np.linalg.norm(weight, axis=1)
    kept: list[int] = []
    for k in np.argsort(-score, kind="stable").tolist():
        if not any(
            label[k] == label[m]
            and float(iou(box[[k]], box[[m]])[0, 0]) > threshold
            and weight[k] @ weight[m] > agree * length[k] * length[m]
            for m in kept
        ):
            kept.append(k)
    return kept


@given(detections(), st.sampled_from([0.0, 0.3, 0.5, 0.7]))
def test_chosen_boxes_as_torchvision(found: tuple[Any, Any, Any], threshold: float) -> None:
    box, score, label = found
    kept, final = Suppression("box", threshold).choose(box, score, label, limit=99)
    expected = torchvision.ops.batched_nms(
        torch.from_numpy(box), torch.from_numpy(score), torch.from_numpy(label), threshold
    )
    assert set(kept.tolist()) == set(expected.tolist())
    np.testing.assert_array_equal(final, score[kept])


@given(detections(), st.sampled_from([0.3, 0.5, 2.0]), st.sampled_from([0.0, 0.2]))
def test_soft_by_definition(found: tuple[Any, Any, Any], sigma: float, floor: float) -> None:
    box, score, label = found
    kept, final = Suppression("soft", sigma=sigma).choose(box, score, label, limit=99, confidence=floor)
    expected, scores = naive_soft(box, score, label, sigma, floor)
    np.testing.assert_allclose(final, scores, rtol=1e-5)
    assert kept.tolist() == expected or len(set(np.round(scores, 5).tolist())) < len(scores)  # or ties


@given(
    detections(),
    st.data(),
    st.sampled_from([0.0001, 0.3001, 0.7001]),
    st.sampled_from([-0.5001, 0.2501, 0.9001]),
)
def test_prototype_by_definition(
    found: tuple[Any, Any, Any], data: Any, threshold: float, agree: float
) -> None:
    box, score, label = found
    weight = data.draw(arrays(np.float32, (len(box), 2), elements=st.sampled_from([-2.0, 1.0, 3.0])))
    chosen = Suppression("prototype", threshold, similarity=agree)
    kept, _ = chosen.choose(box, score, label, limit=99, coefficients=weight)
    assert kept.tolist() == naive_prototype(box, score, label, weight, threshold, agree)


@given(detections(), st.sampled_from(["box", "soft", "mask", "prototype", "none"]), st.integers(0, 6))
def test_invariants(found: tuple[Any, Any, Any], kind: Any, limit: int) -> None:
    box, score, label = found
    masks = Masks.from_crops(
        [np.ones((int(h), int(w)), bool) for w, h in (box[:, 2:] - box[:, :2])],
        box[:, :2].astype(int),
        (10, 10),
    )
    kept, final = Suppression(kind, 0.5, box_iou=0.6).choose(
        box, score, label, limit=limit, masks=masks.__getitem__, coefficients=box
    )
    assert len(kept) == len(final) == len(set(kept.tolist())) <= limit
    assert kept.dtype == np.int64 and final.dtype == np.float32
    assert (np.diff(final) <= 0).all() and (final <= score[kept]).all()
    if len(box) and limit:
        assert final[0] == score.max()  # the best always stays
    if kind != "soft":
        everything = Suppression(kind, 0.5, box_iou=0.6).choose(
            box, score, label, limit=99, masks=masks.__getitem__, coefficients=box
        )
        assert kept.tolist() == everything[0][:limit].tolist()  # a limit cuts the end
        again = Suppression(kind, 0.5, box_iou=0.6).choose(
            box[kept],
            score[kept],
            label[kept],
            limit=99,
            masks=lambda rows: masks[kept][rows],
            coefficients=box[kept],
        )
        assert again[0].tolist() == list(range(len(kept)))  # what stayed once stays again


def test_neighbours_with_one_box_stay_by_mask() -> None:
    """Two diagonal bars in the same square, and a copy of the first: boxes say one object, masks say two."""
    bar = np.eye(9, dtype=bool)
    masks = Masks.from_dense(np.stack((bar, bar[::-1], bar)))
    box, score = np.tile([0, 0, 9, 9], (3, 1)), [0.9, 0.8, 0.7]
    assert Suppression("box", 0.5).choose(box, score, [0, 0, 0], limit=9)[0].tolist() == [0]
    strict = Suppression("mask", 0.5, box_iou=1.0)
    assert strict.choose(box, score, [0, 0, 0], limit=9, masks=masks.__getitem__)[0].tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["box", "mask", "prototype"])
def test_above_one_everything_stays(kind: str) -> None:
    box = np.tile([0, 0, 9, 9], (3, 1))
    masks = Masks.from_dense(np.ones((3, 9, 9), bool))

    def choose(suppression: Suppression) -> list[int]:
        return suppression.choose(
            box, [0.9, 0.8, 0.7], [0, 0, 0], limit=9, masks=masks.__getitem__, coefficients=box
        )[0].tolist()

    one = Suppression(kind, 0.4, box_iou=0.7)  # type: ignore[arg-type]
    assert choose(one) == choose(one.above(0.8)) == [0]
    assert one.above(0.8).box_iou == 0.8 and one.above(0.5).box_iou == 0.7
    assert choose(one.above(1.0)) == [0, 1, 2]


def test_candidates_and_confidence() -> None:
    box = np.array([[0, 0, 4, 4], [9, 9, 12, 12], [20, 0, 24, 4]])
    score = [0.2, 0.4, 0.9]
    assert Suppression(candidates=2).choose(box, score, [0, 0, 0], limit=9)[0].tolist() == [2, 1]
    assert Suppression().choose(box, score, [0, 0, 0], limit=9, confidence=0.4)[0].tolist() == [2]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"kind": "hard"}, "kind"),
        ({"iou": 1.5}, "iou"),
        ({"iou": "0.5"}, "iou"),
        ({"iou": float("nan")}, "iou"),
        ({"box_iou": -1}, "box_iou"),
        ({"measure": "dice"}, "measure"),
        ({"similarity": 2}, "similarity"),
        ({"sigma": 0}, "sigma"),
        ({"candidates": 0}, "candidates"),
        ({"candidates": 1.5}, "candidates"),
        ({"treshold": 0.5}, "treshold"),
    ],
)
def test_settings_errors(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=rf"Suppression.*{name}.*"):
        Suppression.from_dict(settings)


def test_settings_there_and_back() -> None:
    chosen = Suppression("mask", 0.4, measure="ios")
    assert Suppression.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen
    assert Suppression.from_dict({}) == Suppression()


@pytest.mark.parametrize("kind", ["mask", "prototype"])
def test_what_a_kind_needs(kind: Any) -> None:
    with pytest.raises(InputError, match=f"Suppression '{kind}': expected .*got None"):
        Suppression(kind).choose([[0, 0, 1, 1]], [0.5], [0], limit=1)
    with pytest.raises(InputError, match=r"coefficients \(1, P\), got \(2, 3\)"):
        Suppression("prototype").choose([[0, 0, 1, 1]], [0.5], [0], limit=1, coefficients=np.ones((2, 3)))
