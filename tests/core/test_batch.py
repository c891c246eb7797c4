"""Resize, pad and the exact way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from delineate.core.batch import InputSpec, collate, resize_masks, scale_boxes, to_rgb_float
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.masks import Masks

SIDES = st.integers(1, 40)


def corners(size: tuple[int, int]) -> np.ndarray:
    """Four one-pixel masks, one in each corner."""
    dense = np.zeros((4, *size), dtype=bool)
    for mask, (y, x) in zip(dense, [(0, 0), (0, -1), (-1, 0), (-1, -1)], strict=True):
        mask[y, x] = True
    return dense


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.integers(1, 4), st.integers(1, 4))
def test_enlarged_masks_come_back_exactly(height: int, width: int, factor: int, extra: int) -> None:
    rng = np.random.default_rng(height * 100 + width)
    dense = np.concatenate([rng.random((3, height, width)) < 0.5, corners((height, width))])
    masks = Masks.from_dense(dense)
    larger = resize_masks(masks, (height * factor + extra, width * factor + extra))
    np.testing.assert_array_equal(resize_masks(larger, (height, width)).dense(), dense)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES)
def test_the_network_corner_is_the_image_corner(height: int, width: int, shortest: int, longest: int) -> None:
    spec = InputSpec(shortest_edge=shortest, longest_edge=max(shortest, longest), divisor=8)
    image = np.zeros((height, width), dtype=np.uint8)
    batch = collate([image], spec)
    network = Masks.from_dense(np.ones((1, *batch.images.shape[2:]), dtype=bool))  # the padding too
    back = batch.masks_to_original(0, network).dense()[0]
    assert back.shape == (height, width) and back.all()
    box = np.array([[0, 0, batch.sizes[0][1], batch.sizes[0][0]]], dtype=np.float32)
    np.testing.assert_allclose(batch.boxes_to_original(0, box), [[0, 0, width, height]], rtol=1e-6)
    if batch.sizes[0][0] >= height and batch.sizes[0][1] >= width:
        there = collate(
            [image], spec, [Instances((height, width), masks=Masks.from_dense(corners((height, width))))]
        )
        assert there.targets is not None and there.targets[0].masks is not None
        back = batch.masks_to_original(0, there.targets[0].masks).dense()
        np.testing.assert_array_equal(back, corners((height, width)))


@pytest.mark.parametrize("sizes", [[(30, 40)], [(48, 31), (20, 77)], [(9, 90), (64, 64), (90, 9)]])
def test_same_tensor_as_torchvision(sizes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    spec = InputSpec(shortest_edge=50, longest_edge=90)
    peer = GeneralizedRCNNTransform(50, 90, list(spec.mean), list(spec.std))
    wanted, _ = peer([torch.from_numpy(i).permute(2, 0, 1).float() / 255 for i in images])
    batch = collate(images, spec)
    assert batch.sizes == [tuple(s) for s in wanted.image_sizes]
    torch.testing.assert_close(batch.images, wanted.tensors, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (130, 7), (64, 64), (257, 300)])
@pytest.mark.parametrize("edge", [None, 96])
def test_bytes_give_the_numbers_of_plain_arithmetic(size: tuple[int, int], edge: int | None) -> None:
    """Bit by bit, whatever the layout in memory, beside another image and with clean padding."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    image.flags.writeable = False
    spec = InputSpec(shortest_edge=edge, longest_edge=edge)
    batch = collate([image, image[::-1, ::-1]], spec)
    for slot, pixels in zip(batch.images, (image.copy(), image[::-1, ::-1].copy()), strict=True):
        plain = torch.from_numpy(pixels).float() / 255
        wanted = ((plain - torch.tensor(spec.mean)) / torch.tensor(spec.std)).permute(2, 0, 1)
        if edge:
            wanted = F.interpolate(wanted[None], batch.sizes[0], mode="bilinear", align_corners=False)[0]
        height, width = batch.sizes[0]
        assert torch.equal(slot[:, :height, :width], wanted)
        assert not slot[:, height:].any() and not slot[:, :, width:].any()


