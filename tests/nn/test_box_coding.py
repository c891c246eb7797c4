import math

import hypothesis.extra.numpy as hnp
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder

from delineate.nn.box_coding import at_least, clip, decode, encode


def boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = 100 * torch.rand(count, 2, generator=generator)
    return torch.cat([corner, corner + 1 + 80 * torch.rand(count, 2, generator=generator)], 1)


def test_equal_to_torchvision():
    for weights in ((1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)):
        coder = BoxCoder(weights)
        a, b = boxes(50, 0), boxes(50, 1)
        torch.testing.assert_close(encode(a, b, weights), coder.encode_single(a, b), rtol=1e-5, atol=1e-5)
        offsets = 20 * torch.randn(50, 4, generator=torch.Generator().manual_seed(2))
        theirs = coder.decode_single(offsets, b)
        torch.testing.assert_close(decode(offsets, b, weights), theirs, rtol=1e-6, atol=1e-3)


@given(hnp.arrays(np.float32, (6, 4), elements=st.floats(1, 60, width=32)), st.sampled_from([1.0, 5.0, 10.0]))
def test_decode_inverts_encode(sides, weight):
    a = torch.from_numpy(np.concatenate([sides[:3, :2], sides[:3].sum(1, keepdims=True) + sides[:3, 2:]], 1))
    b = torch.from_numpy(np.concatenate([sides[3:, :2], sides[3:, :2] + sides[3:, 2:]], 1))
    back = decode(encode(a, b, (weight,) * 4), b, (weight,) * 4)
    growth = (a[:, 2:] - a[:, :2]) / (b[:, 2:] - b[:, :2])
    fits = (growth < 62.5).all(1)  # decode cuts the growth there
    torch.testing.assert_close(back[fits], a[fits], rtol=1e-3, atol=1e-2)


def test_growth_is_cut():
    one = torch.tensor([[0.0, 0, 16, 16]])
    grown = decode(torch.tensor([[0.0, 0, 50, 50]]), one)
    assert math.isclose((grown[0, 2] - grown[0, 0]).item(), 1000, rel_tol=1e-5)


def test_none():
    empty = torch.zeros(0, 4)
    assert encode(empty, empty).shape == decode(empty, empty).shape == clip(empty, (4, 4)).shape == (0, 4)
    assert at_least(empty, 1).shape == (0,)


def test_clip_and_at_least():
    box = torch.tensor([[-3.0, 2, 50, 9], [1, 1, 1, 5]])
    assert clip(box, (8, 40)).tolist() == [[0, 2, 40, 8], [1, 1, 1, 5]]
    assert at_least(box, 1e-2).tolist() == [True, False]
