"""A soft ellipse in each object's own box, added to its mask: what tells an object from its twin next door.

A sum of prototypes says the same of two places that look the same, wherever the object is, so that a mask
runs on into a like neighbour as far as the box lets it. CondInst (Tian et al. 2020, section 3.2) gives each
mask head coordinates relative to its object for that reason. Here the same is had for six numbers an object:
a quadratic q(u, v) = a u^2 + b v^2 + c u v + d u + e v + f of the coordinates relative to the box, -1 at its
left and top, 1 at its right and bottom. Multiplied out, it is a quadratic of the image's coordinates, so six
fixed maps beside the prototypes, (x^2, y^2, xy, x, y, 1), make it part of the same sum.
"""

from __future__ import annotations

import torch
from torch import Tensor

TERMS = 6
SMALLEST = 2.0  # pixels; a box counts as at least so wide and high, so that no coefficient explodes


def quadratic(terms: Tensor, boxes: Tensor, places: Tensor) -> Tensor:
    """(N,) values of N quadratics, each at a place of its own.

    Args:
        terms: (N, 6) relative to the boxes.
        boxes: (N, 4) xyxy, in pixels.
        places: (N, 2) x, y in pixels.
    """
    u, v = ((places - (boxes[:, :2] + boxes[:, 2:]) / 2) / _half(boxes)).unbind(1)
    a, b, c, d, e, f = terms.unbind(1)
    return (a * u + c * v + d) * u + (b * v + e) * v + f


def absolute(terms: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 6) the same quadratics of the image's coordinates, in the order of :func:`coordinate_maps`.

    Args:
        terms: (..., 6) relative to the boxes, float32.
        boxes: (..., 4) xyxy, in pixels.
        size: (height, width) of the network's input.
    """
    unit = max(size) / 2
    origin = boxes.new_tensor([size[1] / 2, size[0] / 2])
    centre = ((boxes[..., :2] + boxes[..., 2:]) / 2 - origin) / unit
    a, b, c, d, e, f = terms.unbind(-1)
    p, q = (unit / _half(boxes)).unbind(-1)
    x, y = centre.unbind(-1)
    u, v = x * p, y * q  # the image's centre is at (-u, -v) of the box
    return torch.stack(
        [
            a * p * p,
            b * q * q,
            c * p * q,
            (d - 2 * a * u - c * v) * p,
            (e - 2 * b * v - c * u) * q,
            a * u * u + b * v * v + c * u * v - d * u - e * v + f,
        ],
        -1,
    )


def coordinate_maps(height: int, width: int, stride: int, like: Tensor) -> Tensor:
    """(6, height, width) maps x^2, y^2, xy, x, y, 1 of the cells' centres.

    Coordinates count from the image's centre, in halves of its longer side, which keeps the sums exact
    enough in float32.

    Args:
        height: of the prototypes' grid.
        width: of it.
        stride: pixels a cell.
        like: gives device and type.
    """
    unit = max(height, width) * stride / 2
    y = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5 - height / 2) * (stride / unit)
    x = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5 - width / 2) * (stride / unit)
    y, x = y[:, None].expand(height, width), x.expand(height, width)
    return torch.stack([x * x, y * y, x * y, x, y, torch.ones_like(x)])


def _half(boxes: Tensor) -> Tensor:
    """(..., 2) half widths and heights."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=SMALLEST) / 2
