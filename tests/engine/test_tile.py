"""Tiled equals untiled, for a predictor that sees perfectly within each window."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy import ndimage

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.agreement import Tile, components
from delineate.engine.seams import Seams, mend, placed
from delineate.engine.tile import predict_tiled, starts, windows


def separate(labels: np.ndarray) -> np.ndarray:
    """Each 4-connected part of each label a label of its own."""
    result = np.zeros(labels.shape, dtype=np.int32)
    for value in np.unique(labels[labels > 0]):
        parts, _ = ndimage.label(labels == value)
        result[parts > 0] = parts[parts > 0] + result.max()
    return result


def oracle(window: np.ndarray) -> Instances:
    """Every connected part of every object in the window: what a perfect eye sees through it."""
    return Instances(window.shape, masks=Masks.from_label_image(separate(window)))


def as_set(found: Instances) -> set[bytes]:
    assert found.masks is not None
    return {mask.tobytes() for mask in found.masks.dense()}


def truth(labels: np.ndarray) -> Instances:
    return Instances(labels.shape, masks=Masks.from_label_image(labels))


def blobs(seed: int, size: tuple[int, int], count: int, radius: float) -> np.ndarray:
    """Touching ragged blobs: nearest of random seeds, within a noisy radius."""
    random = np.random.default_rng(seed)
    at = random.integers(0, size, (count, 2))
    seeds = np.zeros(size, dtype=np.int32)
    seeds[at[:, 0], at[:, 1]] = np.arange(1, count + 1)
    distance, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    ragged = distance + ndimage.gaussian_filter(random.normal(0, 8, size), 2)
    return separate(np.where(ragged < radius, seeds[tuple(nearest)], 0))


@settings(max_examples=40, deadline=None)
@given(
    labels=arrays(np.int32, st.tuples(st.integers(2, 16), st.integers(2, 16)), elements=st.integers(0, 2)),
    tile=st.integers(4, 12),
    overlap=st.integers(1, 3),
)
def test_any_labels_come_back_from_tiles(labels: np.ndarray, tile: int, overlap: int) -> None:
    labels = separate(labels)
    tiled = predict_tiled(oracle, labels, tile=tile, overlap=overlap)
    assert len(tiled) == labels.max()
    assert as_set(tiled) == as_set(truth(labels))


@pytest.mark.parametrize(("tile", "overlap"), [(40, 4), (40, 16), (64, 32), (97, 13), (200, 8)])
@pytest.mark.parametrize(("count", "radius"), [(60, 9.0), (300, 6.0), (6, 60.0), (1, 400.0)])
def test_blobs_come_back_from_tiles(tile: int, overlap: int, count: int, radius: float) -> None:
    labels = blobs(count, (150, 190), count, radius)
    tiled = predict_tiled(oracle, labels, tile=tile, overlap=overlap)
    expected = truth(labels)
    assert len(tiled) == len(expected)
    assert as_set(tiled) == as_set(expected)
    assert tiled.masks is not None
    np.testing.assert_array_equal(tiled.boxes, tiled.masks.boxes)


def test_objects_in_a_ring_and_a_comb_come_back() -> None:
    labels = np.zeros((120, 120), dtype=np.int32)
    labels[5:115, 5:115] = 1
    labels[15:105, 15:105] = 0
    labels[20:24, 20:100] = 2
    labels[20:100, 20:100:8] = 2
    labels[30:100, 24:100:8] = 3
    labels = separate(labels)
    tiled = predict_tiled(oracle, labels, tile=50, overlap=20)
    assert as_set(tiled) == as_set(truth(labels))


def test_real_nuclei_come_back_from_tiles(data_dir: Path) -> None:
    files = sorted((data_dir / "dsb2018" / "labels").glob("*.png"))[::160]
    for file in files:
        labels = separate(np.array(Image.open(file)).astype(np.int32))
        tiled = predict_tiled(oracle, labels, tile=96, overlap=24)
        assert as_set(tiled) == as_set(truth(labels))


def jittered(window: np.ndarray) -> Instances:
    """A model that is right up to ragged outlines, different in each window."""
    found = oracle(window)
    assert found.masks is not None
    random = np.random.default_rng(int(window.sum()) % 1000)
    masks = found.masks.dense()
    for k in range(len(masks)):
        flip = ndimage.binary_dilation if random.random() < 0.5 else ndimage.binary_erosion
        masks[k] = flip(masks[k]) | (masks[k] & (random.random(window.shape) < 0.5))
    masks = masks[masks.any(axis=(1, 2))]
    scores = random.uniform(0.5, 1, len(masks))
    return Instances(window.shape, masks=Masks.from_dense(masks), scores=scores)


def test_ragged_outlines_are_counted_once_and_not_cut() -> None:
    random = np.random.default_rng(3)
    labels = np.zeros((300, 300), dtype=np.int32)
    rows, columns = np.ogrid[:300, :300]
    for k, (y, x) in enumerate([(15 + 30 * a, 15 + 30 * b) for a in range(10) for b in range(10)]):
        labels[(rows - y) ** 2 + (columns - x) ** 2 < random.uniform(8, 13) ** 2] = k + 1
    tiled = predict_tiled(jittered, labels, tile=80, overlap=32)
    expected = truth(labels)
    assert len(tiled) == 100
    assert tiled.masks is not None and expected.masks is not None
    assert tiled.masks.iou(expected.masks).max(axis=0).min() > 0.75
    assert (np.diff(tiled.scores) <= 0).all()


def test_a_cut_sliver_that_nobody_confirms_is_dropped() -> None:
    def nervous(window: np.ndarray) -> Instances:  # sees something at its right border only
        masks = np.zeros((1, *window.shape), dtype=bool)
        masks[0, 5:10, -4:] = True
        return Instances(window.shape, masks=Masks.from_dense(masks))

    tiled = predict_tiled(nervous, np.zeros((20, 50)), tile=20, overlap=8)
    assert tiled.boxes.tolist() == [[46, 5, 50, 10]]  # at the image's own border it stays


def test_classes_stay_apart_and_parts_that_disagree_take_the_better_score() -> None:
    classes = Labels(("cell", "nucleus"))

    def nested(window: np.ndarray) -> Instances:  # a nucleus fills most of its cell
        masks = np.stack([window > 0, window > 1])
        keep = masks.any(axis=(1, 2))
        return Instances(
            window.shape, masks=Masks.from_dense(masks[keep]), labels=np.arange(2)[keep], classes=classes
        )

    image = np.zeros((20, 60), dtype=np.uint8)
    image[4:16, 4:56] = 1
    image[5:15, 5:55] = 2
    tiled = predict_tiled(nested, image, tile=20, overlap=6)
    assert sorted(zip(tiled.labels.tolist(), tiled.area.tolist(), strict=True)) == [(0, 624), (1, 500)]

    def wavering(window: np.ndarray) -> Instances:
        first = bool(window[0, 0])
        masks = Masks.from_dense((window > 1)[None])
        return Instances(
            window.shape, masks=masks, labels=[int(first)], scores=[0.9 if first else 0.6], classes=classes
        )

    image = np.zeros((20, 34), dtype=np.uint8)
    image[5:15, 3:30] = 2
    image[0, 0] = 1
    tiled = predict_tiled(wavering, image, tile=20, overlap=6)
    assert (tiled.names, tiled.area.tolist()) == (["nucleus"], [270])


def test_boxes_alone() -> None:
    boxes = np.array([[2, 2, 9, 9], [16, 5, 24, 12], [5, 20, 45, 30], [30, 2, 38, 10]], dtype=np.float32)

    def eye(window: np.ndarray) -> Instances:  # the window's pixels tell where it is
        y0, x0 = divmod(int(window[0, 0]), 50)
        height, width = window.shape
        moved = boxes - np.array([x0, y0, x0, y0], dtype=np.float32)
        cut = np.clip(moved, 0, [width, height, width, height]).astype(np.float32)
        keep = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1])
        return Instances(window.shape, boxes=cut[keep])

    image = np.arange(50 * 50).reshape(50, 50)
    tiled = predict_tiled(eye, image, tile=25, overlap=8)
    assert tiled.masks is None
    assert sorted(tiled.boxes.tolist()) == sorted(boxes.tolist())


def test_nothing_and_progress() -> None:
    calls: list[tuple[int, int]] = []
    tiled = predict_tiled(
        oracle, np.zeros((30, 50), np.int32), tile=20, overlap=5, progress=lambda *a: calls.append(a)
    )
    assert len(tiled) == 0 and tiled.size == (30, 50)
    assert calls == [(k, 6) for k in range(1, 7)]


@pytest.mark.parametrize(("tile", "overlap"), [(1, 1), (20, 0), (20, 20), (-5, 2)])
def test_impossible_tiles_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(InputError, match="predict_tiled: expected a tile"):
        predict_tiled(oracle, np.zeros((30, 30), np.int32), tile=tile, overlap=overlap)


def test_a_predictor_that_resizes_is_refused() -> None:
    with pytest.raises(InputError, match="do not resize"):
        predict_tiled(lambda _: Instances.empty((5, 5)), np.zeros((30, 30)), tile=20, overlap=5)


@given(st.integers(1, 500), st.integers(2, 100), st.integers(1, 99))
def test_windows_cover_the_side_and_share_the_overlap(length: int, tile: int, overlap: int) -> None:
    overlap = min(overlap, tile - 1)
    found = starts(length, tile, overlap)
    assert found[0] == 0 and found[-1] == max(0, length - tile)
    assert all(0 < b - a <= tile - overlap for a, b in pairwise(found))


@given(st.integers(1, 500), st.integers(40, 120), st.integers(1, 60), st.sampled_from([8, 16, 32]))
def test_aligned_windows_cover_the_side_and_share_the_overlap(
    length: int, tile: int, overlap: int, align: int
) -> None:
    overlap = min(overlap, tile - 1)
    found = starts(length, tile, overlap, align)
    unit = align if tile - overlap >= align else 1
    assert found[0] == 0 and all(at % unit == 0 for at in found)
    assert found[-1] + tile >= length > found[-1]
    assert all(0 < b - a <= tile - overlap for a, b in pairwise(found))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.integers(30, 60), st.integers(4, 20))
def test_row_by_row_is_as_all_at_once(seed: int, tile: int, overlap: int) -> None:
    """What :class:`Seams` gives out early is what it gives out at the end, whatever the tiles report."""
    random = np.random.default_rng(seed)
    labels = blobs(seed, (100, 80), 20, 7.0)
    size = (int(labels.shape[0]), int(labels.shape[1]))
    rows = windows(size, tile, min(overlap, tile - 1))
    tiles = []
    for row in rows:
        for x0, y0, x1, y1 in row:
            found = jittered(labels[y0:y1, x0:x1])
            found = found[random.random(len(found)) < 0.9]  # and misses some
            tiles.append(Tile((x0, y0, x1, y1), found))
    whole = mend(tiles, size)
    seams, parts, given_out = Seams(size), [], 0
    for row, below in zip(rows, [*(r[0][1] for r in rows[1:]), size[0]], strict=True):
        for tile_seen in tiles[given_out : given_out + len(row)]:
            seams.add(tile_seen)
        given_out += len(row)
        before = seams.final
        top, found = seams.finished(below)
        assert not len(found) or found.boxes[:, 1].min() + top >= before  # nothing above what was final
        parts.append(placed(found, top, size))
    joined = Instances.concatenate(parts)
    assert as_set(joined) == as_set(whole) and len(joined) == len(whole)


def test_what_the_best_view_does_not_see_is_left_out() -> None:
    """A ghost near a tile's border, where the neighbour looks from further inside and sees nothing."""

    def haunted(window: np.ndarray) -> Instances:
        masks = np.zeros((1, *window.shape), dtype=bool)
        masks[0, 5:10, 26:36] = True  # four pixels from the right border of a window of 40
        return Instances(window.shape, masks=Masks.from_dense(masks[:, :, : window.shape[1]]))

    tiled = predict_tiled(haunted, np.zeros((20, 70)), tile=40, overlap=20)
    assert tiled.boxes[:, 0].tolist() == [56.0]  # the last window's own, which nobody sees better


@settings(max_examples=50, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))))
def test_components_are_those_of_scipy(dense: np.ndarray) -> None:
    parts, owner = components(Masks.from_dense(dense))
    expected = []
    for k, mask in enumerate(dense):
        labels, count = ndimage.label(mask)
        expected += [(k, (labels == v).tobytes()) for v in range(1, count + 1)]
    assert sorted(zip(owner.tolist(), (m.tobytes() for m in parts.dense()), strict=True)) == sorted(expected)
