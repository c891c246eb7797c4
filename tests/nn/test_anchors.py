import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from delineate.core.errors import InputError
from delineate.nn.anchors import Anchors


@pytest.mark.parametrize("image", [(800, 1344), (128, 160), (32, 32), (800, 32)])
@pytest.mark.parametrize(
    ("sizes", "ratios"),
    [
        (((32,), (64,), (128,), (256,), (512,)), (0.5, 1.0, 2.0)),
        (((8, 12), (16, 24), (32, 48), (64, 96), (128, 192)), (0.3, 1.0, 3.0)),
    ],
)
def test_equal_to_torchvision_in_every_bit(image, sizes, ratios):
    strides = (4, 8, 16, 32)
    grids = [(-(-image[0] // s), -(-image[1] // s)) for s in strides]
    grids.append(((grids[-1][0] + 1) // 2, (grids[-1][1] + 1) // 2))  # the pooled top level rounds up
    theirs = AnchorGenerator(sizes, (ratios,) * 5)(
        ImageList(torch.zeros(1, 3, *image), [image]), [torch.zeros(1, 1, *g) for g in grids]
    )
    assert torch.equal(torch.cat(Anchors(sizes, ratios).boxes(grids, image)), theirs[0])


def test_step_of_a_rounded_up_grid_is_the_whole_quotient():
    top = Anchors(((32,),), (1.0,)).boxes([(13, 13)], (800, 800))[0]
    assert (top[1] - top[0]).tolist() == [61, 0, 61, 0]


def test_corners_are_rounded_half_to_even():
    # sizes 3 and 5, ratio 1: halves 1.5 and 2.5 round to 2 and 2
    assert Anchors(((3, 5),), (1.0,)).shapes(0).tolist() == [[-2, -2, 2, 2], [-2, -2, 2, 2]]


@pytest.mark.parametrize(
    ("sizes", "ratios"),
    [((), (1.0,)), (((),), (1.0,)), (((32,),), ()), (((0,),), (1.0,)), (((8,), (8, 16)), (1.0,))],
)
def test_refuses(sizes, ratios):
    with pytest.raises(InputError, match="Anchors: expected"):
        Anchors(sizes, ratios)


def test_refuses_another_number_of_levels():
    with pytest.raises(InputError, match="5 feature levels"):
        Anchors().boxes([(4, 4)], (32, 32))
