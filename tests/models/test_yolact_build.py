"""The variants, their limits, and what comes out of them."""

import json
import logging
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.batch import InputSpec, collate
from delineate.core.errors import InputError
from delineate.core.labels import Labels
from delineate.core.suppress import Suppression
from delineate.models.yolact import Limits, yolact
from delineate.models.yolact.choose import choose
from delineate.models.yolact.original_weights import our_name
from delineate.models.yolact.priors import Priors
from delineate.models.yolact.prototypes import MaskRater
from delineate.models.zoo import build

TWO = Labels(("a", "b"))


def small(**changes):
    given = {
        "backbone": "resnet18",
        "classes": TWO,
        "input": InputSpec(None, None),
        "channels": 32,
        "prototypes": 8,
        "anchor_sizes": [[12], [24], [48], [96]],
    }
    torch.manual_seed(0)
    return yolact(**{**given, **changes})


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "millions"),
    # the first three as published; the last without deformable convolutions
    [
        ("yolact_resnet50", 31.16),
        ("yolact_resnet101", 50.16),
        ("yolact_darknet53", 47.78),
        ("yolact_plus_resnet50", 32.89),
    ],
)
def test_sizes_of_the_variants(name, millions):
    with torch.device("meta"):
        model = build(name)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.4 * 0.02)
    assert model.input.network_size((480, 640)) == (550, 550) and model.input.divisor == 1
    assert len(model.classes) == 80


def test_darknet_input_is_only_divided():
    with torch.device("meta"):
        spec = build("yolact_darknet53").input
    assert (spec.mean, spec.std) == ((0, 0, 0), (1, 1, 1))


def test_names_of_the_released_darknet_all_have_a_place():
    with torch.device("meta"):
        own = {k for k in build("yolact_darknet53").state_dict() if k.startswith("body.")}
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    unit = ["0.weight", *(f"1.{n}" for n in norm)]
    theirs = [f"backbone._preconv.{u}" for u in unit]
    for stage, pairs in enumerate((1, 2, 8, 8, 4)):
        theirs += [f"backbone.layers.{stage}.0.{u}" for u in unit]
        theirs += [
            f"backbone.layers.{stage}.{1 + k}.conv{c}.{u}" for k in range(pairs) for c in (1, 2) for u in unit
        ]
    assert {our_name(key) for key in theirs} == own


def test_settings_build_it_again():
    model = small(mask_rating=True, suppression={"kind": "prototype"}, limits=Limits(max_det=7))
    stored = json.loads(json.dumps(model.settings))
    again = yolact(**stored, classes=model.classes.to_dict(), input=model.input.to_dict())
    again.load_state_dict(model.state_dict())
    assert again.settings == model.settings and again.family == model.family == "yolact"
    assert again.suppression == Suppression("prototype") and again.limits.max_det == 7


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "vgg"}, "expected a timm model"),
        ({"backbone": "darknet53", "pretrained_backbone": True}, "expected random weights"),
        ({"backbone_norm": "none"}, "backbone_norm: expected one of"),
        ({"norm": "layer"}, "norm: expected one of"),
        ({"anchor_sizes": [[8], [16]]}, "expected three levels or more"),
        ({"anchor_sizes": [[8], [16], [-3]]}, "positive sizes"),
        ({"anchor_sizes": [[8], [16], [32, 40]]}, "as many positive sizes"),
        ({"anchor_ratios": []}, "positive ratios"),
        ({"channels": 0}, "channels: expected a whole number"),
        ({"limits": {"top": 3}}, "limits: expected fields of confidence"),
        ({"limits": {"iou": 3}}, "expected fractions"),
        ({"training": {"box": 1, "alpha": 2}}, "training: expected fields of"),
        ({"suppression": {"kind": "best"}}, "Suppression.kind"),
    ],
)
def test_refuses_settings(wrong, message):
    with pytest.raises(InputError, match=re.escape(message)):
        small(**wrong)


