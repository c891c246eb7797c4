"""Every object cut out of its image, with transparent surroundings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .draw import display


def cutouts(instances: Instances, image: ArrayLike) -> Iterator[tuple[int, Image.Image]]:
    """Cut the objects out, one at a time.

    Args:
        instances: N objects; without masks their boxes are cut out whole.
        image: (H, W) or (H, W, C) that they were found in. Depths other than 8 bits are stretched for the
            eye, all alike, by the whole image's brightness.

    Yields:
        Index 0..N-1 and a PIL RGBA image of the object's tight box; pixels of other objects and background
        have alpha 0. An object without pixels is left out.

    Raises:
        InputError: an image of another size.
    """
    pixels = display(image)
    if pixels.shape[:2] != instances.size:
        raise InputError(
            f"cutouts: expected the image of the objects, {instances.size[0]} x {instances.size[1]}, "
            f"got {pixels.shape[0]} x {pixels.shape[1]}; give the one they were found in"
        )
    for i in range(len(instances)):
        if instances.masks is not None:
            shown, (x0, y0) = instances.masks.crop(i)
        else:
            corners = np.clip(instances.boxes[i], 0, [*instances.size[::-1]] * 2)
            x0, y0 = np.floor(corners[:2]).astype(int).tolist()
            x1, y1 = np.ceil(corners[2:]).astype(int).tolist()
            shown = np.ones((y1 - y0, x1 - x0), dtype=bool)
        if shown.size:
            window = pixels[y0 : y0 + shown.shape[0], x0 : x0 + shown.shape[1]]
            yield i, Image.fromarray(np.dstack([window, shown.astype(np.uint8) * np.uint8(255)]))
