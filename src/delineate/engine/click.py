"""Click-to-segment: points on an object and beside it, or a box around it, become its mask.

The network looks at a square around the clicks, whatever the image's size: the first look is at the image's
own scale, and wider where the mask reaches the edge; a second look is zoomed to what was found. A click costs
two or three looks at 160 x 160 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from scipy import ndimage

from delineate.apply.click_regions import grow
from delineate.core.errors import CheckpointError, InputError
from delineate.core.masks import Masks
from delineate.metrics.clicks import Click
from delineate.models.click_net import ClickNet

from .atomic import write_atomically
from .click_view import MEAN, RADIUS, SIDE, STD, Box, View, hint_maps
from .weights_file import read_weights

WEIGHTS = Path(__file__).parents[1] / "weights" / "click.safetensors"
CLOSE = 2.0  # the second look is so many times as large as what was found
NEAREST = 40  # pixels of the image seen at least
WIDEST = 4096  # and at most


View2D = NDArray[np.float32]
Look = Callable[[View2D, Sequence[Click], View2D | None, Box | None], View2D]
"""From a view's (3, S, S) normalised pixels, the clicks, the (S, S) mask so far and the box, all in pixels of
the view, to the (S, S) probability of the object."""


@dataclass(frozen=True, eq=False)
class Clicker:
    """A tool that turns clicks into a mask; it keeps nothing between calls.

    Attributes:
        look: what it makes of one view: :class:`NetworkLook`, or :func:`look_by_regions`.

    Example:
        >>> import numpy as np
        >>> image = np.zeros((64, 64), np.uint8)
        >>> image[10:30, 12:42] = 200
        >>> Clicker(look_by_regions).segment(image, [Click(20.5, 20.5)]).area.tolist()  # of 600
        [596]
    """

    look: Look

    def segment(
        self,
        image: NDArray[Any],
        clicks: Sequence[Click],
        *,
        box: Box | None = None,
        before: Masks | None = None,
    ) -> Masks:
        """The mask of the object that the clicks mean.

        Args:
            image: (H, W) or (H, W, 3) uint8, uint16 or float32; only a square around the clicks is read, so
                that a memory-mapped array is as good.
            clicks: all clicks on this object so far, in pixels of the image.
            box: x1, y1, x2, y2 around the object, or None.
            before: the mask so far, one of the image's size, or None; it is corrected.

        Returns:
            One mask. It has every positive click's pixel and none of a negative click.

        Raises:
            InputError: neither a positive click nor a box nor a mask, or clicks outside the image.
        """
        size = (int(image.shape[0]), int(image.shape[1]))
        box = _checked(size, clicks, box, before)
        found, old = before, before
        if before is None or not int(before.area[0]):
            found, old = self._first(image, clicks, box, size), None
        about = _bounds(found, clicks, box)
        view = View.around(about, CLOSE, NEAREST, size)
        return self._look(image, view, clicks, box, found if old is None else old, size)

    def _first(
        self, image: NDArray[Any], clicks: Sequence[Click], box: Box | None, size: tuple[int, int]
    ) -> Masks:
        """A look at the image's own scale, or wider, until the object ends inside."""
        about = _bounds(None, clicks, box)
        view = View.around(about, 1.5, SIDE, size)
        while True:
            found = self._look(image, view, clicks, box, None, size)
            if view.side >= min(WIDEST, max(size)) or not _at_edge(found, view, size):
                return found
            view = View.around(about, 1, 2 * view.side, size)

    def _look(
        self,
        image: NDArray[Any],
        view: View,
        clicks: Sequence[Click],
        box: Box | None,
        before: Masks | None,
        size: tuple[int, int],
    ) -> Masks:
        """What is seen in one view, with the clicks kept to."""
        there = [Click(*view.at(c.x, c.y), c.positive) for c in clicks]
        frame = None if box is None else (*view.at(*box[:2]), *view.at(*box[2:]))
        so_far = None if before is None else view.see(before)
        probability = self.look(view.pixels(image), there, so_far, frame)
        return view.to_image(_kept_to(probability, view, there), size)


@dataclass(frozen=True, eq=False)
class NetworkLook:
    """The click network on one view.

    Attributes:
        net: the network, in evaluation.
    """

    net: ClickNet

    def __call__(
        self, pixels: View2D, clicks: Sequence[Click], before: View2D | None, box: Box | None
    ) -> View2D:
        """(S, S) probability of the object; arguments as for :data:`Look`."""
        hints = torch.from_numpy(hint_maps(pixels.shape[-1], clicks, before, box))[None]
        images = torch.from_numpy(pixels)[None].contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            seen: View2D = self.net(images, hints).sigmoid()[0, 0].numpy()
        return seen


def look_by_regions(
    pixels: View2D, clicks: Sequence[Click], before: View2D | None, box: Box | None
) -> View2D:
    """What :func:`delineate.apply.click_regions.grow` makes of one view, without a network."""
    shown = np.clip(pixels.transpose(1, 2, 0) * STD + MEAN, 0, 1)
    inside = [c for c in clicks if 0 <= c.x < pixels.shape[2] and 0 <= c.y < pixels.shape[1]]
    return grow(shown, inside, None if before is None else before > 0.5, box).astype(np.float32)


