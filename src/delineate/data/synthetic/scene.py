"""A crowded scene with exact masks, visible and whole, and the order of occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..records import Sample
from .layout import Ints, Layout, SceneSettings, arrange
from .paint import paint, style
from .pixels import Cover, cover, front_to_back

MIN_AREA = 8  # visible pixels
NOWHERE = Path("synthetic")  # the path of images that lie in no file

Seed = int | Sequence[int]


@dataclass(frozen=True)
class Scene(Sample):
    """A sample that also tells what is hidden. Objects stand front to back: nothing hides object 0.

    Attributes:
        full: N whole (amodal) masks inside the image, hidden parts included; ``truth.masks`` are the visible
            parts, which share no pixel.
        layout: the objects as they were drawn.
    """

    full: Masks = None  # type: ignore[assignment]
    layout: Layout = None  # type: ignore[assignment]

    @property
    def visible(self) -> NDArray[np.float64]:
        """(N,) which part of each object inside the image shows, 0..1."""
        assert self.truth.masks is not None
        shown: NDArray[np.float64] = self.truth.masks.area / np.maximum(self.full.area, 1)
        return shown


def crowd_scene(seed: Seed = 0, settings: SceneSettings | None = None) -> Scene:
    """One synthetic image of a crowd with its exact truth.

    The outlines are smooth in the picture; a pixel belongs to an object in the truth when its centre does.
    Masks are the same on every platform for a seed; grey values may differ by rounding.

    Args:
        seed: an integer >= 0, or several.
        settings: what the scene is like; default :class:`SceneSettings`.

    Returns:
        An (H, W, 3) uint8 RGB image and its objects, front to back; classes are the settings' shapes.

    Example:
        >>> scene = crowd_scene(1, SceneSettings(size=(64, 64), objects=6))
        >>> scene.image.shape, len(scene.truth), bool((scene.visible > 0).all())
        ((64, 64, 3), 6, True)
    """
    settings = settings or SceneSettings()
    layout, found, truth = _placed(seed, settings)
    rng = np.random.default_rng([*numbers(seed), 1])
    image = paint(layout, found, style(settings, rng), settings, rng)
    missing = settings.objects - len(truth)
    notes = (f"{missing} of {settings.objects} objects had no room or were hidden",) if missing else ()
    name = "-".join(str(n) for n in numbers(seed))
    return Scene(image, truth, name, NOWHERE, 1, notes, found.masks(), layout)


def crowd_truth(seed: Seed = 0, settings: SceneSettings | None = None) -> Instances:
    """The truth of :func:`crowd_scene` alone, without painting the picture."""
    return _placed(seed, settings or SceneSettings())[2]


def _placed(seed: Seed, settings: SceneSettings) -> tuple[Layout, Cover, Instances]:
    """The objects that show, their pixels and the truth."""
    layout = arrange(settings, np.random.default_rng([*numbers(seed), 0]))
    found = cover(layout, settings.size)
    labels, kept = front_to_back(found, settings.min_visible, MIN_AREA)
    if len(kept) < len(layout):
        layout = layout.take(kept)
        found = cover(layout, settings.size)
    return layout, found, visible_truth(labels, layout)


def visible_truth(labels: NDArray[np.int32], layout: Layout, ids: Ints | None = None) -> Instances:
    """Instances of the label image (k + 1 for object k) of a layout's objects, maybe with identities (N,)."""
    masks = Masks.from_label_image(labels, ids=np.arange(1, len(layout) + 1))
    return Instances(masks.size, masks=masks, labels=layout.kinds, ids=ids, classes=Labels(layout.shapes))


def numbers(seed: Seed) -> tuple[int, ...]:
    """A seed as the numbers that NumPy's generators take.

    Raises:
        InputError: a negative number.
    """
    found = tuple(int(n) for n in ([seed] if isinstance(seed, int | np.integer) else seed))
    if min(found, default=0) < 0:
        raise InputError(f"synthetic scene, seed: expected integers >= 0, got {seed}; choose another")
    return found
