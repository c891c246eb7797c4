"""Files in Hugging Face's names, written and run by ``transformers`` where it is installed, and the keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import delineate as dl
from delineate.core.errors import CheckpointError
from delineate.models.coco import COCO
from delineate.models.queries import hugging_face_weights, original_weights
from delineate.models.queries.build import mask2former, maskdino
from delineate.models.queries.variant import variant_of
from delineate.nn.timm_features import timm_features

ORDER = (32, 16, 8)
BLOCK = "model.pixel_level_module.encoder.{}encoder.layers.2.blocks.5."
OURS = "backbone.layers.2.blocks.5."


@pytest.mark.parametrize("swin", ["", "swin."])
@pytest.mark.parametrize(
    ("theirs", "ours", "third"),
    [
        ("attention.self.query.weight", "attn.qkv.weight", 0),
        ("attention.self.value.bias", "attn.qkv.bias", 2),
        ("attention.k_proj.bias", "attn.qkv.bias", 1),
        ("attention.output.dense.weight", "attn.proj.weight", None),
        ("attention.o_proj.weight", "attn.proj.weight", None),
        ("attention.self.relative_position_bias_table", "attn.relative_position_bias_table", None),
        ("layernorm_before.weight", "norm1.weight", None),
        ("layernorm_after.bias", "norm2.bias", None),
        ("intermediate.dense.weight", "mlp.fc1.weight", None),
        ("output.dense.bias", "mlp.fc2.bias", None),
        ("mlp.fc2.bias", "mlp.fc2.bias", None),
    ],
)
def test_both_spellings_of_hugging_face(swin: str, theirs: str, ours: str, third: int | None) -> None:
    assert hugging_face_weights.our_name(BLOCK.format(swin) + theirs, ORDER) == (OURS + ours, third)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("backbone.patch_embed.norm.bias", "backbone.patch_embed.norm.bias"),
        ("backbone.layers.0.downsample.reduction.weight", "backbone.layers.1.downsample.reduction.weight"),
        ("backbone.layers.2.blocks.5.attn.qkv.weight", "backbone.layers.2.blocks.5.attn.qkv.weight"),
        ("backbone.norm3.weight", "backbone.norms.3.weight"),
    ],
)
def test_the_originals_swin(swin_names: set[str], theirs: str, ours: str) -> None:
    assert original_weights.our_name(theirs, ORDER) == ours and ours in swin_names


def test_constants_are_not_strangers() -> None:
    for key in ("backbone.layers.0.blocks.0.attn.relative_position_index", "criterion.empty_weight"):
        assert original_weights.IGNORED.match(key)


@pytest.fixture(scope="module")
def swin_names() -> set[str]:
    with torch.device("meta"):
        body = timm_features("swin_tiny_patch4_window7_224", (4, 8, 16, 32))
    return {f"backbone.{name}" for name in body.state_dict()}


@pytest.fixture(scope="module", params=["swin", "resnet"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file as Hugging Face publishes it, and the model that wrote it."""
    theirs = pytest.importorskip("transformers", reason="transformers, which is compared with, is not there")
    stages = ["stage1", "stage2", "stage3", "stage4"]
    body = {
        "swin": lambda: theirs.SwinConfig(
            embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, out_features=stages
        ),
        "resnet": lambda: theirs.ResNetConfig(out_features=stages),
    }[request.param]()
    config = theirs.Mask2FormerConfig(
        backbone_config=body, num_labels=80, num_queries=20, encoder_layers=2, decoder_layers=5
    )
    torch.manual_seed(0)
    model = theirs.Mask2FormerForUniversalSegmentation(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():  # what begins as 0 or 1 is told apart, too
            if "norm" in name or "position_bias" in name or "sampling_offsets.weight" in name:
                value.add_(torch.randn_like(value) * 0.05)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return folder / "model.safetensors", model


def test_outputs_are_those_of_transformers(published: tuple[Path, Any]) -> None:
    path, theirs = published
    model = dl.load(weights=path, device="cpu")
    assert model.name == "mask2former" and model.classes == COCO
    images = torch.randn(1, 3, 160, 224)  # of which no stage but the last is whole windows
    with torch.inference_mode():
        wanted = theirs(pixel_values=images)
        for network in (model.segmenter, model._ready):
            found = network(images)
            np.testing.assert_allclose(found.classes, wanted.class_queries_logits, atol=1e-4)
            np.testing.assert_allclose(found.masks(), wanted.masks_queries_logits, atol=1e-4)


def test_what_does_not_match_is_listed(published: tuple[Path, Any]) -> None:
    path, theirs = published
    with pytest.raises(CheckpointError, match=r"unknown: .*; \d+ missing: .*; \d+ other shape: "):
        dl.load("mask2former_resnet50" if "swin" in str(path) else "mask2former_swin_tiny", weights=path)
    model = mask2former()
    before = model.decoder.content.weight.clone()
    weights = {"model.pixel_level_module.more": torch.zeros(1)} | dict(theirs.state_dict())
    with pytest.raises(CheckpointError, match=r"unknown: .*model\.pixel_level_module\.more"):
        model.load_published(weights)
    assert torch.equal(model.decoder.content.weight, before)


def test_variants_are_known_by_their_weights() -> None:
    assert variant_of({"conv.weight": torch.zeros(1)}) is None
    weights = {
        "class_predictor.bias": torch.zeros(134),
        "model.transformer_module.queries_features.weight": torch.zeros(200, 256),
        "model.pixel_level_module.encoder.embeddings.patch_embeddings.projection.bias": torch.zeros(192),
        "model.pixel_level_module.encoder.encoder.layers.2.blocks.17.layernorm_before.bias": torch.zeros(768),
    }
    name, settings = variant_of(weights, [f"name {i}" for i in range(133)])
    assert name == "mask2former" and settings["backbone"] == "swin_large_patch4_window12_384"
    assert settings["queries"] == 200 and sum(settings["classes"].things) == 80
    assert settings["classes"].names[132] == "name 132"
    assert variant_of(weights, ["too few"])[1]["classes"].names[0] == "class 0"


@pytest.mark.parametrize(("classes", "around_masks"), [(80, True), (133, False)])
def test_mask_dino_begins_as_its_release_did(classes: int, around_masks: bool) -> None:
    """The panoptic releases were trained with the cells' own first boxes, the instance releases were not."""
    weights = {
        "sem_seg_head.predictor.class_embed.bias": torch.zeros(classes),
        "sem_seg_head.predictor.enc_output.bias": torch.zeros(256),
        "backbone.res4.5.conv1.weight": torch.zeros(256, 1024, 1, 1),
    }
    name, settings = variant_of(weights)
    assert name == "maskdino" and settings["boxes_from_masks"] is around_masks
    settings |= {"encoder_layers": 1, "decoder_layers": 1, "encoder_hidden": 32, "backbone": "resnet18"}
    assert maskdino(**settings).decoder.boxes_from_masks is around_masks


def test_names_of_a_config_beside_the_weights(published: tuple[Path, Any]) -> None:
    from delineate.engine.load import _class_names

    path, _ = published
    assert len(_class_names(path)) == 80
    for content in ("[]", "{", json.dumps({"id2label": {"7": "x"}})):
        config = path.parent / "other"
        config.mkdir(exist_ok=True)
        (config / "config.json").write_text(content)
        assert _class_names(config / "model.safetensors") is None
