"""The position code by its formula, cell by cell (Carion et al. 2020, appendix A.4)."""

from __future__ import annotations

import math

import torch

from delineate.nn.sine_position import sine_position


def test_every_number_is_the_formulas() -> None:
    height, width, channels = 3, 2, 8
    code = sine_position((height, width), channels, torch.zeros(1, dtype=torch.float64))
    half = channels // 2
    for row in range(height):
        for column in range(width):
            for i in range(channels):
                place = (row + 1) / (height + 1e-6) if i < half else (column + 1) / (width + 1e-6)
                wave = 10000 ** (2 * ((i % half) // 2) / half)
                angle = place * 2 * math.pi / wave
                expected = math.sin(angle) if i % 2 == 0 else math.cos(angle)
                assert abs(float(code[row * width + column, i]) - expected) < 1e-9
