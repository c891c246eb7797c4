"""YOLACT's losses against the definitions written out in NumPy, by hand, and by learning two images."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.batch import Batch, InputSpec, collate
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.models.yolact import Training, yolact
from delineate.models.yolact.assign import assign, hard_negatives
from delineate.models.yolact.coarse_masks import coarse_masks
from delineate.models.yolact.losses import Raw, detection_losses, semantic_loss, truth_of
from delineate.nn.matching import BACKGROUND, BETWEEN

TWO = Labels(("a", "b"))


def small(**changes):
    given = {
        "backbone": "resnet18",
        "classes": TWO,
        "input": InputSpec(None, None),
        "channels": 32,
        "prototypes": 8,
        "anchor_sizes": [[12], [24], [48]],
    }
    return yolact(**{**given, **changes})


def blobs(size, count, seed, crowd=0):
    rng = np.random.default_rng(seed)
    dense = np.zeros((count, *size), bool)
    for plane in dense:
        y, x = rng.integers(0, size[0] - 16), rng.integers(0, size[1] - 16)
        h, w = rng.integers(8, 40, 2)
        plane[y : y + h, x : x + w] = rng.random(plane[y : y + h, x : x + w].shape) < 0.9
    labels = rng.integers(0, len(TWO), count)
    flags = np.arange(count) < crowd
    return Instances(size, labels=labels, masks=Masks.from_dense(dense), crowd=flags, classes=TWO)


# -- the definitions, written out ------------------------------------------------------------------------


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def assigned(priors, truth, crowds):
    table = np.array([[iou(t, p) for p in priors] for t in truth]).reshape(len(truth), len(priors))
    matched = []
    for p in range(len(priors)):
        best = max(range(len(truth)), key=lambda t: table[t, p]) if len(truth) else -1
        overlap = table[best, p] if best >= 0 else 0
        matched.append(best if overlap >= 0.5 else BACKGROUND if overlap < 0.4 else BETWEEN)
    pairs = sorted((-table[t, p], t, p) for t in range(len(truth)) for p in range(len(priors)))
    bound_t, bound_p = set(), set()
    for _, t, p in pairs:
        if table[t, p] > 0 and t not in bound_t and p not in bound_p:
            matched[p] = t
            bound_t.add(t)
            bound_p.add(p)
    for p, box in enumerate(priors):
        for c in crowds:
            w = min(box[2], c[2]) - max(box[0], c[0])
            h = min(box[3], c[3]) - max(box[1], c[1])
            covered = max(w, 0) * max(h, 0) / ((box[2] - box[0]) * (box[3] - box[1]))
            if matched[p] < 0 and covered > 0.7:
                matched[p] = BETWEEN
    return np.array(matched)


def expected(raw, target, frame):
    """Sums over one image's priors, and how many are positive."""
    objects = target[~target.crowd]
    dense = F.interpolate(
        torch.from_numpy(objects.masks.dense()).float()[None], raw.prototypes.shape[2:], mode="bilinear"
    )[0]
    goals = (dense > 0.5).double().numpy()
    priors = raw.priors.double().numpy()
    logits, offsets = raw.logits[0].double().numpy(), raw.offsets[0].double().numpy()
    matched = assigned(priors, objects.boxes.astype(float), target[target.crowd].boxes.astype(float))
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    positive = np.flatnonzero(matched >= 0)
    background = sorted(np.flatnonzero(matched == BACKGROUND), key=lambda p: log_p[p, 0])
    sums = {"class": 0.0, "box": 0.0, "mask": 0.0}
    for p in background[: 3 * len(positive)]:
        sums["class"] -= log_p[p, 0]
    h, w = goals.shape[1:]
    prototypes, coefficients = raw.prototypes[0].double().numpy(), raw.coefficients[0].double().numpy()
    for p in positive:
        g, box = matched[p], objects.boxes[matched[p]].astype(float)
        sums["class"] -= log_p[p, objects.labels[g] + 1]
        size, own = box[2:] - box[:2], priors[p, 2:] - priors[p, :2]
        centre = (box[2:] + box[:2]) / 2 - (priors[p, 2:] + priors[p, :2]) / 2
        for error in np.abs(offsets[p] - [*(centre / own / 0.1), *(np.log(size / own) / 0.2)]):
            sums["box"] += 1.5 * (0.5 * error**2 if error < 1 else error - 0.5)
        x1, x2 = np.array([box[0], box[2]]) * w / frame[1]
        y1, y2 = np.array([box[1], box[3]]) * h / frame[0]
        soft = 1 / (1 + np.exp(-np.tensordot(coefficients[p], prototypes, 1)))
        for r in range(h):
            for c in range(w):
                if y1 - 1 <= r < y2 + 1 and x1 - 1 <= c < x2 + 1:
                    right = soft[r, c] if goals[g, r, c] else 1 - soft[r, c]
                    sums["mask"] -= 6.125 * math.log(right) / ((x2 - x1) * (y2 - y1))
    return sums, len(positive)


