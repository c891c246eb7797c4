"""Points are the centres of their cells, in pixels."""

import torch

from delineate.nn.points import anchor_points


def test_points_of_two_levels() -> None:
    points, strides = anchor_points([torch.zeros(1, 1, 2, 3), torch.zeros(1, 1, 1, 1)], (8, 32))
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [16, 16]]
    assert strides.flatten().tolist() == [8] * 6 + [32]