@pytest.mark.parametrize("size", [(64, 64), (70, 101), (33, 40)])
def test_any_size(size):
    model = small(input=InputSpec(None, None, divisor=1)).eval()
    batch = collate([noise(*size)], model.input)
    with torch.inference_mode():
        outputs = model(batch.images)
    count = outputs.boxes.shape[1]
    assert outputs.boxes.shape == (1, count, 4) and outputs.scores.shape == (1, count, 2)
    assert outputs.coefficients.shape == (1, count, 8) and outputs.prototypes.shape[1] == 8
    assert (outputs.prototypes >= 0).all() and (outputs.scores.sum(-1) < 1).all()
    found = model.instances(outputs, batch)[0]
    assert found.size == size and found.masks.size == size and (found.masks.area > 0).all()
    assert (np.diff(found.scores) <= 0).all()


def test_padding_and_company_change_nothing():
    """Alone or beside a larger image: the same objects, up to the rounding of sums over more zeros."""
    model = small(norm="batch", limits={"confidence": 0.2}).eval()
    one, other = noise(64, 96), noise(128, 128, seed=1)
    alone = model.detect(collate([one], model.input))[0]
    with torch.inference_mode():
        small_batch, large = collate([one], model.input), collate([one, other], model.input)
        a, b = model(small_batch.images), model(large.images)
    assert len(alone) > 0 and a.prototypes.shape[2:] == (16, 24) and b.prototypes.shape[2:] == (32, 32)
    # far from the padding all is equal: the masks' frame is right
    torch.testing.assert_close(a.prototypes[0, :, :4, :4], b.prototypes[0, :, :4, :4], rtol=0, atol=0.3)
    both = model.detect(large)
    assert [f.size for f in both] == [(64, 96), (128, 128)]