def random_raw(model, frame, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    grids = [(frame[0] // s, frame[1] // s) for s in (8, 16, 32)]
    priors = model.priors.boxes(grids, frame)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    count, p = len(priors), 4
    return Raw(
        priors,
        draw(batch, count, 4),
        draw(batch, count, 3),
        draw(batch, count, p).tanh(),
        draw(batch, p, frame[0] // 4, frame[1] // 4).relu(),
    )


def test_losses_are_the_definitions():
    frame = (64, 96)
    model = small()
    targets = [blobs(frame, 9, 0), blobs(frame, 8, 1, crowd=1), blobs(frame, 1, 2)]
    raw = random_raw(model, frame, 3, 5)
    truth = truth_of(targets, 4.0, torch.device("cpu"))
    found = detection_losses(raw, truth, frame, Training(), None)
    sums, count = {"class": 0.0, "box": 0.0, "mask": 0.0}, 0
    for i, target in enumerate(targets):
        one = Raw(raw.priors, *(part[i : i + 1] for part in raw[1:]))
        part, positives = expected(one, target, frame)
        sums = {name: sums[name] + part[name] for name in sums}
        count += positives
    assert count >= 17
    assert set(found) == set(sums)
    for name, value in sums.items():
        np.testing.assert_allclose(float(found[name]), value / count, rtol=2e-5, err_msg=name)


def test_more_masks_than_are_trained_weigh_the_same():
    frame = (64, 64)
    model = small()
    truth = truth_of([blobs(frame, 12, 3)], 4.0, torch.device("cpu"))
    raw = random_raw(model, frame, 1, 0)
    whole = float(detection_losses(raw, truth, frame, Training(), None)["mask"])
    torch.manual_seed(0)
    few = [float(detection_losses(raw, truth, frame, Training(masks=6), None)["mask"]) for _ in range(60)]
    assert np.mean(few) == pytest.approx(whole, rel=0.1) and np.std(few) > 0


def test_by_hand():
    """One prior, one object in it exactly, logits that are all alike."""
    priors = torch.tensor([[0.0, 0, 8, 8], [100, 100, 108, 108]])
    zeros = torch.zeros(1, 2, 4)
    raw = Raw(priors, zeros, torch.zeros(1, 2, 3), torch.zeros(1, 2, 1), torch.ones(1, 1, 32, 32))
    target = Instances((128, 128), masks=Masks.from_crops([np.ones((8, 8), bool)], [[0, 0]], (128, 128)))
    found = detection_losses(raw, truth_of([target], 4, torch.device("cpu")), (128, 128), Training(), None)
    assert float(found["class"]) == pytest.approx(2 * math.log(3))  # one positive, one negative, 3 outputs
    assert float(found["box"]) == 0
    # the box is 2 x 2 cells, grown by one to 3 x 3 at the corner; every cell costs log 2
    assert float(found["mask"]) == pytest.approx(6.125 * 9 * math.log(2) / 4)
    semantic = semantic_loss(
        torch.zeros(1, 1, 16, 16), truth_of([target], 4, torch.device("cpu")), (128, 128)
    )
    assert float(semantic) == pytest.approx(math.log(2))


# -- the parts -------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 30), st.integers(0, 2))
def test_assignment_is_greedy(seed, objects, count, crowd):
    rng = np.random.default_rng(seed)

    def boxes(n):
        corner = rng.uniform(0, 60, (n, 2))
        return np.concatenate([corner, corner + rng.uniform(4, 30, (n, 2))], 1).astype(np.float32)

    priors, truth, crowds = boxes(count), boxes(objects), boxes(crowd)
    found = assign(*(torch.from_numpy(b) for b in (priors, truth, crowds)), 0.5, 0.4, 0.7).numpy()
    every = assigned(priors.astype(float), truth.astype(float), crowds.astype(float))
    np.testing.assert_array_equal(found, every)


def test_rivals_for_a_prior():
    priors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20]])
    truth = torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 10]])  # both like the first prior best
    assert assign(priors, truth, torch.zeros(0, 4), 0.5, 0.4, 0.7).tolist() == [1, 0]


def test_more_objects_than_priors():
    truth = torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 9, 9]])
    assert assign(truth[1:2], truth, torch.zeros(0, 4), 0.5, 0.4, 0.7).tolist() == [1]


