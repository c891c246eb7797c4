from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from delineate.core.errors import MaskError
from delineate.core.masks import Masks

Dense = NDArray[np.bool_]


@st.composite
def stacks(draw: st.DrawFn, count: int = 4, side: int = 9) -> Dense:
    shape = (draw(st.integers(0, count)), draw(st.integers(1, side)), draw(st.integers(1, side)))
    return draw(arrays(np.bool_, shape))


@st.composite
def two_stacks(draw: st.DrawFn) -> tuple[Dense, Dense]:
    h, w = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return draw(arrays(np.bool_, (draw(st.integers(0, 4)), h, w))), draw(
        arrays(np.bool_, (draw(st.integers(0, 4)), h, w))
    )


def peer(dense: Dense) -> list[dict[str, Any]]:
    return [coco.encode(np.asfortranarray(d.view(np.uint8))) for d in dense]


@given(stacks())
def test_dense_comes_back(dense: Dense) -> None:
    masks = Masks.from_dense(dense)
    assert masks.size == dense.shape[1:]
    np.testing.assert_array_equal(masks.dense(), dense)
    np.testing.assert_array_equal(masks.area, dense.sum((1, 2)))


@given(stacks())
def test_encodings_are_pycocotools_bytes(dense: Dense) -> None:
    masks = Masks.from_dense(dense)
    encoded = masks.to_rle()
    assert [e["counts"].encode() for e in encoded] == [e["counts"] for e in peer(dense)]
    assert Masks.from_rle(encoded, masks.size) == masks
    assert Masks.from_rle(peer(dense), masks.size) == masks
    if len(dense):
        np.testing.assert_array_equal(masks.area, [coco.area(e) for e in peer(dense)])
        expected = np.array([coco.toBbox(e) for e in peer(dense)])
        expected[:, 2:] += expected[:, :2]
        expected[masks.area == 0] = 0
        np.testing.assert_array_equal(masks.boxes, expected)


def test_long_counts_are_pycocotools_bytes() -> None:
    rng = np.random.default_rng(0)
    dense = np.stack([rng.random((700, 900)) < p for p in (0.0, 0.0001, 0.01, 0.5, 0.999, 1.0)])
    dense[4, :, 100:800] = True
    masks = Masks.from_dense(dense)
    assert [e["counts"].encode() for e in masks.to_rle()] == [e["counts"] for e in peer(dense)]
    assert Masks.from_rle(masks.to_rle()) == masks


@given(two_stacks())
def test_iou_is_pycocotools(pair: tuple[Dense, Dense]) -> None:
    a, b = (Masks.from_dense(d) for d in pair)
    if len(a) and len(b):
        expected = np.array(coco.iou(peer(pair[0]), peer(pair[1]), [0] * len(b)))
        np.testing.assert_allclose(a.iou(b), np.nan_to_num(expected), rtol=0, atol=1e-15)
    assert a.iou(b).shape == (len(a), len(b))


@given(two_stacks())
def test_intersections(pair: tuple[Dense, Dense]) -> None:
    for left, right in (pair, (pair[0], pair[0])):
        a = Masks.from_dense(left)
        b = a if left is right else Masks.from_dense(right)
        i, j, shared = a.intersection_pairs(b)
        table = np.zeros((len(a), len(b)), dtype=int)
        table[i, j] = shared
        np.testing.assert_array_equal(table, (left[:, None] & right[None]).sum((2, 3)))
        assert (shared > 0).all()
        assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == list(
            zip(i.tolist(), j.tolist(), strict=True)
        )


@given(stacks(), st.data())
def test_merge_is_pycocotools(dense: Dense, data: st.DataObject) -> None:
    groups = data.draw(arrays(np.int64, len(dense), elements=st.integers(0, 2)))
    merged = Masks.from_dense(dense).merge(groups)
    assert len(merged) == groups.max(initial=-1) + 1
    for g, encoded in enumerate(merged.to_rle()):
        members = dense[groups == g]
        expected = (
            coco.merge(peer(members)) if len(members) else coco.encode(np.zeros(merged.size, np.uint8, "F"))
        )
        assert encoded["counts"].encode() == expected["counts"]
    union = Masks.from_dense(dense).union()
    np.testing.assert_array_equal(union.dense()[0], dense.any(0))


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_label_image_comes_back(h: int, w: int, data: st.DataObject) -> None:
    labels = data.draw(arrays(np.uint16, (h, w), elements=st.integers(0, 4)))
    masks = Masks.from_label_image(labels)
    ids = np.unique(labels[labels > 0])
    np.testing.assert_array_equal(masks.dense(), labels == ids[:, None, None])
    again = masks.to_label_image()
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, np.searchsorted(ids, labels) * (labels > 0) + (labels > 0))
    chosen = Masks.from_label_image(labels, ids=[3, 9, 1])
    np.testing.assert_array_equal(chosen.dense(), labels == np.array([3, 9, 1])[:, None, None])


