"""What objects look like: pooled by hand, in tiles as in one, and whether it tells objects apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.core.batch import InputSpec
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.synthetic import SceneSettings, crowd_video
from delineate.data.video import Frame
from delineate.engine.appearance import COLOURS, WIDTH, Common, LookingModel, _pool, colours
from delineate.engine.load import Model
from delineate.engine.track import Detections, track
from delineate.models.zoo import build

SIZE = (40, 56)


def blocks(*boxes: tuple[int, int, int, int]) -> Instances:
    dense = np.zeros((len(boxes), *SIZE), bool)
    for k, (x1, y1, x2, y2) in enumerate(boxes):
        dense[k, y1:y2, x1:x2] = True
    return Instances(SIZE, masks=Masks.from_dense(dense))


def test_colours_are_shares() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, :28] = (255, 0, 0)
    found = colours(image, blocks((0, 0, 10, 10), (40, 5, 50, 15), (23, 0, 33, 10)))
    assert found.shape == (3, COLOURS) and found.dtype == np.float32
    shares = found[:, : COLOURS - 2].reshape(3, 3, -1) ** 2
    np.testing.assert_allclose(shares.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(shares[2], (shares[0] + shares[1]) / 2, atol=1e-5)  # half red, half black


def test_boxes_and_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    boxes = Instances(SIZE, boxes=[[2, 2, 12, 22], [54, 38, 56, 40], [0, 0, 0, 0]])
    assert colours(image, boxes).shape == (3, COLOURS) and np.isfinite(colours(image, boxes)).all()
    middle = colours(image, blocks((4, 6, 10, 18)))[0, : COLOURS - 2]
    np.testing.assert_allclose(colours(image, boxes)[0, : COLOURS - 2], middle, atol=1e-6)
    assert colours(image, Instances.empty(SIZE)).shape == (0, COLOURS)
    assert colours(image[:, :, 0].astype(np.uint16) * 9, boxes).shape == (3, COLOURS)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2, 4, 8]))
def test_pooling_is_the_mean_over_the_mask(seed: int, stride: int) -> None:
    rng = np.random.default_rng(seed)
    masks = Masks.from_dense(rng.random((3, *SIZE)) > rng.random((3, 1, 1)))
    features = rng.standard_normal((5, SIZE[0] // stride, SIZE[1] // stride)).astype(np.float32)
    pooled = _pool(torch.from_numpy(features), masks, (1.0, 1.0), SIZE)
    full = features.repeat(stride, axis=1).repeat(stride, axis=2)  # each cell over its pixels
    expected = np.einsum("nhw,chw->nc", masks.dense().astype(float), full)
    np.testing.assert_allclose(pooled, expected, atol=1e-2, rtol=1e-4)


def model(**changes: Any) -> Model:
    torch.manual_seed(0)
    plain: dict[str, Any] = {"shortest_edge": None, "longest_edge": None, "divisor": 16, "scaling": "range"}
    spec = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, **plain | changes)  # type: ignore[arg-type]
    return Model(build("center_offset", channels=(8, 8, 8, 8), input=spec))


def test_a_network_s_features() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    look = LookingModel(model()._ready, {"confidence": 0.0})
    found = look(Frame(0, 0.0, picture))
    plain = model().predict(picture, confidence=0.0)
    assert found.instances.masks == plain.masks and len(plain) > 0  # the same objects
    assert found.features is not None and found.features.shape == (len(plain), COLOURS + WIDTH)
    again = look(Frame(1, 0.1, picture)).features
    assert again is not None and (again == found.features).all()
    assert not look._network._forward_hooks and all(not m._forward_hooks for m in look._modules)


def test_tiles_see_what_the_whole_sees() -> None:
    picture = np.zeros((96, 128, 3), np.uint8)
    for k, (y, x) in enumerate([(16, 16), (44, 50), (60, 90)]):
        picture[y : y + 26, x : x + 26] = 60 * k + 60, 200 - 60 * k, 255 * (k == 1)
    objects = Instances((96, 128), boxes=[[16, 16, 42, 42], [50, 44, 76, 70], [90, 60, 116, 86]])
    rows = []
    for tile in (0, 64):
        look = LookingModel(model(overlap=32)._ready, {"tile": tile})
        _, views = look.see(picture)
        assert len(views) == (6 if tile else 1)
        rows.append(look.pooled(objects, views))
    alike = rows[0] @ rows[1].T
    assert alike.diagonal().min() > 0.9 and (alike.argmax(axis=0) == [0, 1, 2]).all()


def test_resized_images() -> None:
    """A network that looks at an enlarged image: its maps' cells are found all the same."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = 255
    look = LookingModel(model(shortest_edge=120, longest_edge=200)._ready, {})
    _, views = look.see(picture)
    assert views[0].scale[0] > 2 and len(views[0].maps) >= 2
    left = [[0, 0, 24, 24], [0, 24, 24, 48]]
    right = [[40, 0, 64, 24], [40, 24, 64, 48]]
    rows = look.pooled(Instances((48, 64), boxes=left + right), views)
    alike = rows @ rows.T
    assert alike[0, 1] > alike[0, 2] and alike[2, 3] > alike[1, 3]


