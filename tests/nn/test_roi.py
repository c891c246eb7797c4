import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign, roi_align

from delineate.nn.roi import PyramidRoiAlign, assign_levels, roi_align_bags, stack_rois

IMAGE = (192, 256)


def pyramid(images: int = 2, channels: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(images, channels, IMAGE[0] // s, IMAGE[1] // s, generator=generator)
        for s in (4, 8, 16, 32)
    ]


def boxes(count: int, seed: int) -> torch.Tensor:
    """Inside the image, of every size, those of no area among them."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * torch.tensor([IMAGE[1], IMAGE[0]])
    box = torch.cat([corners.amin(1), corners.amax(1)], 1)
    if count:
        box[0] = torch.tensor([0.0, 0, IMAGE[1], IMAGE[0]])
        box[-1, 2:] = box[-1, :2]
    return box


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("counts", [(40, 3), (0, 5), (0, 0)])
def test_pyramid_equal_to_torchvision(counts, gradient, channels_last):
    features = pyramid()
    rois = [boxes(n, k) for k, n in enumerate(counts)]
    names = [str(k) for k in range(4)]
    theirs = MultiScaleRoIAlign(names, 7, 2)(dict(zip(names, features, strict=True)), rois, [IMAGE] * 2)
    if channels_last:
        features = [f.contiguous(memory_format=torch.channels_last) for f in features]
    with torch.set_grad_enabled(gradient):
        ours = PyramidRoiAlign(7)(features, stack_rois(rois))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=5e-5)


@pytest.mark.parametrize("sampling", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_bags_are_roi_align_beyond_the_border_too(scale, sampling):
    feature = pyramid()[0].contiguous(memory_format=torch.channels_last)
    wild = torch.cat([boxes(30, 3), boxes(30, 4) * 1.3 - 30])
    rois = torch.cat([torch.arange(60)[:, None] % 2, wild], 1)
    ours = roi_align_bags(feature, rois, 5, scale, sampling)
    torch.testing.assert_close(ours, roi_align(feature, rois, 5, scale, sampling), rtol=1e-4, atol=5e-5)


def test_gradient_reaches_the_features():
    features = [f.requires_grad_() for f in pyramid()]
    pool = PyramidRoiAlign(7, canonical_size=56)  # so that every level is read
    pool(features, stack_rois([boxes(20, 0), boxes(20, 1)])).sum().backward()
    assert all(f.grad is not None and f.grad.abs().sum() > 0 for f in features)


def test_levels_at_exact_powers_and_ends():
    sides = torch.tensor([0.0, 111.9, 112, 223.9, 224, 447.9, 448, 5000])
    squares = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], 1)
    assert assign_levels(squares, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_smaller_canonical_size_reads_coarser_maps():
    square = torch.tensor([[0.0, 0, 56, 56]])
    assert assign_levels(square, 4).item() == 0
    assert assign_levels(square, 4, canonical_size=56).item() == 2
