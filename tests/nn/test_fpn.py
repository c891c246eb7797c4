from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from delineate.core.errors import InputError
from delineate.nn.fpn import FeaturePyramid
from delineate.nn.layers import ConvNorm


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("size", [(32, 48), (25, 42)])
def test_equal_to_torchvision(norm, size):
    channels = [4, 6, 8]
    theirs = FeaturePyramidNetwork(
        channels, 16, LastLevelMaxPool(), nn.BatchNorm2d if norm == "batch" else None
    )
    ours = FeaturePyramid(channels, 16, norm)
    values = list(theirs.state_dict().values())
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))  # the same order of layers
    maps = [torch.randn(1, c, -(-size[0] // 2**k), -(-size[1] // 2**k)) for k, c in enumerate(channels)]
    expected = list(theirs(OrderedDict((str(k), m) for k, m in enumerate(maps))).values())
    found = ours(maps)
    assert len(found) == 4
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 16), (6, 2), (7, 1)])
def test_group_norm_divides_the_channels(channels, groups):
    layer = ConvNorm(3, channels, 3, "group")
    assert layer.norm.num_groups == groups
    assert layer(torch.randn(2, 3, 5, 5)).min() >= 0


def test_unknown_norm():
    with pytest.raises(InputError, match="expected one of none, batch, group, got 'layer'"):
        ConvNorm(3, 3, 1, "layer")