def _kept_to(probability: NDArray[np.float32], view: View, clicks: Sequence[Click]) -> NDArray[np.float32]:
    """The parts of a mask that positive clicks lie on, and nothing at negative clicks, all in the view."""
    rows, columns = np.ogrid[: view.out, : view.out]
    certain = probability.copy()
    seeds = np.zeros(certain.shape, bool)
    for click in clicks:
        reach = max(RADIUS / 2, 0.75 * view.out / view.side)  # at least the image's own pixel
        near = (columns + 0.5 - click.x) ** 2 + (rows + 0.5 - click.y) ** 2 <= reach**2
        certain[near] = 1.0 if click.positive else 0.0
        if click.positive:
            seeds |= near
    if not seeds.any():
        return certain
    parts, _ = ndimage.label(certain > 0.5)
    kept = np.unique(parts[seeds])
    return np.where(np.isin(parts, kept[kept > 0]), certain, np.minimum(certain, 0.49)).astype(np.float32)


def _bounds(found: Masks | None, clicks: Sequence[Click], box: Box | None) -> Box:
    """The smallest box around the mask, the positive clicks and the box."""
    corners = [(c.x, c.y) for c in clicks if c.positive] or [(c.x, c.y) for c in clicks if box is None]
    if box is not None:
        corners += [box[:2], box[2:]]
    if found is not None and int(found.area[0]):
        x1, y1, x2, y2 = found.boxes[0].tolist()
        corners += [(x1, y1), (x2, y2)]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _at_edge(found: Masks, view: View, size: tuple[int, int]) -> bool:
    """Whether a mask reaches an edge of the view that is not the image's own."""
    if not int(found.area[0]):
        return False
    x1, y1, x2, y2 = found.boxes[0].tolist()
    near = 0.02 * view.side
    return (
        (view.x0 > 0 and x1 < view.x0 + near)
        or (view.y0 > 0 and y1 < view.y0 + near)
        or (view.x0 + view.side < size[1] and x2 > view.x0 + view.side - near)
        or (view.y0 + view.side < size[0] and y2 > view.y0 + view.side - near)
    )


def _checked(
    size: tuple[int, int], clicks: Sequence[Click], box: Box | None, before: Masks | None
) -> Box | None:
    """The box with its corners in order.

    Raises:
        InputError: as :meth:`Clicker.segment`.
    """
    height, width = size
    if not any(c.positive for c in clicks) and box is None and before is None:
        raise InputError("click: expected a point on the object or a box, got neither; click on the object")
    for c in clicks:
        if not (0 <= c.x < width and 0 <= c.y < height):
            raise InputError(
                f"click: expected a point on the image of {width} x {height} pixels, got {c.x:g}, {c.y:g}; "
                "click on the image"
            )
    if before is not None and (before.size != size or len(before) != 1):
        raise InputError(
            f"click: expected one mask of {size}, got {len(before)} of {before.size}; give the object's own"
        )
    if box is None:
        return None
    values = np.clip(np.array(box, float), 0, [width, height, width, height])
    x1, x2 = sorted(values[[0, 2]].tolist())
    y1, y2 = sorted(values[[1, 3]].tolist())
    if not (np.isfinite(values).all() and x2 - x1 >= 1 and y2 - y1 >= 1):
        raise InputError(f"click: expected a box x1, y1, x2, y2 on the image, got {tuple(box)}; draw it anew")
    return x1, y1, x2, y2


@cache
def load_clicker(weights: Path = WEIGHTS) -> Clicker:
    """The click network of the package, or of a file that :func:`save_clicks` wrote.

    Raises:
        CheckpointError: no such file, or not one of a click network.
    """
    tensors, texts = read_weights(weights)
    try:
        net = ClickNet(tuple(int(n) for n in texts["channels"].split(",")))
        net.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    except (KeyError, ValueError, RuntimeError, IndexError):
        raise CheckpointError(
            f"{weights}: expected weights of a click network, got others; see save_clicks"
        ) from None
    net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return Clicker(NetworkLook(net))


def save_clicks(net: ClickNet, path: Path, record: str = "", licence: str = "") -> None:
    """The network's weights as 16-bit floats in one safetensors file, atomically.

    Args:
        net: the network.
        path: the file to make or replace.
        record: what it was trained on, for people.
        licence: SPDX name of the weights' licence.
    """
    tensors = {
        name: t.half().contiguous() if t.is_floating_point() else t.contiguous()
        for name, t in net.state_dict().items()
    }
    channels = [net.stem[0].out_channels, *(block.conv1.out_channels for block in list(net.down)[1:])]  # type: ignore[union-attr]
    texts = {"channels": ",".join(map(str, channels)), "record": record, "licence": licence, "format": "pt"}
    content = safetensors.torch.save(tensors, metadata=texts)
    write_atomically(path, lambda file: file.write(content))
