"""Images as a graph sees them, one after the other: what int8 is calibrated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.batch import collate

from .manifest import Manifest

Feed = dict[str, NDArray[np.float32]]


class Feeds:
    """The inputs of a graph, made of images by the model's own rule when they are asked for.

    Args:
        images: (H, W) or (H, W, 3) each; of one larger than the graph takes, its middle.
        manifest: of the graph.
        progress: called after each image.
    """

    def __init__(
        self, images: Sequence[NDArray[Any]], manifest: Manifest, progress: Callable[[], object] | None = None
    ) -> None:
        self.images, self.manifest, self.progress = images, manifest, progress

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Feed]:
        for image in self.images:
            yield self.feed(image)
            if self.progress is not None:
                self.progress()

    def feed(self, image: NDArray[Any]) -> Feed:
        """The inputs of one image, by name; padded with zeros to the graph's size."""
        spec = self.manifest.input
        largest = self.manifest.size
        if spec.shortest_edge is None and spec.stretch is None:
            image = middle(image, largest)
        batch = collate([image], spec)
        pixels = np.asarray(batch.images)
        if not self.manifest.dynamic:
            room = np.zeros((1, 3, *largest), np.float32)
            room[:, :, : pixels.shape[2], : pixels.shape[3]] = pixels
            pixels = room
        given = {"images": pixels, "sizes": np.array(batch.sizes, np.float32)}
        return {name: given[name] for name in self.manifest.inputs}


def middle(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The middle of an image, at most of ``size`` (height, width)."""
    top, left = (max(0, (have - most) // 2) for have, most in zip(image.shape[:2], size, strict=True))
    return image[top : top + size[0], left : left + size[1]]