def test_the_common_is_taken_out() -> None:
    rng = np.random.default_rng(0)
    own = rng.standard_normal((6, 30))
    rows = [(own + 40 + 0.3 * rng.standard_normal((6, 30))).astype(np.float32) for _ in range(5)]
    common, again = Common(), Common()
    found = [common(r) for r in rows]
    assert all((a == again(r)).all() for a, r in zip(found, rows, strict=True))
    np.testing.assert_allclose(np.linalg.norm(found[4], axis=1), 1, atol=1e-5)
    raw = rows[0] @ rows[4].T / np.outer(np.linalg.norm(rows[0], axis=1), np.linalg.norm(rows[4], axis=1))
    alike = found[3] @ found[4].T
    assert raw.min() > 0.9 and alike.diagonal().min() > 0.7 > 0.5 > (alike - np.eye(6)).max() - 0.2
    assert common(rows[0][:0]).shape == (0, 30)
    assert np.isfinite(Common()(rows[0][:1])).all()


def test_it_tells_objects_apart() -> None:
    """Synthetic crowds: the same object ten frames later against all others."""
    video = crowd_video(3, SceneSettings(size=(96, 160), objects=12, crowding=0.3), frames=21)
    common, rows = Common(), []
    for t in (0, 10, 20):
        truth = video[t].truth
        big = truth[truth.area > 60]
        rows.append((big.ids, common(colours(video[t].image, big))))
    same, other = [], []
    for (ids, a), (later, b) in pairwise(rows):
        alike = a @ b.T
        equal = ids[:, None] == later  # type: ignore[index]
        same += alike[equal].tolist()
        other += alike[~equal].tolist()
    above = np.mean([[s > o for o in other] for s in same])
    assert above > 0.85, above


def test_the_tracker_is_told() -> None:
    class Looks:
        def update(self, found: Instances, frame: Any = None, *, features: Any = None, **_: Any) -> Any:
            seen.append(None if features is None else features.shape)
            return inner.update(found, frame, features=features)

    from delineate.tracking.choose import tracker

    film = [
        Frame(t, t / 10, np.random.default_rng(t).integers(0, 255, (*SIZE, 3), dtype=np.uint8))
        for t in range(2)
    ]
    for looks, expected in ((True, (2, COLOURS)), (False, None)):
        seen, inner = list[Any](), tracker("masks")
        found = list(
            track(film, lambda _: blocks((2, 2, 9, 9), (20, 20, 30, 30)), tracker=Looks(), appearance=looks)
        )
        assert seen == [expected] * 2 and isinstance(found[0].detections, Instances)
    assert Detections(found[0].detections).features is None


def test_another_family() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    look = LookingModel(build("yolo_seg_n"), {"confidence": 0.9})
    _, views = look.see(picture)
    assert views and views[0].maps
    rows = look.pooled(Instances((64, 64), boxes=[[0, 0, 20, 20], [30, 30, 60, 60]]), views)
    assert rows.shape == (2, WIDTH) and np.isfinite(rows).all()


def test_backbones_are_found() -> None:
    look = LookingModel(build("mask2former", backbone="resnet10t"), {})
    look._maps = []
    for module in look._modules:
        look._keep(module, None, module(torch.zeros(1, 3, 64, 64)))
    assert [64 // m.shape[3] for m in look._maps][:4] == [4, 8, 16, 32]