@given(stacks(), st.randoms())
def test_painting_order(dense: Dense, random: Any) -> None:
    order = list(range(len(dense)))
    random.shuffle(order)
    expected = np.zeros(dense.shape[1:], dtype=np.int32)
    for k in order:
        expected[dense[k]] = k + 1
    np.testing.assert_array_equal(Masks.from_dense(dense).to_label_image(order), expected)


@given(stacks(), st.integers(-10, 10), st.integers(-10, 10), st.integers(1, 9), st.integers(1, 9))
def test_shift_and_window(dense: Dense, dx: int, dy: int, h: int, w: int) -> None:
    masks = Masks.from_dense(dense)
    canvas = np.zeros((len(dense), 40, 40), dtype=bool)
    canvas[:, 15 : 15 + dense.shape[1], 15 : 15 + dense.shape[2]] = dense
    moved = canvas[:, 15 - dy : 15 - dy + h, 15 - dx : 15 - dx + w]
    np.testing.assert_array_equal(masks.shift(dx, dy, (h, w)).dense(), moved)
    assert masks.window(-dx, -dy, w - dx, h - dy) == masks.shift(dx, dy, (h, w))
    assert masks.shift(0, 0) == masks
    assert not masks.shift(10**30, -(10**30)).area.any()


@given(stacks())
def test_crops_come_back(dense: Dense) -> None:
    masks = Masks.from_dense(dense)
    crops = [masks.crop(i) for i in range(len(masks))]
    corners = np.array([c[1] for c in crops]).reshape(-1, 2).astype(np.int64)
    assert Masks.from_crops([c[0] for c in crops], corners, masks.size) == masks


def test_crops_are_cut_at_the_border() -> None:
    crop = np.ones((3, 3), dtype=bool)
    masks = Masks.from_crops([crop, crop, crop], [[-1, -1], [3, 2], [9, 9]], (4, 5))
    assert masks.area.tolist() == [4, 4, 0]
    assert masks.boxes.tolist() == [[0, 0, 2, 2], [3, 2, 5, 4], [0, 0, 0, 0]]


@given(stacks())
def test_polygons_come_back(dense: Dense) -> None:
    masks = Masks.from_dense(dense)
    outlined = masks.to_polygons()
    full = np.array([bool(o) for o in outlined], dtype=bool)
    np.testing.assert_array_equal(full, masks.area > 0)
    assert Masks.from_polygons([o for o in outlined if o], masks.size) == masks[full]
    for parts, area in zip(outlined, masks.area, strict=True):
        assert sum(p.area for p in parts) == area


@pytest.mark.parametrize(
    "index", [1, -1, slice(1, 3), slice(None, None, -1), [2, 0, 0], [True, False, True, False], []]
)
def test_indexing(index: Any) -> None:
    rng = np.random.default_rng(1)
    dense = rng.random((4, 6, 7)) < 0.5
    index = (
        np.array(index, dtype=bool if index and index[0] is True else int)
        if isinstance(index, list)
        else index
    )
    expected = np.atleast_1d(np.arange(4)[index])
    np.testing.assert_array_equal(Masks.from_dense(dense)[index].dense(), dense[expected])


def test_as_a_sequence() -> None:
    masks = Masks.from_label_image([[1, 2], [1, 3]])
    assert [m.area.tolist() for m in masks] == [[2], [1], [1]]
    with pytest.raises(IndexError):
        masks[3]
    assert Masks.concatenate([masks[1:], masks[:1]]) == masks[[1, 2, 0]]
    assert masks != masks[:2]
    assert pickle.loads(pickle.dumps(masks)) == masks
    assert "3 on 2 x 2" in repr(masks)
    with pytest.raises(AttributeError):
        masks.size = (1, 1)
    with pytest.raises(ValueError):
        masks.runs.x[0] = 3


