"""What the YOLO-like segmenter learns from: mask cells, ellipses, losses, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.boxes import iou
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.models.yolo_seg import yolo_seg
from delineate.models.yolo_seg.contact import REACH, cell_weights, neighbourhood
from delineate.models.yolo_seg.ellipse import absolute, coordinate_maps, quadratic
from delineate.models.yolo_seg.losses import LossSettings, Scene, mask_losses
from delineate.models.yolo_seg.mask_cells import mask_cells
from delineate.nn.task_aligned import Assignment, Truth

ONE = Labels(("nucleus",))
OWN_SIZE = InputSpec(None, None, mean=(0, 0, 0), std=(1, 1, 1))


def discs(size: int, seed: int, count: int) -> tuple[np.ndarray, Instances]:
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.int32)
    y, x = np.mgrid[:size, :size]
    corners = [(16, 18), (46, 16), (34, 45)]  # discs there are apart, whatever their radii
    for i in range(count):
        (cy, cx), r = corners[i] + rng.integers(-2, 3, 2), rng.integers(8, 12)
        labels[(y - cy) ** 2 + (x - cx) ** 2 < r * r] = i + 1
    image = ((labels > 0) * 150 + rng.integers(0, 40, labels.shape)).astype(np.uint8)
    return image, Instances(labels.shape, masks=Masks.from_label_image(labels), classes=ONE)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([2, 4, 8]), st.integers(0, 4))
def test_cells_are_the_mean_of_their_pixels(seed: int, stride: int, objects: int) -> None:
    rng = np.random.default_rng(seed)
    truth = []
    for _ in range(2):
        dense = np.zeros((objects, 32, 48), bool)
        for plane in dense:
            y, x = rng.integers(0, 25), rng.integers(0, 40)
            plane[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = True
            plane &= rng.random(plane.shape) < 0.8
        truth.append(Instances((32, 48), masks=Masks.from_dense(dense), classes=ONE))
    cells = mask_cells(truth, stride, (32 // stride, 48 // stride))
    dense = np.concatenate([t.masks.dense() for t in truth])
    pooled = F.avg_pool2d(torch.from_numpy(dense).float()[:, None], stride)[:, 0]
    assert len(cells.corner) == 2 * objects
    for i, whole in enumerate(pooled):
        (x, y), (w, h) = cells.corner[i].tolist(), cells.size[i].tolist()
        begin = int(cells.offsets[i])
        found = cells.values[begin : begin + w * h].reshape(h, w)
        torch.testing.assert_close(found, whole[y : y + h, x : x + w])
        assert found.sum() == pytest.approx(float(whole.sum()), abs=1e-3)  # nothing is left outside


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from([64, 640, 1280]))
def test_absolute_quadratics_are_the_relative_ones(seed: int, side: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    terms = torch.randn(5, 6, generator=generator)
    corner = torch.rand(5, 2, generator=generator) * (side - 40)
    boxes = torch.cat([corner, corner + 8 + torch.rand(5, 2, generator=generator) * 30], 1)
    height, width, stride = side // 4, side // 8, 4
    maps = coordinate_maps(height, width, stride, terms)
    whole = torch.einsum("nt,thw->nhw", absolute(terms, boxes, (height * stride, width * stride)), maps)
    y, x = (torch.rand(2, 5, generator=generator) * torch.tensor([[height], [width]])).long()
    near = ((boxes[:, :2] + boxes[:, 2:]) / 2 / stride).long()  # a place inside the box
    for x_, y_ in ((x, y), (near[:, 0].clamp(max=width - 1), near[:, 1].clamp(max=height - 1))):
        direct = quadratic(terms, boxes, (torch.stack([x_, y_], 1) + 0.5) * stride)
        torch.testing.assert_close(whole[torch.arange(5), y_, x_], direct, rtol=2e-3, atol=2e-2)


def test_the_inscribed_ellipse_touches_the_box() -> None:
    box = torch.tensor([[10.0, 20.0, 30.0, 26.0]])
    places = torch.tensor([[20.0, 23.0], [10.0, 23.0], [20.0, 26.0], [10.0, 20.0]])
    found = quadratic(torch.tensor([[-1.0, -1, 0, 0, 0, 1]]).expand(4, 6), box.expand(4, 4), places)
    assert found.sign().tolist() == [1, 0, 0, -1]


def test_mask_loss_is_the_mean_over_each_box() -> None:
    truth = [discs(64, s, 3)[1] for s in (0, 1)]
    cells = mask_cells(truth, 4, (16, 16))
    count = len(cells.corner)
    prototypes = torch.randn(2, 5, 16, 16)
    image = torch.tensor([0] * len(truth[0]) + [1] * len(truth[1]))
    boxes = torch.from_numpy(np.concatenate([t.boxes for t in truth]))
    objects = Truth(boxes, torch.zeros(count, dtype=torch.long), image)
    scene = Scene(torch.zeros(1, 2), torch.zeros(1, 1), prototypes, 4, objects, cells)
    which = torch.arange(count)
    found = Assignment(image, torch.zeros_like(which), which, torch.ones(count))
    weights = torch.randn(count, 5)
    entropy, dice = mask_losses(weights, boxes, found, scene, LossSettings(mask_points=10_000))
    expected = torch.zeros(2)
    for i in range(count):
        (x, y), (w, h) = cells.corner[i].tolist(), cells.size[i].tolist()
        logits = torch.einsum("c,chw->hw", weights[i], prototypes[image[i]])[y : y + h, x : x + w]
        begin = int(cells.offsets[i])
        target = cells.values[begin : begin + w * h].reshape(h, w)
        shared, whole = (logits.sigmoid() * target).sum(), (logits.sigmoid() + target).sum()
        expected[0] += F.binary_cross_entropy_with_logits(logits, target) / count
        expected[1] += (1 - (2 * shared + 1) / (whole + 1)) / count
    torch.testing.assert_close(torch.stack([entropy, dice]), expected)
    sampled, _ = mask_losses(weights, boxes, found, scene, LossSettings(mask_points=12))
    assert sampled == pytest.approx(float(entropy), rel=0.5)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_cells_near_neighbours_count_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = []
    for _ in range(2):
        labels = np.zeros((64, 64), np.int32)
        for i, (y, x, h, w) in enumerate(rng.integers(1, 40, (6, 4)).tolist()):
            labels[y : y + h // 2 + 1, x : x + w // 2 + 1] = i + 1
        scenes.append(Instances((64, 64), masks=Masks.from_label_image(labels), classes=ONE))
    cells = mask_cells(scenes, 4, (16, 16))
    image = torch.tensor([0] * len(scenes[0]) + [1] * len(scenes[1]))
    found = neighbourhood(cells, image, (2, 16, 16))
    for index, truth in enumerate(scenes):
        assert truth.masks is not None
        shares = truth.masks.dense().reshape(len(truth), 16, 4, 16, 4).mean((2, 4))  # (G, 16, 16)
        covered = found.covered.view(2, 16, 16)[index].numpy()
        np.testing.assert_allclose(covered, shares.sum(0), atol=1e-6)
        for y, x in np.ndindex(16, 16):
            window = shares[:, max(0, y - REACH) : y + REACH + 1, max(0, x - REACH) : x + REACH + 1]
            several = ((window > 0.5).any((1, 2))).sum() > 1
            assert found.meeting.view(2, 16, 16)[index, y, x] == several
    place = torch.arange(512)
    own = found.covered.clamp(max=0.5)
    weights = cell_weights(found, place, own, 3.0)
    expected = 1 + 3 * ((found.covered - own).clamp(0, 1) + found.meeting)
    torch.testing.assert_close(weights, expected)


def test_an_object_alone_counts_as_ever() -> None:
    _, truth = discs(64, 0, 1)
    cells = mask_cells([truth], 4, (16, 16))
    found = neighbourhood(cells, torch.zeros(1, dtype=torch.long), (1, 16, 16))
    weights = cell_weights(found, torch.arange(256), found.covered, 5.0)
    torch.testing.assert_close(weights, torch.ones(256))


@pytest.mark.parametrize("nms_free", [False, True])
def test_an_empty_batch_trains(nms_free: bool) -> None:
    model = yolo_seg(classes=ONE, input=OWN_SIZE, nms_free=nms_free)
    crowd = Instances((32, 32), masks=Masks.from_dense(np.ones((1, 32, 32), bool)), crowd=[True], classes=ONE)
    for truth in (Instances.empty((32, 32), ONE), crowd):
        batch = collate([np.zeros((32, 32), np.uint8)] * 2, model.input, [truth] * 2)
        loss = sum(model.losses(batch).values())
        loss.backward()  # type: ignore[union-attr]
        assert torch.isfinite(loss)  # type: ignore[arg-type]
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_boxes_alone_are_refused() -> None:
    model = yolo_seg(classes=ONE, input=OWN_SIZE)
    truth = Instances((32, 32), boxes=[[1, 1, 9, 9]], classes=ONE)
    with pytest.raises(InputError, match="masks"):
        model.losses(Batch(torch.zeros(1, 3, 32, 32), [(32, 32)], [(32, 32)], [truth]))


@pytest.mark.parametrize("settings", [{}, {"nms_free": True, "bins": 1, "ellipse": False}])
def test_learns_two_images_by_heart(settings: dict) -> None:
    torch.manual_seed(0)
    model = yolo_seg(classes=ONE, input=OWN_SIZE, **settings)
    images, truths = zip(*(discs(64, s, 3) for s in (0, 1)), strict=True)
    batch = collate(images, model.input, truths)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    first = sum(model.losses(batch).values()).item()  # type: ignore[union-attr]
    for _ in range(100):
        loss = sum(model.losses(batch).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    assert loss.item() < 0.3 * first  # type: ignore[union-attr]
    for found, truth in zip(model.eval().detect(batch, confidence=0.25), truths, strict=True):
        assert len(found) == len(truth)
        assert (found.masks.iou(truth.masks).max(0) > 0.7).all()
        if settings:  # nothing was suppressed, and there are no duplicates
            assert iou(found.boxes, found.boxes).round(2).sum() < len(found) + 2
