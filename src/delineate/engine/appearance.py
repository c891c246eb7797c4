"""What objects look like: numbers that are alike for one object in two frames, and less alike for two.

Two sources, joined: what the model's own backbone sees, averaged over each object's pixels ("mask pooling":
no background in it, as there is in a box), and its colours. A fixed random projection makes long rows short
and keeps their cosines (Johnson and Lindenstrauss 1984). What all objects of a video have in common is taken
out, or all would look alike.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from delineate.apply.draw import display
from delineate.core.batch import Batch
from delineate.core.instances import Instances
from delineate.core.masks import Masks
from delineate.data.video import Frame
from delineate.models.base import Segmenter

from .predict import Tiling, predict, tiling
from .tile import windows
from .track import Detections, Detector

WIDTH = 64
"""Numbers that a backbone's features are projected to."""
STRIDES = (3, 20)  # pixels of the network frame per cell, of the maps that are looked at
PIXELS = 200_000  # of all objects that are looked at; of more, some columns are left out
LEVELS = 6  # steps of each colour channel
COLOURS = 3 * LEVELS + 2  # numbers that tell colours, area and aspect
KNOWN = 2000.0  # objects after which what they have in common changes no more

Floats = NDArray[np.float32]


def looking(model: Any, settings: dict[str, Any], detect: Detector) -> Detector:
    """A detector whose objects come with what they look like: a network's features too, where there is one.

    Args:
        model: what detects, or None where detections are stored.
        settings: of :func:`delineate.engine.predict.predict`.
        detect: the detector without looks, for what is no network.
    """
    network = model if isinstance(model, Segmenter) else getattr(model, "_ready", None)
    return LookingModel(network, settings) if isinstance(network, Segmenter) else with_colours(detect)


def with_colours(detect: Detector) -> Detector:
    """Any detector, its objects with what their colours are."""

    def look(frame: Frame) -> Detections:
        found = detect(frame).instances
        return Detections(found, colours(frame.pixels, found))

    return look


def colours(image: NDArray[Any], objects: Instances) -> Floats:
    """How light and colour are spread over each object.

    Args:
        image: (H, W) or (H, W, C) of any number type.
        objects: N objects; of those without masks the middle of the box is looked at.

    Returns:
        (N, 20) float32: of each channel of CIE L*a*b* a histogram of 6 soft steps, square roots of the
        shares; the logarithm of the area and the aspect of the box.
    """
    lab = cv2.cvtColor(display(image), cv2.COLOR_RGB2LAB)
    owner, y, x, _ = _pixels(_shapes(objects))
    count, seen = len(objects), lab[y, x].astype(np.float32)
    total = np.maximum(np.bincount(owner, minlength=count), 1)[:, None]
    parts = []
    for channel in range(3):
        place = seen[:, channel] / 255 * (LEVELS - 1)
        low = np.minimum(place.astype(np.int64), LEVELS - 2)
        high = place - low
        cells = np.bincount(owner * LEVELS + low, 1 - high, count * LEVELS)
        cells += np.bincount(owner * LEVELS + low + 1, high, count * LEVELS)
        parts.append(np.sqrt(cells.reshape(count, LEVELS) / total))
    width, height = (objects.boxes[:, 2:] - objects.boxes[:, :2]).T.astype(np.float64)
    size = np.log(np.maximum(objects.area, 1)) / 10
    aspect = np.log((width + 1) / (height + 1)) / 4
    return np.column_stack([*parts, size, aspect]).astype(np.float32)


class View(NamedTuple):
    """What a network saw of an image, or of one of its tiles.

    Attributes:
        maps: (C, h, w) each, over the network frame.
        window: (height, width) of the image or tile.
        scale: pixels of the network frame for each of the window, down and across.
        frame: (height, width) of the network frame, padding included.
    """

    maps: list[Tensor]
    window: tuple[int, int]
    scale: tuple[float, float]
    frame: tuple[int, int]


