import json
import logging

import numpy as np
import pytest
import torch

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import CheckpointError, InputError
from delineate.core.labels import Labels
from delineate.models.mask_rcnn import (
    COCO,
    Outputs,
    faster_rcnn,
    fasterrcnn_resnet50_fpn_v2,
    load_torchvision_state_dict,
    mask_rcnn,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from delineate.models.mask_rcnn.torchvision_weights import our_name
from delineate.nn.norms import FrozenBatchNorm2d

TWO = Labels(("a", "b"))


@pytest.fixture(scope="module")
def tiny():
    return mask_rcnn("resnet18", TWO, InputSpec(None, None), channels=16, box_width=32, mask_width=16).eval()


# -- building -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "parameters"), [(maskrcnn_resnet50_fpn, 44_401_393), (maskrcnn_resnet50_fpn_v2, 46_359_409)]
)
def test_parameter_counts_of_the_published_models(build, parameters):
    model = build()
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.classes) == 80 and model.boxes.outputs == 91


@pytest.mark.parametrize(
    "build",
    [
        lambda **s: maskrcnn_resnet50_fpn(**{"norm_eps": 0.0, **s}),
        lambda **s: mask_rcnn(
            **{
                "backbone": "resnet18",
                "channels": 16,
                "limits": {"max_det": 7},
                "sampling": {"samples": 64},
                "anchor_sizes": ((4,), (8,), (16,), (32,), (64,)),
                **s,
            }
        ),
        lambda **s: faster_rcnn(**{"backbone": "resnet18", "box_head": "conv", "head_norm": "group", **s}),
        lambda **s: fasterrcnn_resnet50_fpn_v2(**s),
    ],
)
def test_settings_build_it_again(build):
    model = build(classes=TWO, input=InputSpec(64, 96))
    settings = json.loads(json.dumps(model.settings))
    again = build(classes=TWO.to_dict(), input=model.input.to_dict(), **settings)
    assert again.classes == TWO and again.input == model.input and again.limits == model.limits
    assert again.family == model.family
    again.load_state_dict(model.state_dict())
    eps = [m.eps for m in model.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert eps == [m.eps for m in again.modules() if isinstance(m, FrozenBatchNorm2d)]


def test_frozen_norms_and_stages():
    model = maskrcnn_resnet50_fpn(TWO, norm_eps=0.0, trainable_stages=3)
    norms = [m for m in model.backbone.body.modules() if isinstance(m, FrozenBatchNorm2d)]
    assert len(norms) == 53 and {n.eps for n in norms} == {0.0}
    learning = {n.split(".")[0] for n, p in model.backbone.body.named_parameters() if p.requires_grad}
    assert learning == {"layer2", "layer3", "layer4"}


def test_a_backbone_that_is_no_resnet():
    model = mask_rcnn(
        "convnext_atto", TWO, InputSpec(None, None), channels=16, box_width=32, mask_width=16
    ).eval()
    assert model.detect(collate([np.zeros((64, 96), np.uint8)], model.input))[0].size == (64, 96)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "resnet1800"}, "backbone 'resnet1800'"),
        ({"backbone": "vit_small_patch14_dinov2"}, "strides"),
        ({"norm": "layer"}, "norm: expected one of frozen, batch"),
        ({"head_norm": "layer"}, "norm: expected one of none, batch, group"),
        ({"box_head": "deep"}, "box_head: expected linear or conv"),
        ({"trainable_stages": 6}, "trainable_stages: expected 0..5"),
        ({"limits": {"threshold": 0.5}}, "Limits: expected fields of confidence, iou, max_det"),
        ({"columns": (1, 2, 3)}, "columns: expected one per class"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(InputError, match=message):
        mask_rcnn(**{"backbone": "resnet18", "classes": TWO, "channels": 16, "box_width": 16, **settings})


def test_no_download_offline(monkeypatch):
    monkeypatch.setenv("DELINEATE_OFFLINE", "1")
    with pytest.raises(InputError, match="DELINEATE_OFFLINE=1"):
        mask_rcnn("resnet18", TWO, pretrained_backbone=True)


# -- torchvision's weights ------------------------------------------------------------------------------


def old_names(state):
    """The names of the released v1 file, made before torchvision 0.13."""
    renamed = {}
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        for group in ("inner_blocks", "layer_blocks"):
            for level in range(4):
                key = key.replace(f"fpn.{group}.{level}.0.", f"fpn.{group}.{level}.")
        key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for k in range(4):
            key = key.replace(f"roi_heads.mask_head.{k}.0.", f"roi_heads.mask_head.mask_fcn{k + 1}.")
        renamed[key] = value
    return renamed


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_every_key_of_v1_finds_its_place(peers, frozen, old):
    state = peers.v1(frozen).state_dict()
    if old:
        state = old_names(state)
        assert "roi_heads.mask_head.mask_fcn1.weight" in state and "rpn.head.conv.bias" in state
    model = load_torchvision_state_dict(maskrcnn_resnet50_fpn(), state)
    own = model.state_dict()
    copied = {our_name(k): v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert set(copied) == set(own)
    assert all(torch.equal(own[k], v) for k, v in copied.items())


def test_every_key_of_v2_finds_its_place(peers):
    state = peers.v2().state_dict()
    own = load_torchvision_state_dict(maskrcnn_resnet50_fpn_v2(), state).state_dict()
    assert len(state) == len(own) == 432
    assert {our_name(k) for k in state} == set(own)


def test_mismatches_are_listed_and_nothing_is_copied(peers):
    state = dict(peers.v1().state_dict())
    model = maskrcnn_resnet50_fpn()
    before = model.proposals.head.objectness.weight.clone()
    del state["rpn.head.cls_logits.bias"]
    state["backbone.body.layer9.weight"] = torch.zeros(1)
    state["mystery"] = torch.zeros(1)
    state["roi_heads.box_head.fc7.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError) as caught:
        load_torchvision_state_dict(model, state)
    for part in (
        "2 unknown: backbone.body.layer9.weight, mystery",
        "1 missing: proposals.head.objectness.bias",
        "1 other shape: boxes.head.fc2.bias (1024,) got (3,)",
    ):
        assert part in str(caught.value)
    assert torch.equal(model.proposals.head.objectness.weight, before)


def test_v2_weights_do_not_fit_v1_nor_other_classes_unless_asked(peers):
    with pytest.raises(CheckpointError, match="build the variant"):
        load_torchvision_state_dict(maskrcnn_resnet50_fpn(), peers.v2().state_dict())
    state = peers.v1().state_dict()
    with pytest.raises(CheckpointError, match="other shape"):
        load_torchvision_state_dict(maskrcnn_resnet50_fpn(TWO), state)
    model = maskrcnn_resnet50_fpn(TWO)
    before = model.boxes.class_logits.weight.clone()
    load_torchvision_state_dict(model, state, predictors=False)
    assert torch.equal(model.boxes.head.fc1.weight, state["roi_heads.box_head.fc6.weight"])
    assert torch.equal(model.boxes.class_logits.weight, before)


def test_coco_names():
    assert len(COCO) == 80 and COCO.ids[-1] == 90
    assert (COCO.name(0), COCO.name(79), COCO.name(COCO.index(72))) == ("person", "toothbrush", "tv")
    assert not {12, 26, 29, 30, 45, 66, 68, 69, 71, 83} & set(COCO.ids)


# -- limits of the outputs ---------------------------------------------------------------------------------


def outputs(total=4):
    """Four boxes: two overlap by half, one other class, one faint."""
    boxes = torch.tensor(
        [[0, 0, 20, 20], [0, 0, 20, 12], [0, 0, 20, 20], [40, 40, 60, 60]], dtype=torch.float32
    )
    return Outputs(
        boxes[None],
        torch.tensor([[0, 0, 1, 0]]),
        torch.tensor([[0.9, 0.8, 0.7, 0.2]]),
        torch.tensor([4]),
        torch.tensor([total]),
        torch.full((1, 4, 28, 28), 0.9),
    )


BATCH = Batch(torch.zeros(1, 3, 64, 64), [(64, 64)], [(128, 128)])


def test_instances_in_original_pixels(tiny):
    found = tiny.instances(outputs(), BATCH)[0]
    assert found.size == (128, 128) and found.classes == TWO
    assert found.boxes[3].tolist() == [80, 80, 120, 120]
    assert found.masks.boxes[3].tolist() == [80, 80, 120, 120]
    assert found.labels.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, 4),
        ({"confidence": 0.5}, 3),
        ({"iou": 0.4}, 3),
        ({"confidence": 0.95}, 0),
        ({"iou": 0.4, "confidence": 0.75}, 1),
    ],
)
def test_tighter_limits(tiny, caplog, limits, kept):
    with caplog.at_level(logging.WARNING, "delineate"):
        assert len(tiny.instances(outputs(), BATCH, **limits)[0]) == kept
    assert not caplog.records


@pytest.mark.parametrize(
    ("total", "limits", "warned"),
    [
        (4, {"max_det": 4}, False),
        (4, {"max_det": 2}, True),
        (9, {}, True),  # forward itself cut
        (9, {"confidence": 0.5}, False),  # what was cut is fainter still
        (4, {"max_det": 3, "confidence": 0.5}, False),
    ],
)
def test_reaching_max_det_is_told(tiny, caplog, total, limits, warned):
    with caplog.at_level(logging.WARNING, "delineate"):
        tiny.instances(outputs(total), BATCH, **limits)
    assert warned == any("raise max_det" in r.message for r in caplog.records)


def test_wider_limits_than_forward_had_are_told(tiny, caplog):
    with caplog.at_level(logging.WARNING, "delineate"):
        tiny.instances(outputs(), BATCH, confidence=0.01)
    assert "use detect() for wider ones" in caplog.text