def test_empty_everywhere() -> None:
    none = Masks.empty((5, 7))
    assert len(none) == 0 and none.area.shape == (0,) and none.boxes.shape == (0, 4)
    assert none.boxes.dtype == np.float32 and none.area.dtype == np.int64
    assert none.dense().shape == (0, 5, 7)
    assert none.to_rle() == [] and none.to_polygons() == []
    assert not none.to_label_image().any()
    assert none.merge([]) == none and none.union().area.tolist() == [0]
    assert none.iou(none).shape == (0, 0)
    assert Masks.from_label_image(np.zeros((5, 7), dtype=int)) == none
    assert Masks.from_rle([], (5, 7)) == none and Masks.from_polygons([], (5, 7)) == none
    assert Masks.from_crops([], np.zeros((0, 2), dtype=int), (5, 7)) == none
    assert none.shift(3, 3, (9, 9)).size == (9, 9)
    one = Masks.from_dense(np.zeros((1, 5, 7), dtype=bool))
    assert one.boxes.tolist() == [[0, 0, 0, 0]] and one.crop(0)[0].size == 0
    assert one.iou(one).tolist() == [[0.0]] and one.to_polygons() == [[]]


def test_one_pixel_and_full() -> None:
    for value in (False, True):
        one = Masks.from_dense(np.array([[[value]]]))
        assert one.area.tolist() == [int(value)]
        assert Masks.from_rle(one.to_rle()) == one
    full = Masks.from_dense(np.ones((1, 4, 6), dtype=bool))
    assert full.to_rle()[0]["counts"] == peer(np.ones((1, 4, 6), dtype=bool))[0]["counts"].decode()
    assert full.to_polygons()[0][0].exterior.tolist() == [[0, 0], [6, 0], [6, 4], [0, 4]]


@settings(max_examples=20)
@given(st.sampled_from([np.uint8, np.int32, np.uint16, np.int64, np.bool_]))
def test_label_types_and_layouts(kind: type) -> None:
    labels = np.array([[1, 0, 1], [0, 0, 1]]).astype(kind)
    for image in (labels, np.asfortranarray(labels), labels[::-1][::-1]):
        assert Masks.from_label_image(image).area.tolist() == [3]


def test_huge_label_values() -> None:
    labels = np.array([[2**31 - 2, 0], [7, 2**31 - 2]], dtype=np.int32)
    assert Masks.from_label_image(labels).area.tolist() == [1, 2]
    assert Masks.from_label_image(labels, ids=[2**31 - 2, 5]).area.tolist() == [2, 0]


def test_many_objects_stay_small() -> None:
    side, step = 2048, 16
    y, x = np.mgrid[:side, :side]
    labels = ((y // step) * (side // step) + x // step + 1).astype(np.int32)
    masks = Masks.from_label_image(labels)
    assert len(masks) == (side // step) ** 2 and (masks.area == step * step).all()
    assert masks.nbytes < 12 * step * len(masks) + 8 * len(masks) + 100
    np.testing.assert_array_equal(masks.to_label_image(), labels)
    i, _, shared = masks.intersection_pairs(masks.shift(step // 2, 0))
    assert len(i) == 2 * len(masks) - side // step and (shared == step * step // 2).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Masks.from_label_image(np.zeros((2, 2))),
        lambda: Masks.from_label_image(np.zeros((2, 2, 2), dtype=int)),
        lambda: Masks.from_label_image([[-1, 0]]),
        lambda: Masks.from_label_image(np.array([[2**63, 0]], dtype=np.uint64)),
        lambda: Masks.from_label_image([[1, 0]], ids=[1, 1]),
        lambda: Masks.from_label_image([[1, 0]], ids=[0]),
        lambda: Masks.from_dense(np.zeros((2, 2))),
        lambda: Masks.from_dense(np.zeros((1, 2, 2), dtype=np.float32)),
        lambda: Masks.from_dense(np.zeros((1, 0, 2), dtype=bool)),
        lambda: Masks.from_crops([np.ones((1, 1), dtype=bool)], [], (2, 2)),
        lambda: Masks.from_crops([np.ones((1, 1), dtype=bool)], [[0.5, 0]], (2, 2)),
        lambda: Masks.empty((0, 2)),
        lambda: Masks.from_rle([]),
        lambda: Masks.concatenate([]),
        lambda: Masks.concatenate([Masks.empty((2, 2)), Masks.empty((2, 3))]),
        lambda: Masks.empty((2, 2)).iou(Masks.empty((2, 3))),
        lambda: Masks.empty((2, 2)).merge([0]),
        lambda: Masks.empty((2, 2)).window(2, 2, 2, 2),
        lambda: Masks.empty((2, 2)).to_polygons(-1.0),
    ],
)
def test_errors_say_what_was_expected(make: Any) -> None:
    with pytest.raises(MaskError, match=r"expected .*got "):
        make()
