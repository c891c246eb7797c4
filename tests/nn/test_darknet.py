"""DarkNet-53 against timm's."""

import timm
import torch

from delineate.nn.darknet import DarkNet


def test_equal_to_timm():
    theirs = timm.create_model("darknet53", features_only=True, out_indices=(3, 4, 5)).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            module.negative_slope = 0.1  # the paper's; timm trained with another
    ours = DarkNet().eval()
    generator = torch.Generator().manual_seed(0)
    for norm in (m for m in theirs.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.1, generator=generator)
        norm.weight.data.uniform_(0.5, 1.0, generator=generator)
    own, given = ours.state_dict(), list(theirs.state_dict().values())
    assert [tuple(v.shape) for v in own.values()] == [tuple(v.shape) for v in given]
    ours.load_state_dict(dict(zip(own, given, strict=True)))  # both list stem, stages, pairs in that order
    image = torch.randn(1, 3, 64, 96, generator=generator)
    with torch.inference_mode():
        for mine, other in zip(ours(image), theirs(image), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert ours.channels == [256, 512, 1024]


def test_small_ones():
    net = DarkNet((1, 1, 1), width=4, out=(1, 2))
    assert net.channels == [16, 32]
    assert [tuple(x.shape) for x in net(torch.zeros(2, 3, 32, 24))] == [(2, 16, 8, 6), (2, 32, 4, 3)]