def test_prepared_detects_the_same():
    model = small(norm="batch").eval()
    batch = collate([noise(64, 64)], model.input)
    with torch.inference_mode():
        for mine, other in zip(model(batch.images), model.prepared()(batch.images), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


def test_limits_are_told(caplog):
    model = small().eval()
    batch = collate([noise(96, 96)], model.input)
    with caplog.at_level(logging.WARNING, logger="delineate"):
        found = model.detect(batch, confidence=0.1, max_det=3)[0]
        assert len(found) <= 3 and "kept the 3 best detections of" in caplog.text
        caplog.clear()
        model.limits = Limits(confidence=0.1, candidates=1, max_det=50)
        model.detect(batch)
        assert "candidates beyond the best 1 were not looked at" in caplog.text
        caplog.clear()
        assert len(model.detect(batch, confidence=1.0)[0]) == 0 and not caplog.text


@pytest.mark.parametrize("kind", ["box", "soft", "mask", "prototype", "none"])
def test_other_suppressions(kind, caplog):
    model = small(suppression={"kind": kind, "iou": 0.4}).eval()
    batch = collate([noise(96, 96)], model.input)
    found = model.detect(batch, confidence=0.3, max_det=20)[0]
    assert 0 < len(found) <= 20 and (found.scores > 0.3).all()


def test_box_suppression_is_greedy_where_fast_is_not():
    """b goes because of a, and c, which overlaps b alone: it stays greedily, and goes fast."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 14], [0, 0, 10, 22]])
    scores = torch.tensor([[0.9], [0.8], [0.7]])
    assert choose(boxes, scores, Limits()).rows.tolist() == [0]
    kept, _ = Suppression("box", 0.5).choose(boxes.numpy(), scores[:, 0].numpy(), [0, 0, 0], limit=9)
    assert kept.tolist() == [0, 2]


def brute(boxes, scores, limits):
    """Section 3.4 written out: per class, a box goes if any better one overlaps it more than iou."""
    kept = []
    for c in range(scores.shape[1]):
        rows = [i for i in range(len(boxes)) if scores[i].max() > limits.confidence]
        rows = sorted(rows, key=lambda i: -scores[i, c])[: limits.candidates]
        for at, j in enumerate(rows):
            overlaps = []
            for i in rows[:at]:
                w = min(boxes[i, 2], boxes[j, 2]) - max(boxes[i, 0], boxes[j, 0])
                h = min(boxes[i, 3], boxes[j, 3]) - max(boxes[i, 1], boxes[j, 1])
                shared = max(w, 0) * max(h, 0)
                areas = [(boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]) for k in (i, j)]
                overlaps.append(shared / (sum(areas) - shared))
            if max(overlaps, default=0) <= limits.iou and scores[j, c] > limits.confidence:
                kept.append((-scores[j, c], j, c))
    return {(j, c) for _, j, c in sorted(kept)[: limits.max_det]}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 25), st.integers(1, 3), st.integers(1, 12), st.integers(1, 8))
def test_fast_nms_is_its_definition(seed, count, classes, max_det, candidates):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 30, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 25, (count, 2))], 1).astype(np.float32)
    scores = rng.dirichlet(np.ones(classes + 1), count)[:, 1:].reshape(count, classes).astype(np.float32)
    limits = Limits(confidence=0.2, max_det=max_det, candidates=candidates)
    found = choose(torch.from_numpy(boxes), torch.from_numpy(scores), limits)
    pairs = list(zip(found.rows.tolist(), found.labels.tolist(), strict=True))
    assert set(pairs) == brute(boxes, scores, limits) and len(set(pairs)) == len(pairs)
    values = found.scores.tolist()
    assert values == sorted(values, reverse=True) == [float(scores[p]) for p in pairs]


def test_cross_class_suppression():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11]])
    scores = torch.tensor([[0.9, 0.05], [0.1, 0.8]])
    assert choose(boxes, scores, Limits()).labels.tolist() == [0, 1]
    assert choose(boxes, scores, Limits(cross_class=True)).labels.tolist() == [0]


def test_nothing_to_choose_from():
    for limits in (Limits(), Limits(cross_class=True)):
        found = choose(torch.zeros(0, 4), torch.zeros(0, 2), limits)
        assert [len(part) for part in found[:3]] == [0, 0, 0] and found[3:] == (0, 0)


class Fixed(torch.nn.Module):
    """Rates every mask of class 0 at 0.5 and of class 1 at 0.9."""

    def forward(self, masks):
        return masks.new_tensor([[0.5, 0.9]]).expand(len(masks), -1)


def test_rating_multiplies_and_ranks():
    model = small(mask_rating=True, limits={"confidence": 0.3, "max_det": 200, "candidates": 1000}).eval()
    batch = collate([noise(96, 96)], model.input)
    assert np.isfinite(model.detect(batch)[0].scores).all()
    with torch.inference_mode():
        plain = model.instances(model(batch.images), batch)[0]
    model.rater = Fixed()
    rated = model.detect(batch)[0]
    scores = plain.scores * np.array([0.5, 0.9], np.float32)[plain.labels]
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0.3]
    assert 0 < len(order) < len(plain)
    np.testing.assert_allclose(rated.scores, scores[order], rtol=1e-6)
    assert rated.masks == plain.masks[order]


@pytest.mark.parametrize("size", [(138, 138), (16, 24), (63, 200)])
def test_rater_takes_any_grid(size):
    rated = MaskRater(5)(torch.rand(3, *size))
    assert rated.shape == (3, 5) and (rated >= 0).all()
    assert MaskRater(5)(torch.zeros(0, *size)).shape == (0, 5)


def test_priors():
    nine = Priors(((10.0, 20.0),), (1.0, 4.0, 0.25), square=False)
    sides = nine.boxes([(1, 2)], (10, 40)).reshape(2, 6, 4)
    size = sides[..., 2:] - sides[..., :2]
    assert size[0].tolist() == [[10, 10], [20, 5], [5, 20], [20, 20], [40, 10], [10, 40]]
    assert ((sides[..., 2:] + sides[..., :2]) / 2)[:, 0].tolist() == [[10, 5], [30, 5]]