class LookingModel:
    """A network whose objects come with what they look like.

    Args:
        network: what detects. Of families without a ``backbone`` or encoder that is known here
            colours alone are told.
        settings: of :func:`delineate.engine.predict.predict`.
    """

    def __init__(self, network: Segmenter, settings: dict[str, Any]) -> None:
        self._network = copy.copy(network)  # the same weights; the hook below is this copy's alone
        self._network.detect = self._detect  # type: ignore[method-assign]
        self._plain = network
        self._settings = settings
        self._modules = _feature_modules(network)
        self._project: dict[int, Floats] = {}
        self._views: list[View] = []
        self._maps: list[Tensor] = []

    def __call__(self, frame: Frame) -> Detections:
        """The objects of a frame, and (N, D) of what they look like."""
        found, views = self.see(frame.pixels)
        features = [colours(frame.pixels, found)]
        if self._modules:
            features.append(self.pooled(found, views))
        return Detections(found, np.concatenate(features, axis=1))

    def see(self, image: NDArray[Any]) -> tuple[Instances, list[View]]:
        """The objects of an image, and what the network saw in each of its tiles."""
        self._views = []
        hooks = [module.register_forward_hook(self._keep) for module in self._modules]
        try:
            return predict(self._network, image, **self._settings), self._views
        finally:
            for hook in hooks:
                hook.remove()
            self._views, self._maps = [], []

    def pooled(self, objects: Instances, views: list[View]) -> Floats:
        """(N, 64) of unit length: the maps' mean over each object's pixels, projected.

        Args:
            objects: N objects of the image.
            views: what :meth:`see` gave.
        """
        shapes = _shapes(objects)
        tiles = tiling(self._plain, objects.size, self._settings.get("tile", "auto"))
        corners = _corners(objects.size, tiles)
        parts = []
        for view, (x0, y0) in zip(views, corners, strict=True):
            height, width = view.window
            part = shapes.window(x0, y0, x0 + width, y0 + height)
            parts.append(np.concatenate([_pool(m, part, view.scale, view.frame) for m in view.maps], axis=1))
        summed = np.sum(parts, axis=0).astype(np.float32)
        return _unit(_unit(summed) @ self._projection(summed.shape[1]))

    def _keep(self, _: nn.Module, __: Any, output: Any) -> None:
        values: Iterable[Any] = output.values() if isinstance(output, dict) else output
        values = [values] if isinstance(output, Tensor) else values
        self._maps += [value.detach() for value in values if isinstance(value, Tensor) and value.ndim == 4]

    def _detect(self, batch: Batch, **limits: Any) -> list[Instances]:
        self._maps = []
        found = self._plain.detect(batch, **limits)
        frame = (int(batch.images.shape[2]), int(batch.images.shape[3]))
        maps = [m[0] for m in self._maps if STRIDES[0] <= frame[1] / m.shape[3] <= STRIDES[1]]
        (high, wide), (height, width) = batch.sizes[0], batch.originals[0]
        self._views.append(View(maps, (height, width), (high / height, wide / width), frame))
        return found

    def _projection(self, width: int) -> Floats:
        if width not in self._project:
            random = np.random.default_rng(7).standard_normal((width, WIDTH)) / np.sqrt(WIDTH)
            self._project[width] = random.astype(np.float32)
        return self._project[width]


class Common:
    """Takes out of features what all objects of a video have in common; they come out of unit length.

    The mean and spread are those of the objects so far, the same again for the same features. Colours and
    the backbone's features weigh alike in the cosine.
    """

    def __init__(self) -> None:
        self._count = 0.0
        self._mean: NDArray[np.float64] = np.zeros(1)
        self._spread: NDArray[np.float64] = np.zeros(1)

    def __call__(self, features: Floats) -> Floats:
        """(N, D) as measured -> (N, D) of length one."""
        if not len(features):
            return features
        if self._count < KNOWN:
            total = self._count + len(features)
            off = features - self._mean
            self._mean = self._mean + off.sum(axis=0, dtype=np.float64) / total
            self._spread = self._spread + (off * (features - self._mean)).sum(axis=0, dtype=np.float64)
            self._count = total
        spread = np.sqrt(self._spread / self._count)
        floor = max(1e-3 * float(spread.max()), 1e-9)
        scaled = ((features - self._mean) / np.maximum(spread, floor)).astype(np.float32)
        parts = [_unit(scaled[:, :COLOURS]), _unit(scaled[:, COLOURS:])]
        return _unit(np.concatenate(parts, axis=1))


