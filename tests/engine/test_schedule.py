"""Which parameters learn at which rate and decay."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from delineate.core.errors import InputError
from delineate.engine.config import Train
from delineate.engine.schedule import backbone_of, optimizer
from delineate.models.zoo import build

SMALL = {
    "backbone": "resnet10t", "queries": 4, "encoder_layers": 1, "decoder_layers": 1, "channels": 64,
    "encoder_hidden": 64, "decoder_hidden": 64,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["adamw", "sgd", "muon"])
def test_the_backbone_at_a_tenth_and_no_decay_of_embeddings(kind: str) -> None:
    model = build("mask2former", **SMALL)
    rates = optimizer(model, Train(optimizer=kind, backbone_lr=0.1, weight_decay=0.05))
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)]: (group.get("part", 1.0), group["weight_decay"])
        for group in rates.param_groups
        for p in group["params"]
    }
    assert set(found) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert found["backbone.layer1.0.conv1.weight"] == (0.1, 0.05)
    assert found["decoder.to_classes.weight"] == (1.0, 0.05)
    assert found["decoder.to_classes.bias"] == found["decoder.norm.weight"] == (1.0, 0.0)
    assert found["decoder.content.weight"] == found["decoder.level_code.weight"] == (1.0, 0.0)
    assert found["pixel_decoder.level_code"] == (1.0, 0.05)  # as the originals: a bare parameter
    assert {part for name, (part, _) in found.items() if name.startswith("backbone.")} == {0.1}
    assert {part for name, (part, _) in found.items() if not name.startswith("backbone.")} == {1.0}


def test_one_rate_makes_two_groups() -> None:
    groups = optimizer(build("mask2former", **SMALL), Train()).param_groups
    assert len(groups) == 2 and not any("part" in group for group in groups)


def test_positions_do_not_decay() -> None:
    model = nn.Module()
    model.relative_position_bias_table = nn.Parameter(torch.zeros(9, 2))
    (group,) = optimizer(model, Train()).param_groups
    assert group["weight_decay"] == 0


@pytest.mark.parametrize("name", ["mask_rcnn", "yolact"])
def test_a_neck_is_no_backbone(name: str) -> None:
    body = backbone_of(build(name, backbone="resnet18"))
    assert "layer1.0.conv1.weight" in body.state_dict()


@pytest.mark.parametrize("name", ["mask2former", "semantic_fpn", "yolact"])
def test_a_pyramid_on_a_transformer_is_no_backbone(name: str) -> None:
    small = SMALL if name == "mask2former" else {"channels": 32}
    body = backbone_of(build(name, **{**small, "backbone": "test_vit"}))
    assert "blocks.0.attn.qkv.weight" in body.state_dict()


def test_a_model_without_a_backbone_is_told() -> None:
    with pytest.raises(InputError, match="expected a model with a backbone"):
        optimizer(build("center_offset", channels=(8, 8)), dataclasses.replace(Train(), backbone_lr=0.1))