@pytest.mark.parametrize(
    ("matched", "ratio", "least", "wanted"),
    [
        ([0, -1, -1, -1, -1], 3, 0, [1, 2, 3]),
        ([0, -2, -1, -1, -1], 3, 0, [2, 3, 4]),
        ([0, -2, -2, -1, -1], 3, 0, [3, 4]),
        ([-1] * 5, 3, 0, []),
        ([-1] * 5, 3, 2, [0, 1]),
        ([0] * 5, 3, 2, []),
    ],
)
def test_hard_negatives(matched, ratio, least, wanted):
    logits = torch.tensor([[0.0, 5], [0, 4], [0, 3], [0, 2], [0, 1]])  # the earlier, the harder
    found = hard_negatives(logits, torch.tensor(matched), ratio, least)
    assert sorted(found.tolist()) == wanted


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
def test_coarse_masks_are_interpolates(seed, height, width, count):
    rng = np.random.default_rng(seed)
    frame = (height + int(rng.integers(0, 9)), width + int(rng.integers(0, 9)))
    grid = (int(rng.integers(1, frame[0] + 1)), int(rng.integers(1, frame[1] + 1)))
    dense = rng.random((count, height, width)) < rng.random()
    whole = np.zeros((count, *frame), np.float32)
    whole[:, :height, :width] = dense
    found = coarse_masks(Masks.from_dense(dense), frame, grid)
    assert found.shape == (count, *grid)
    values = F.interpolate(torch.from_numpy(whole).double()[None], grid, mode="bilinear")[0].numpy()
    sure = np.abs(values - 0.5) > 1e-4  # at 0.5 rounding decides
    np.testing.assert_array_equal(found[sure], (values > 0.5)[sure])


def test_semantic_loss_is_the_mean_over_cells():
    targets = [blobs((64, 64), 3, 0), Instances.empty((64, 64), TWO)]
    logits = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    goal = torch.zeros(2, 2, 8, 8)
    resized = F.interpolate(
        torch.from_numpy(targets[0].masks.dense()).float()[None], (8, 8), mode="bilinear"
    )[0]
    for mask, label in zip(resized > 0.5, targets[0].labels, strict=True):
        goal[0, label][mask] = 1
    found = semantic_loss(logits, truth_of(targets, 4, torch.device("cpu")), (64, 64))
    torch.testing.assert_close(found, 2 * F.binary_cross_entropy_with_logits(logits, goal))


# -- the model -------------------------------------------------------------------------------------------


def test_images_without_objects_give_every_parameter_a_gradient():
    model = small(mask_rating=True, training={"least_negatives": 8})
    images = [np.zeros((64, 64), np.uint8)] * 2
    losses = model.losses(collate(images, model.input, [Instances.empty((64, 64), TWO)] * 2))
    assert losses["box"] == losses["mask"] == losses["rating"] == 0 and losses["class"] > 0
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_as_published_images_without_objects_train_only_the_semantics():
    model = small()
    losses = model.losses(
        collate([np.zeros((64, 64), np.uint8)], model.input, [Instances.empty((64, 64), TWO)])
    )
    assert losses["class"] == losses["box"] == losses["mask"] == 0 and losses["semantic"] > 0


def test_small_and_flat_objects_do_not_train():
    model = small().eval()
    truth = blobs((64, 64), 3, 1)
    tiny = Masks.from_crops([np.ones((3, 9), bool)], [[5, 5]], (64, 64))
    more = Instances(
        (64, 64),
        np.concatenate([truth.boxes, tiny.boxes, [[5, 5, 5, 5]]]),
        [*truth.labels, 0, 1],
        masks=Masks.concatenate([truth.masks, tiny, tiny]),
        classes=TWO,
    )
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    losses = [model.losses(collate([image], model.input, [t])) for t in (truth, more)]
    assert {k: v.item() for k, v in losses[0].items()} == {k: v.item() for k, v in losses[1].items()}


def test_refuses_missing_targets_and_missing_masks():
    model = small()
    with pytest.raises(InputError, match="expected a batch with targets"):
        model.losses(collate([np.zeros((64, 64), np.uint8)], model.input))
    boxes_only = Instances((64, 64), [[1, 1, 20, 20]], classes=TWO)
    with pytest.raises(InputError, match="expected objects with masks"):
        model.losses(Batch(torch.zeros(1, 3, 64, 64), [(64, 64)], [(64, 64)], [boxes_only]))


def test_overfits_two_images():
    torch.manual_seed(0)
    model = small(norm="batch").train()
    images, truth = [], []
    for seed in range(2):
        objects = blobs((64, 64), 3, seed)
        canvas = np.random.default_rng(seed).integers(0, 30, (64, 64, 3), dtype=np.uint8)
        for mask, label in zip(objects.masks.dense(), objects.labels, strict=True):
            canvas[mask] = ((220, 60, 60), (60, 60, 220))[label]
        images.append(canvas)
        truth.append(objects)
    batch = collate(images, model.input, truth)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    history = []
    for _ in range(40):
        losses = model.losses(batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    end = {name: np.mean([h[name] for h in history[-5:]]) for name in history[0]}
    for name, part in {"class": 0.3, "box": 0.3, "mask": 0.5, "semantic": 0.6}.items():
        assert end[name] < part * history[0][name], (name, history[0], end)
