"""The same boxes, labels, scores and masks as torchvision, live, with the same random weights."""

import numpy as np
import pytest
import torch
from torchvision.models.detection import FasterRCNN as TheirFasterRCNN

from delineate.core.batch import InputSpec, collate
from delineate.core.labels import Labels
from delineate.models.mask_rcnn import (
    COCO,
    fasterrcnn_resnet50_fpn,
    load_torchvision_state_dict,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)

BUILD = {"v1": maskrcnn_resnet50_fpn, "v2": maskrcnn_resnet50_fpn_v2}
ALL_COLUMNS = Labels(tuple(f"class {i}" for i in range(1, 91)))
INPUT = InputSpec(128, 200)


@pytest.fixture(scope="module")
def pairs(peers):
    def build(variant):
        theirs = getattr(peers, variant)().eval()
        ours = BUILD[variant](classes=ALL_COLUMNS, input=INPUT).eval()
        ours.proposals.settings = peers.FEWER
        return load_torchvision_state_dict(ours, theirs.state_dict()), theirs

    return {variant: build(variant) for variant in BUILD}


def detected_by(theirs, peers, images):
    with torch.inference_mode():
        results = theirs([peers.tensor(i) for i in images])
    return [{k: v.numpy() for k, v in r.items()} for r in results]


def assert_same(found, expected):
    assert found.size == expected["masks"].shape[-2:]
    np.testing.assert_array_equal(found.labels + 1, expected["labels"])
    np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected["boxes"], atol=1e-3)
    np.testing.assert_array_equal(found.masks.dense(), expected["masks"][:, 0] > 0.5)


@pytest.mark.parametrize("variant", ["v1", "v2"])
@pytest.mark.parametrize(
    "sizes",
    [
        [(128, 160)],
        [(60, 300)],  # the longest edge decides
        [(97, 143), (160, 120)],  # unequal: padding, and clipping to each image
    ],
)
def test_equal_to_torchvision(pairs, peers, variant, sizes):
    ours, theirs = pairs[variant]
    images = [peers.picture(*size, seed=k) for k, size in enumerate(sizes)]
    expected = detected_by(theirs, peers, images)
    for found, one in zip(ours.detect(collate(images, INPUT)), expected, strict=True):
        assert_same(found, one)
    assert all(len(e["labels"]) > 5 for e in expected)
    assert any(len(set(e["labels"])) > 3 for e in expected)


def test_no_detections(pairs, peers, monkeypatch):
    ours, theirs = pairs["v1"]
    monkeypatch.setattr(theirs.roi_heads, "score_thresh", 1.0)
    image = peers.picture(128, 160)
    assert_same(
        ours.detect(collate([image], INPUT), confidence=1.0)[0], detected_by(theirs, peers, [image])[0]
    )


def test_limits_reach_the_first_step(pairs, peers, monkeypatch):
    ours, theirs = pairs["v1"]
    for name, value in (("score_thresh", 0.01), ("nms_thresh", 0.8), ("detections_per_img", 300)):
        monkeypatch.setattr(theirs.roi_heads, name, value)
    image = peers.picture(120, 160, seed=3)
    found = ours.detect(collate([image], INPUT), confidence=0.01, iou=0.8, max_det=300)[0]
    expected = detected_by(theirs, peers, [image])[0]
    assert len(found) > 100
    assert_same(found, expected)


def test_forward_without_sizes_takes_all_as_image(pairs, peers):
    ours, _ = pairs["v1"]
    batch = collate([peers.picture(128, 160)], INPUT)
    with torch.inference_mode():
        outputs = ours(batch.images)
    assert outputs.boxes.shape == (1, 100, 4) and outputs.masks.shape == (1, 100, 28, 28)
    count = int(outputs.counts[0])
    assert (outputs.scores[0, :count] > 0.05).all() and not outputs.scores[0, count:].any()
    through = ours.instances(outputs, batch)[0]
    np.testing.assert_array_equal(through.boxes, ours.detect(batch)[0].boxes)


def test_coco_classes_read_the_columns_of_their_ids(pairs, peers):
    _, theirs = pairs["v1"]
    ours = load_torchvision_state_dict(maskrcnn_resnet50_fpn(input=INPUT).eval(), theirs.state_dict())
    ours.proposals.settings = peers.FEWER
    image = peers.picture(128, 160)
    expected = detected_by(theirs, peers, [image])[0]
    named = np.isin(expected["labels"], COCO.ids)  # random weights find the ids without a name too
    assert 0 < named.sum() < len(named) < 100
    found = ours.detect(collate([image], INPUT))[0]
    assert [COCO.ids[label] for label in found.labels] == expected["labels"][named].tolist()
    np.testing.assert_allclose(found.boxes, expected["boxes"][named], atol=1e-3)
    np.testing.assert_array_equal(found.masks.dense(), expected["masks"][named, 0] > 0.5)


@pytest.mark.parametrize("variant", ["v1", "v2"])
def test_prepared_copy_detects_the_same(pairs, peers, variant):
    ours, _ = pairs[variant]
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    ready = ours.prepared()
    assert not any(p.requires_grad for p in ready.parameters())
    batch = collate([peers.picture(128, 160), peers.picture(90, 160, seed=1)], INPUT)
    for fast, plain in zip(ready.detect(batch), ours.detect(batch), strict=True):
        assert len(fast) == len(plain)
        # rounding differs, and close scores may change places
        distance = np.abs(fast.boxes[:, None] - plain.boxes[None]).max(2)
        distance[fast.labels[:, None] != plain.labels[None]] = np.inf
        nearest = distance.argmin(1)
        assert sorted(nearest) == list(range(len(plain)))
        assert distance.min(1).max() < 0.2
        np.testing.assert_allclose(fast.scores, plain.scores[nearest], atol=0.01)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name])


def test_faster_rcnn_alone(pairs, peers):
    mask_model, theirs = pairs["v1"]
    ours = fasterrcnn_resnet50_fpn(classes=ALL_COLUMNS, input=INPUT).eval()
    ours.proposals.settings = peers.FEWER
    load_torchvision_state_dict(ours, theirs.state_dict())  # a Mask R-CNN's file holds a Faster R-CNN
    boxes_only = {k: v for k, v in theirs.state_dict().items() if "mask" not in k}
    peer = TheirFasterRCNN(theirs.backbone, 91, **peers.SMALL).eval()
    peer.load_state_dict(boxes_only)
    image = peers.picture(128, 160)
    expected = detected_by(peer, peers, [image])[0]
    found = ours.detect(collate([image], INPUT))[0]
    assert found.masks is None
    np.testing.assert_array_equal(found.labels + 1, expected["labels"])
    np.testing.assert_allclose(found.boxes, expected["boxes"], atol=1e-3)
    assert set(ours.state_dict()) < set(mask_model.state_dict())