def _feature_modules(network: Segmenter) -> list[nn.Module]:
    """What gives a network's feature maps."""
    if isinstance(getattr(network, "backbone", None), nn.Module):
        return [network.backbone]  # type: ignore[list-item]
    down = getattr(network, "down", None)
    return list(down) if isinstance(down, nn.ModuleList) else []


def _corners(size: tuple[int, int], tiles: Tiling | None) -> list[tuple[int, int]]:
    """The corners (x, y) of the tiles that an image was looked at in, row by row."""
    if tiles is None:
        return [(0, 0)]
    return [(x, y) for row in windows(size, *tiles) for x, y, _, _ in row]


def _pool(
    map_: Tensor, masks: Masks, scale: tuple[float, float], frame: tuple[int, int]
) -> NDArray[np.float64]:
    """(N, C): a map's values summed over the pixels of each mask.

    Args:
        map_: (C, h, w) over the network frame.
        masks: N masks in the image's pixels.
        scale: pixels of the network frame for each of the image, down and across.
        frame: (height, width) of the network frame, padding included.
    """
    owner, y, x, step = _pixels(masks)
    height, width = int(map_.shape[1]), int(map_.shape[2])
    row = np.minimum(((y + 0.5) * scale[0] * height / frame[0]).astype(np.int64), height - 1)
    column = np.minimum(((x + 0.5) * scale[1] * width / frame[1]).astype(np.int64), width - 1)
    places = torch.from_numpy(np.stack([owner, row * width + column]))
    weights = torch.full((len(owner),), float(step))
    shares = torch.sparse_coo_tensor(places, weights, (len(masks), height * width), check_invariants=False)
    cells = map_.reshape(map_.shape[0], -1).T.float()
    summed: NDArray[np.float64] = torch.sparse.mm(shares.to(cells.device), cells).cpu().double().numpy()
    return summed


def _shapes(objects: Instances) -> Masks:
    """The masks; of boxes alone the middle, three fifths as wide and high."""
    if objects.masks is not None:
        return objects.masks
    low, high = objects.boxes[:, :2], objects.boxes[:, 2:]
    limit = np.array(objects.size[::-1])
    first = np.clip(np.floor(0.8 * low + 0.2 * high), 0, limit - 1).astype(np.int64)
    last = np.clip(np.ceil(0.2 * low + 0.8 * high), first + 1, limit).astype(np.int64)
    crops = [np.ones((h, w), np.bool_) for w, h in (last - first).tolist()]
    return Masks.from_crops(crops, first, objects.size)


def _pixels(masks: Masks) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
    """Owner, y and x of the masks' pixels; of very many each so-many-th column, which is the last value."""
    runs = masks.runs
    step = 1 + int(runs.length.sum()) // PIXELS
    kept = np.flatnonzero(runs.x % step == 0) if step > 1 else np.arange(len(runs.x))
    length = runs.length[kept].astype(np.int64)
    which = np.repeat(np.arange(len(kept)), length)
    first = np.concatenate(([0], np.cumsum(length)[:-1])) if len(kept) else np.zeros(0, np.int64)
    y = runs.y[kept].astype(np.int64)[which] + np.arange(len(which)) - first[which]
    return runs.owner[kept].astype(np.int64)[which], y, runs.x[kept].astype(np.int64)[which], step


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats = (rows / np.maximum(length, 1e-12)).astype(np.float32)
    return unit