def test_targets_move_with_the_image() -> None:
    truth = Instances(
        (10, 20), boxes=[[2, 1, 4, 5]], areas=[8.0], masks=Masks.from_dense(np.ones((1, 10, 20), bool))
    )
    batch = collate([np.zeros((10, 20), np.uint8)], InputSpec(20, None), [truth])
    assert batch.targets is not None
    moved = batch.targets[0]
    assert moved.size == (20, 40) and moved.boxes.tolist() == [[4, 2, 8, 10]] and moved.area.tolist() == [32]
    assert moved.masks is not None and moved.masks.area.tolist() == [800]


@pytest.mark.parametrize(
    ("image", "scaling", "low", "high"),
    [
        (np.full((3, 3), 255, np.uint8), "range", 1, 1),
        (np.full((3, 3), 7, np.uint8), "percentile", 0, 0),
        (np.full((3, 3), 4095, np.uint16), "range", 0, 0),
        (np.linspace(0, 4095, 10_000).reshape(100, 100).astype(np.uint16), "range", 0, 1),
        (np.linspace(-3, 9, 10_000).reshape(100, 100).astype(np.float32), "percentile", 0, 1),
    ],
)
def test_depths_become_zero_to_one(image: np.ndarray, scaling: str, low: float, high: float) -> None:
    rgb = to_rgb_float(image, scaling)
    assert rgb.shape == (*image.shape, 3) and rgb.dtype == np.float32
    assert rgb.min() == low and rgb.max() == high


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 3), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros(4),
        np.full((2, 2), np.nan, np.float32),
    ],
)
def test_what_is_not_an_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        to_rgb_float(image)


def test_no_images_and_unknown_scaling_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        collate([], InputSpec())
    with pytest.raises(InputError, match="scaling"):
        InputSpec(scaling="log")


def test_spec_survives_a_checkpoint_header() -> None:
    spec = InputSpec(shortest_edge=None, tile=512)
    assert InputSpec.from_dict(spec.to_dict()) == spec
    assert InputSpec(shortest_edge=0, longest_edge=0, tile=0) == InputSpec(None, None)
    assert scale_boxes(np.zeros((0, 4), np.float32), (2, 2), (4, 4)).shape == (0, 4)


def test_stretch_gives_a_square_whatever_the_aspect_and_boxes_come_back() -> None:
    spec = InputSpec(stretch=64, divisor=1)
    batch = collate([np.zeros((30, 90, 3), np.uint8)], spec)
    assert batch.sizes == [(64, 64)]
    assert batch.images.shape == (1, 3, 64, 64)
    whole = np.array([[0, 0, 64, 64]], np.float32)
    assert batch.boxes_to_original(0, whole).tolist() == [[0, 0, 90, 30]]


def test_a_spec_from_a_recipe_may_leave_fields_out() -> None:
    assert InputSpec.from_dict({"shortest_edge": 64}) == InputSpec(shortest_edge=64)
    assert InputSpec.from_dict({"mean": [0, 0, 0]}).mean == (0, 0, 0)
    with pytest.raises(InputError, match=r"InputSpec: expected fields of shortest_edge, .*, got size"):
        InputSpec.from_dict({"size": 64})


@pytest.mark.parametrize(
    ("size", "wanted"), [((480, 640), (480, 640)), ((640, 480), (480, 360)), ((100, 400), (160, 640))]
)
def test_pictures_on_end_fit_into_a_frame_that_lies(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    spec = InputSpec(480, 640, within=(480, 640))
    assert spec.network_size(size) == wanted
    assert InputSpec.from_dict(spec.to_dict()) == spec and "within" not in InputSpec().to_dict()
    with pytest.raises(InputError, match="within"):
        InputSpec(within=(480, 0))
