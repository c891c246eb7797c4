"""Task-aligned assignment against the same rule written with loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import complete_box_iou_loss

from delineate.nn.points import anchor_points
from delineate.nn.task_aligned import Truth, assign

ALPHA, BETA, SMALLEST = 0.5, 6.0, 16.0


def scene(seed: int, objects: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Truth]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    points, strides = anchor_points([torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 4, 4)], (8, 16))
    reach = (0.2 + 2 * draw(2, len(points), 4)) * strides
    boxes = torch.cat([points - reach[..., :2], points + reach[..., 2:]], -1)
    logits = 2 * draw(2, len(points), 3) - 1
    corner = draw(objects, 2) * 50
    truth = Truth(
        torch.cat([corner, corner + 1 + draw(objects, 2) * 30], 1),
        (draw(objects) * 3).long(),
        (draw(objects) * 2).long().sort().values,
    )
    return logits, boxes, points, truth


def by_loops(logits, boxes, points, truth, most):
    """{(image, point): (object, target)} by the definition."""
    claims: dict[tuple[int, int], list[tuple[float, int, float]]] = {}
    for g in range(len(truth.boxes)):
        image, label, box = int(truth.image[g]), int(truth.labels[g]), truth.boxes[g].tolist()
        centre, half = (
            [(box[k] + box[k + 2]) / 2 for k in (0, 1)],
            [(box[k + 2] - box[k]) / 2 for k in (0, 1)],
        )
        half = [max(h, SMALLEST / 2) for h in half]
        candidates = []
        for a, point in enumerate(points.tolist()):
            if all(abs(p - c) < h for p, c, h in zip(point, centre, half, strict=True)):
                ciou = 1 - float(complete_box_iou_loss(boxes[image, a], truth.boxes[g]))
                score = float(logits[image, a, label].sigmoid())
                measure = score**ALPHA * max(ciou, 0.0) ** BETA + 1e-9 * math.exp(ciou)
                candidates.append((measure, ciou, a))
        for measure, ciou, a in sorted(candidates, reverse=True)[:most]:
            claims.setdefault((image, a), []).append((ciou, g, measure))
    won = {place: max(claim) for place, claim in claims.items()}
    largest: dict[int, list[float]] = {}
    for ciou, g, measure in won.values():
        best = largest.setdefault(g, [0.0, 0.0])
        best[0], best[1] = max(best[0], measure), max(best[1], ciou)
    return {p: (g, measure / largest[g][0] * largest[g][1]) for p, (_, g, measure) in won.items()}


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.integers(0, 9), st.sampled_from([1, 3, 10]))
def test_as_by_loops(seed: int, objects: int, most: int) -> None:
    logits, boxes, points, truth = scene(seed, objects)
    found = assign(logits, boxes, points, truth, most=most, smallest=SMALLEST)
    expected = by_loops(logits, boxes, points, truth, most)
    places = list(zip(found.image.tolist(), found.point.tolist(), strict=True))
    assert len(set(places)) == len(places) and set(places) == set(expected)
    for place, g, target in zip(places, found.truth.tolist(), found.target.tolist(), strict=True):
        assert g == expected[place][0]
        assert target == pytest.approx(expected[place][1], abs=1e-3)


def test_a_tiny_object_between_points_owns_one() -> None:
    logits, boxes, points, _ = scene(0, 0)
    truth = Truth(torch.tensor([[15.5, 15.5, 16.5, 16.5]]), torch.tensor([0]), torch.tensor([1]))
    assert not len(assign(logits, boxes, points, truth, smallest=0.0).point)
    found = assign(logits, boxes, points, truth, smallest=SMALLEST)
    assert len(found.point) and set(found.image.tolist()) == {1}


def test_who_loses_its_only_point_chooses_again() -> None:
    points, strides = anchor_points([torch.zeros(1, 1, 4, 4)], (8,))
    boxes = torch.cat([points - strides, points + strides], 1)[None]
    twins = torch.tensor([[3.0, 3.0, 21.0, 21.0], [3.0, 3.0, 21.0, 21.0], [4.0, 3.0, 21.0, 21.0]])
    truth = Truth(twins, torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long))
    once = assign(torch.zeros(1, 16, 1), boxes, points, truth, most=1)
    assert len(once.truth) == 1
    again = assign(torch.zeros(1, 16, 1), boxes, points, truth, most=1, rounds=3)
    assert sorted(again.truth.tolist()) == [0, 1, 2] and len(set(again.point.tolist())) == 3


def test_nothing_there_has_no_points() -> None:
    found = assign(*scene(0, 0))
    assert all(len(part) == 0 for part in found)
