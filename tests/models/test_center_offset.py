"""Votes for centres: targets, grouping, learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.batch import collate
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.models.center_offset import Outputs, center_offset, target_maps
from delineate.models.voting import Grouping, group_votes

ONE = Labels(("nucleus",))


def discs(size: tuple[int, int], centers: list[tuple[int, int]], radius: int) -> np.ndarray:
    """A label image of discs; where they overlap the nearer centre wins, so that they touch."""
    y, x = np.mgrid[: size[0], : size[1]]
    distance = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centers])
    return np.where(distance.min(0) <= radius, distance.argmin(0) + 1, 0).astype(np.int32)


def perfect(truth: Instances, classes: int = 1) -> tuple[np.ndarray, np.ndarray]:
    present, offsets, _ = target_maps(truth, classes, truth.size)
    return (present * 20 - 10).astype(np.float32), offsets


def test_perfect_votes_give_touching_discs_back() -> None:
    labels = discs((64, 96), [(20, 20), (20, 38), (38, 29), (50, 70)], 11)
    truth = Instances((64, 96), masks=Masks.from_label_image(labels), classes=ONE)
    found = group_votes(*perfect(truth), ONE, Grouping())
    assert len(found) == 4
    np.testing.assert_array_equal(np.sort(found.area), np.sort(truth.area))
    assert (found.masks.iou(truth.masks).max(axis=0) == 1).all()  # type: ignore[union-attr]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 - 1), st.integers(6, 14))
def test_separate_discs_of_any_size_come_back(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    step = 2 * radius + 4
    centers = [
        (int(y + rng.integers(3)), int(x + rng.integers(3)))
        for y in range(radius, 90 - radius, step)
        for x in range(radius, 90 - radius, step)
    ]
    truth = Instances((90, 90), masks=Masks.from_label_image(discs((90, 90), centers, radius)), classes=ONE)
    found = group_votes(*perfect(truth), ONE, Grouping())
    np.testing.assert_array_equal(found.to_label_image() > 0, truth.to_label_image() > 0)
    assert len(found) == len(truth)


def test_classes_are_told_apart() -> None:
    labels = discs((48, 96), [(24, 24), (24, 70)], 12)
    two = Labels(("cell", "debris"))
    truth = Instances((48, 96), labels=[1, 0], masks=Masks.from_label_image(labels), classes=two)
    found = group_votes(*perfect(truth, 2), two, Grouping())
    by_column = found[np.argsort(found.boxes[:, 0])]
    assert by_column.names == ["debris", "cell"] and (by_column.scores > 0.99).all()


def test_nothing_there_is_no_instances() -> None:
    logits = np.full((1, 32, 32), -5, np.float32)
    assert len(group_votes(logits, np.zeros((2, 32, 32), np.float32), ONE, Grouping())) == 0
    classes, offsets, weights = target_maps(Instances.empty((20, 30), ONE), 1, (32, 32))
    assert classes.sum() == 0 and not offsets.any() and not weights.any()


@pytest.mark.parametrize(("confidence", "count"), [(0.0, 2), (0.5, 1), (1.0, 0)])
def test_confidence_chooses_objects_and_leaves_their_outlines(confidence: float, count: int) -> None:
    truth = Instances(
        (48, 96), masks=Masks.from_label_image(discs((48, 96), [(24, 24), (24, 70)], 12)), classes=ONE
    )
    logits, offsets = perfect(truth)
    logits[:, :, 48:] *= 0.05  # the right disc: probability 0.62, score 0.24
    found = group_votes(logits, offsets, ONE, Grouping(), confidence)
    assert len(found) == count and set(found.area) <= set(truth.area)


@pytest.mark.parametrize("foreground", [0.0, 1.0, -3.0])
def test_foreground_must_be_a_probability(foreground: float) -> None:
    with pytest.raises(InputError, match="foreground"):
        Grouping(foreground=foreground)


def test_crowd_regions_do_not_teach_offsets() -> None:
    truth = Instances((8, 8), masks=Masks.from_dense(np.ones((1, 8, 8), bool)), crowd=[True], classes=ONE)
    assert not target_maps(truth, 1, (8, 8))[2].any()


def test_maps_have_the_images_size_and_results_the_originals() -> None:
    torch.manual_seed(0)
    model = center_offset(ONE, channels=(8, 8, 8)).eval()
    images = [
        np.random.default_rng(0).integers(0, 255, size, dtype=np.uint8) for size in [(33, 70), (64, 64, 3)]
    ]
    batch = collate(images, model.input)
    outputs = model(batch.images)
    assert isinstance(outputs, Outputs)
    assert outputs.classes.shape == (2, 1, 64, 72) and outputs.offsets.shape == (2, 2, 64, 72)
    assert [r.size for r in model.instances(outputs, batch)] == [(33, 70), (64, 64)]


def test_max_det_is_told(caplog: pytest.LogCaptureFixture) -> None:
    labels = discs((48, 96), [(24, 24), (24, 70)], 12)
    truth = Instances((48, 96), masks=Masks.from_label_image(labels), classes=ONE)
    model = center_offset(ONE, channels=(8, 8))
    outputs = [torch.from_numpy(m)[None] for m in perfect(truth)]
    batch = collate([np.zeros((48, 96), np.uint8)], model.input)
    with caplog.at_level("WARNING", logger="delineate"):
        assert len(model.instances(outputs, batch, max_det=1)[0]) == 1
    assert "max_det" in caplog.text


def test_learns_two_images_by_heart() -> None:
    torch.manual_seed(0)
    truths = [
        discs((64, 64), centers, 9) for centers in ([(16, 16), (16, 33), (45, 40)], [(40, 20), (30, 40)])
    ]
    images = [(t > 0).astype(np.uint8) * 200 for t in truths]
    targets = [Instances((64, 64), masks=Masks.from_label_image(t), classes=ONE) for t in truths]
    model = center_offset(ONE, channels=(16, 16, 24))
    batch = collate(images, model.input, targets)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    first = sum(model.losses(batch).values())
    for _ in range(60):
        loss = sum(model.losses(batch).values())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    assert loss < 0.35 * first
    with torch.inference_mode():
        found = model.eval().instances(model(batch.images), batch)
    assert [len(f) for f in found] == [3, 2]


def test_an_empty_batch_trains() -> None:
    model = center_offset(ONE, channels=(8, 8))
    batch = collate([np.zeros((16, 16), np.uint8)], model.input, [Instances.empty((16, 16), ONE)])
    loss = sum(model.losses(batch).values())
    loss.backward()  # type: ignore[union-attr]
    assert torch.isfinite(loss) and all(p.grad is not None for p in model.parameters())  # type: ignore[arg-type]


def test_prepared_says_the_same() -> None:
    torch.manual_seed(0)
    model = center_offset(ONE, channels=(8, 16, 16))
    model(torch.randn(4, 3, 64, 64))  # batch statistics other than those of birth
    model.eval()
    ready = model.prepared()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        for one, other in zip(model(image), ready(image), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in ready.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
