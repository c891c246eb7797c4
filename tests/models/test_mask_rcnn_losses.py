"""The same losses as torchvision with the same random draws; and batches with nothing to learn from."""

import numpy as np
import pytest
import torch

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.models.mask_rcnn import (
    load_torchvision_state_dict,
    mask_rcnn,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)

CLASSES = Labels(tuple(f"class {i}" for i in range(1, 91)))
INPUT = InputSpec(128, 200)
THEIR_NAMES = {
    "objectness": "loss_objectness",
    "proposal_box": "loss_rpn_box_reg",
    "class": "loss_classifier",
    "box": "loss_box_reg",
    "mask": "loss_mask",
}


def blobs(size, count, seed, classes=CLASSES):
    rng = np.random.default_rng(seed)
    dense = np.zeros((count, *size), bool)
    for plane in dense:
        y, x = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        h, w = rng.integers(10, 60, 2)
        plane[y : y + h, x : x + w] = rng.random(plane[y : y + h, x : x + w].shape) < 0.9
    labels = rng.integers(0, len(classes), count)
    return Instances(size, labels=labels, masks=Masks.from_dense(dense), classes=classes)


def their_target(truth):
    return {
        "boxes": torch.from_numpy(truth.boxes.copy()),
        "labels": torch.from_numpy(truth.labels + 1),
        "masks": torch.from_numpy(truth.masks.dense().astype(np.uint8)),
    }


@pytest.mark.parametrize("variant", ["v1", "v2"])
@pytest.mark.parametrize("counts", [(4, 0, 7), (0, 0), (1,)])
def test_equal_to_torchvision(peers, variant, counts):
    theirs = getattr(peers, variant)()
    statistics = {k: v.clone() for k, v in theirs.state_dict().items()}
    build = {"v1": maskrcnn_resnet50_fpn, "v2": maskrcnn_resnet50_fpn_v2}[variant]
    ours = load_torchvision_state_dict(build(classes=CLASSES, input=INPUT).train(), theirs.state_dict())
    ours.proposals.settings, ours.boxes.settings = peers.FEWER, peers.SAMPLED
    sizes = [(128, 160), (150, 128), (128, 128)][
        : len(counts)
    ]  # at the network's scale: masks are not resized
    images = [peers.picture(*size, seed=k) for k, size in enumerate(sizes)]
    truth = [blobs(size, n, k) for k, (size, n) in enumerate(zip(sizes, counts, strict=True))]
    try:
        torch.manual_seed(3)
        expected = theirs.train()([peers.tensor(i) for i in images], [their_target(t) for t in truth])
    finally:
        theirs.eval().load_state_dict(statistics)  # trained norms moved
    torch.manual_seed(3)
    for _ in images:
        torch.empty(1).uniform_()  # their transform draws a size for each image
    found = ours.losses(collate(images, INPUT, truth))
    assert set(found) == set(THEIR_NAMES)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[THEIR_NAMES[name]], rtol=1e-5, atol=1e-5, msg=name)


def small(**settings):
    defaults = {
        "backbone": "resnet18",
        "classes": Labels(("a", "b")),
        "input": InputSpec(None, None),
        "channels": 32,
        "box_width": 64,
        "mask_width": 32,
        "anchor_sizes": ((8,), (16,), (32,), (64,), (128,)),
    }
    return mask_rcnn(**{**defaults, **settings})


TWO = Labels(("a", "b"))


@pytest.mark.parametrize("box_head", ["linear", "conv"])
@pytest.mark.parametrize("head_norm", ["none", "batch", "group"])
def test_images_without_objects_give_every_parameter_a_gradient(head_norm, box_head):
    model = small(head_norm=head_norm, box_head=box_head)
    truth = [Instances.empty((64, 64), TWO)] * 2
    losses = model.losses(collate([np.zeros((64, 64), np.uint8)] * 2, model.input, truth))
    assert all(torch.isfinite(v) for v in losses.values())
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_no_proposals_at_all():
    model = small(proposals={"after_nms_training": 0})
    images = [np.zeros((64, 64), np.uint8)] * 2
    losses = model.losses(collate(images, model.input, [Instances.empty((64, 64), TWO)] * 2))
    assert losses["class"] == losses["box"] == losses["mask"] == 0
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    # with objects, the true boxes are proposals themselves
    losses = model.losses(
        collate(images, model.input, [blobs((64, 64), 2, 0, TWO), Instances.empty((64, 64), TWO)])
    )
    assert losses["mask"] > 0 and torch.isfinite(sum(losses.values()))


def test_detecting_without_proposals():
    model = small(proposals={"after_nms": 0}).eval()
    found = model.detect(collate([np.zeros((64, 64), np.uint8)] * 2, model.input))
    assert [len(f) for f in found] == [0, 0] and found[0].masks.size == (64, 64)


def test_crowds_and_objects_without_area_do_not_train():
    model = small().eval()  # fixed norms: the same features both times
    truth = blobs((64, 64), 3, 1, TWO)
    flat = np.array([[5, 5, 5, 5]], np.float32)
    more = Instances(
        (64, 64),
        np.concatenate([truth.boxes, flat, truth.boxes[:1] + 1]),
        np.concatenate([truth.labels, [0, 1]]),
        masks=Masks.concatenate([truth.masks, Masks.empty((64, 64)), truth.masks[:1], truth.masks[:1]]),
        crowd=[False, False, False, False, True],
        classes=TWO,
    )
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    totals = []
    for one in (truth, more):
        torch.manual_seed(0)
        totals.append({k: v.item() for k, v in model.losses(collate([image], model.input, [one])).items()})
    assert totals[0] == totals[1]


def test_refuses_missing_targets_and_missing_masks():
    model = small()
    image = np.zeros((64, 64), np.uint8)
    with pytest.raises(InputError, match="expected a batch with targets"):
        model.losses(collate([image], model.input))
    boxes_only = Instances((64, 64), [[1, 1, 20, 20]], classes=TWO)
    with pytest.raises(InputError, match="expected objects with masks"):
        model.losses(Batch(torch.zeros(1, 3, 64, 64), [(64, 64)], [(64, 64)], [boxes_only]))


def test_overfits_two_images():
    torch.manual_seed(0)
    few = {"before_nms_training": 100, "after_nms_training": 50, "samples": 64}
    model = small(norm="batch", proposals=few, sampling={"samples": 32}).train()
    images, truth = [], []
    for seed in range(2):
        objects = blobs((64, 64), 3, seed, TWO)
        canvas = np.random.default_rng(seed).integers(0, 30, (64, 64, 3), dtype=np.uint8)
        for mask, label in zip(objects.masks.dense(), objects.labels, strict=True):
            canvas[mask] = ((220, 60, 60), (60, 60, 220))[label]
        images.append(canvas)
        truth.append(objects)
    batch = collate(images, model.input, truth)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    history = []
    for _ in range(40):
        losses = model.losses(batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    start, end = sum(history[0].values()), np.mean([sum(h.values()) for h in history[-5:]])
    assert end < 0.45 * start, (history[0], history[-1])
    assert np.mean([h["mask"] for h in history[-5:]]) < 0.8 * history[0]["mask"]
