"""The original's weights give the original's outputs, priors, detections and masks."""

import importlib.util
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from delineate.core.batch import collate
from delineate.core.errors import CheckpointError
from delineate.models.yolact import yolact
from delineate.models.yolact.original_weights import our_name
from delineate.models.zoo import build


@pytest.fixture(scope="module")
def oracle(data_dir):
    folder = data_dir.parent / "oracles" / "yolact"
    if not folder.is_dir():
        pytest.skip(f"no outputs of the original at {folder}; they lie beside the data folder")
    return folder


@pytest.fixture(scope="module")
def weights(oracle):
    """The original's names, values drawn by formula."""
    spec = importlib.util.spec_from_file_location("formula", oracle.parent / "formula.py")
    formula = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(formula)
    table = formula.load_spec(oracle / "weights.json")
    formula.check(table)
    return {name: torch.from_numpy(value) for name, value in formula.make_weights(table).items()}


@pytest.fixture(scope="module")
def run(oracle, weights):
    """The model, its batch and raw outputs, and what the original put out."""
    model = build("yolact_resnet50").eval()
    assert model.load_published(weights)
    batch = collate([np.array(Image.open(oracle / "input.png"))], model.input)
    with torch.inference_mode():
        raw, _ = model._raw(batch.images)
        outputs = model(batch.images)
    return model, batch, raw, outputs, np.load(oracle / "outputs.npz")


def close(mine, theirs, relative=2e-4):
    """Within the stated part of the output's spread."""
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=relative * float(theirs.astype(np.float64).std()))


def test_input(run):
    _, batch, _, _, theirs = run
    found = [batch.images.mean(), batch.images.std(), batch.images.abs().max()]
    np.testing.assert_allclose(np.array(found), theirs["input.stats"], atol=1e-5)


def test_raw_outputs(run):
    _, _, raw, outputs, theirs = run
    close(raw.offsets[0, ::7].numpy(), theirs["loc"])
    close(raw.coefficients[0, ::13].numpy(), theirs["mask"])
    close(raw.logits.softmax(-1)[0, ::29].numpy(), theirs["conf"])
    close(outputs.scores[0, ::29].numpy(), theirs["conf"][:, 1:])
    theirs_half = theirs["proto"]  # stored in float16
    close(raw.prototypes[0, :, ::2, ::2].permute(1, 2, 0).numpy(), theirs_half, relative=2e-3)


def test_priors(run):
    _, _, raw, _, theirs = run
    assert len(raw.priors) == int(theirs["priors.count"][0]) == 19248
    relative = raw.priors / 550
    boxes = torch.cat([(relative[:, :2] + relative[:, 2:]) / 2, relative[:, 2:] - relative[:, :2]], 1).numpy()
    np.testing.assert_allclose(boxes[:20], theirs["priors.first"], atol=1e-6)
    np.testing.assert_allclose(boxes[-20:], theirs["priors.last"], atol=1e-6)


def test_detections(run, caplog):
    """The same 100 detections; ours leave out those whose mask has no pixel, and keep fractions of pixels."""
    model, batch, _, outputs, theirs = run
    with caplog.at_level(logging.WARNING, logger="delineate"):
        found = model.instances(outputs, batch)[0]
    assert "kept the 100 best detections of" in caplog.text
    packed = theirs["det.mask_bits"]
    masks = np.unpackbits(packed, axis=1).reshape(len(packed), 480, 640).astype(bool)
    dense = found.masks.dense()
    matched, different = set(), []
    unmatched = 0
    for i, (label, score, box) in enumerate(
        zip(theirs["det.class"], theirs["det.score"], theirs["det.box"], strict=True)
    ):
        near = (np.abs(found.boxes - box).max(1) < 1.001) & (found.labels == label)
        same = np.flatnonzero(near & (np.abs(found.scores - score) < 2e-5))
        assert len(same) <= 1
        matched.update(same.tolist())
        unmatched += not len(same)
        if i < len(masks):
            assert bool(len(same)) == bool(masks[i].any()), i
            different += [int((dense[k] ^ masks[i]).sum()) for k in same]
    assert len(matched) == len(found)  # every one of ours is one of theirs
    assert len(found) + unmatched == 100  # and the rest of theirs has no pixel
    # bit for bit but for one pixel, whose probability is 0.5 up to rounding
    assert sum(different) <= 2 and len(different) >= 19


def test_weights_of_another_variant_give_one_clear_line(weights):
    def variant(**settings):
        with torch.device("meta"):
            return yolact(**settings)

    with pytest.raises(CheckpointError, match=r"missing: body.net.layer3.6.* name the variant"):
        variant(backbone="resnet101").load_published(weights)
    with pytest.raises(CheckpointError, match=r"unknown: backbone\.layers"):
        variant(backbone="resnet18").load_published(weights)
    with pytest.raises(
        CheckpointError, match=r"other shape: head.offsets.weight \(36, 256, 3, 3\) got \(12,"
    ):
        variant(anchor_steps=3).load_published(weights)
    with pytest.raises(CheckpointError, match="missing: rater"):
        variant(mask_rating=True).load_published(weights)
    deformable = {**weights, "backbone.layers.1.0.conv2.conv_offset_mask.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="without deformable convolutions"):
        variant().load_published(deformable)
    assert not variant().load_published({"body.net.conv1.weight": torch.zeros(1)})  # not the original's


def test_copies_in_some_releases_are_passed_over(weights):
    more = {
        **weights,
        "backbone.layer1.0.conv1.weight": weights["backbone.layers.0.0.conv1.weight"],
        "fpn.downsample_layers.2.weight": weights["fpn.downsample_layers.1.weight"],
        "fpn.downsample_layers.2.bias": weights["fpn.downsample_layers.1.bias"],
    }
    model = yolact()
    assert model.load_published(more)
    torch.testing.assert_close(model.semantic_head.bias, weights["semantic_seg_conv.bias"])


def test_every_key_has_its_own_place(weights):
    names = [our_name(key) for key in weights]
    assert None not in names and len(set(names)) == len(names)
