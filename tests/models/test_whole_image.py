"""Stuff beside objects: losses, classes of pixels, and the models that have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.panoptic import Panoptic
from delineate.core.stuff import whole
from delineate.engine.load import Model, load
from delineate.metrics.panoptic_quality import PanopticQuality
from delineate.models import whole_image
from delineate.models.base import Segmenter
from delineate.models.whole_image import StuffBranch, best_classes, pixel_loss
from delineate.models.zoo import build

CLASSES = Labels(("disc", "grass", "sky"), ids=(3, 5, 9), things=(True, False, False))
INPUT = InputSpec(shortest_edge=None, longest_edge=None)
PANOPTIC_FPN: dict[str, Any] = {
    "backbone": "resnet10t", "channels": 32, "box_width": 64, "mask_width": 32, "stuff_width": 32,
    "neck_norm": "group", "anchor_sizes": [[8], [16], [32], [64], [128]],
    "sampling": {"samples": 64}, "proposals": {"before_nms_training": 100, "after_nms_training": 50},
}  # fmt: skip
FAMILIES = {
    "panoptic_fpn": PANOPTIC_FPN,
    "semantic_fpn": {"backbone": "resnet10t", "channels": 32, "width": 32, "neck_norm": "group"},
}


def scene(seed: int, size: tuple[int, int] = (64, 96)) -> tuple[np.ndarray, Panoptic]:
    """Two discs, in front of grass below and sky above; void at the right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    image = np.where(y < size[0] // 2, 2, 1)
    image[:, -4:] = 0
    for k, left in enumerate((20, 64)):
        centre, radius = (rng.integers(20, 44), left + rng.integers(0, 8)), rng.integers(8, 14)
        image[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = 3 + k
    colours = np.array([[0, 0, 0], [60, 160, 40], [120, 170, 250], [230, 40, 40], [230, 40, 40]])
    pixels = np.clip(colours[image] + rng.normal(0, 6, (*size, 3)), 0, 255).astype(np.uint8)
    return pixels, Panoptic(image, labels=[1, 2, 0, 0], classes=CLASSES)


def batch_of(seeds: range) -> Batch:
    scenes = [scene(seed) for seed in seeds]
    return collate([image for image, _ in scenes], INPUT, [whole(truth) for _, truth in scenes])


def model_of(family: str) -> Segmenter:
    torch.manual_seed(0)
    return build(family, classes=CLASSES, input=INPUT, **FAMILIES[family])


@pytest.mark.parametrize(("original", "at_once"), [((64, 96), 10**6), ((33, 71), 500), ((130, 95), 10**6)])
def test_classes_of_pixels_as_torch_resizes_them(
    original: tuple[int, int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_image, "AT_ONCE", at_once)
    logits = torch.randn(1, 4, 16, 24, generator=torch.Generator().manual_seed(1))
    inner = (60, 90)
    batch = Batch(torch.zeros(1, 3, 64, 96), [inner], [original])
    found = best_classes(logits, batch, np.array([7, 3, 5, -1], np.int16))[0]
    large = F.interpolate(logits, size=(64, 96), mode="bilinear")[:, :, :60, :90]
    if original != inner:
        large = F.interpolate(large, size=original, mode="bilinear")
    wanted = torch.tensor([7, 3, 5, -1])[large[0].argmax(0)].numpy()
    assert (found != wanted).mean() < 1e-3  # ties in the last bit


def test_the_loss_is_the_mean_over_known_pixels() -> None:
    batch = batch_of(range(2))
    branch = StuffBranch(CLASSES, 8, levels=1, channels=8, weight=0.25)
    assert branch.columns.tolist() == [2, 0, 1]  # disc is "other", the last
    features = [torch.randn(2, 8, 16, 24)]
    large = F.interpolate(branch(features), size=(64, 96), mode="bilinear")
    target = torch.stack([torch.from_numpy(scene(i)[1].to_semantic().map.astype(np.int64)) for i in range(2)])
    column = torch.tensor([2, 0, 1, -100])[target]
    wanted = 0.25 * F.cross_entropy(large, column)
    torch.testing.assert_close(branch.losses(features, batch)["stuff"], wanted)


def test_nothing_known_costs_nothing() -> None:
    batch = batch_of(range(1))
    batch.targets = [Instances.empty((64, 96), CLASSES)]
    logits = torch.randn(1, 3, 16, 24, requires_grad=True)
    loss = pixel_loss(logits, batch, torch.arange(3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0 and logits.grad is not None and not logits.grad.any()
    batch.targets = None
    with pytest.raises(InputError, match="expected a batch with targets"):
        pixel_loss(logits, batch, torch.arange(3))


def test_detectors_do_not_train_on_stuff() -> None:
    model = model_of("panoptic_fpn").train()
    batch = batch_of(range(2))
    torch.manual_seed(1)
    both = model.losses(batch)
    batch.targets = [t[t.labels == 0] for t in batch.targets or []]
    torch.manual_seed(1)
    alone = model.losses(batch)
    assert sorted(both) == ["box", "class", "mask", "objectness", "proposal_box", "stuff"]
    for name in set(both) - {"stuff"}:
        assert both[name].item() == alone[name].item()
    assert both["stuff"].item() != alone["stuff"].item()


ONE_STAGE: dict[str, dict[str, Any]] = {
    "yolo_seg_n": {"stuff": True},
    "yolact": {"stuff": True, "backbone": "resnet10t", "channels": 32, "norm": "group", "mask_rating": True},
}


@pytest.mark.parametrize("family", ONE_STAGE)
def test_one_stage_detectors_take_the_same_branch(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings = ONE_STAGE[family]
    if family == "yolact":
        settings = settings | {
            "input": InputSpec(stretch=96, divisor=1)
        }  # sides that are no doubles: 12, 6, 3
    model = build(family, classes=CLASSES, **settings).train()
    scenes = [scene(seed) for seed in range(2)]
    images, truth = [image for image, _ in scenes], [whole(found) for _, found in scenes]
    batch = collate(images, InputSpec(shortest_edge=90, longest_edge=200), truth)
    torch.manual_seed(1)
    losses = model.losses(batch)
    torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert model.stuff.head.scores.weight.grad.abs().sum() > 0  # type: ignore[union-attr]
    batch.targets = [t[t.labels == 0] for t in truth]
    torch.manual_seed(1)
    alone = model.losses(batch)
    assert losses.keys() == alone.keys() and "stuff" in losses
    ready = Model(model, family)
    image, whole_truth = scenes[0]
    assert set(ready.predict(image, confidence=0.0, max_det=20).names) <= {"disc"}
    found = ready.panoptic(image, confidence=0.0)
    assert found.size == whole_truth.size and found.classes == CLASSES
    again = load(weights=ready.save(tmp_path / "a.safetensors"))
    assert again.semantic(image) == ready.semantic(image)
    assert again.segmenter.tasks == ("instance", "semantic", "panoptic")


@pytest.mark.parametrize("family", FAMILIES)
def test_both_learn(family: str) -> None:
    model = model_of(family).train()
    batch = batch_of(range(2))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(70 if family == "panoptic_fpn" else 25):
        loss = torch.stack(list(model.losses(batch).values())).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    for module in model.modules():  # statistics of these few steps, not of their beginning
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model.losses(batch)
    image, truth = scene(0)
    ready = Model(model)
    said = ready.semantic(image)
    known = truth.to_semantic().map >= 0
    assert (said.map == truth.to_semantic().map)[known].mean() > 0.9
    if family == "panoptic_fpn":
        found = ready.panoptic(image)
        metric = PanopticQuality()
        metric.update(found, truth)
        assert metric.compute().all.pq > 0.6 and metric.compute().stuff.rq == 1
        assert set(ready.predict(image, confidence=0.0).names) <= {"disc"}


def test_saved_and_loaded(tmp_path: Path) -> None:
    image, _ = scene(3)
    for family in FAMILIES:
        model = Model(model_of(family).eval(), family)
        again = load(weights=model.save(tmp_path / f"{family}.safetensors"))
        assert again.segmenter.tasks == model.segmenter.tasks
        assert again.semantic(image) == model.semantic(image)


def test_who_can_what() -> None:
    semantic, image = Model(model_of("semantic_fpn")), scene(0)[0]
    with pytest.raises(InputError, match=r"instance: .* got semantic_fpn, which does semantic alone"):
        semantic.predict(image)
    with pytest.raises(InputError, match=r"panoptic: .* got semantic_fpn, which does semantic alone"):
        semantic.panoptic(image)
    objects = build("mask_rcnn", classes=CLASSES, input=INPUT, backbone="resnet10t", channels=32)
    assert objects.tasks == ("instance",)
    with pytest.raises(InputError, match="got mask_rcnn, which finds objects alone"):
        Model(objects).panoptic(image)
