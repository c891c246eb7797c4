"""Videos of crowds: two streams that cross, with identities that persist through occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from .layout import Floats, Ints, Layout, SceneSettings, arrange, joined, nearness
from .paint import Style, paint, style
from .pixels import Cover, cover, front_to_back
from .scene import NOWHERE, Scene, Seed, numbers, visible_truth
from .shapes import SHAPES

LONGEST = 16384  # pixels that a stream may be long
STEPS = 0.05  # walking cycles for each pixel that a person of 20 pixels' radius moves
ROCK = 0.15  # radians that what does not stand turns to and fro
BREATH = 0.04  # how much of the range of an outline's random numbers comes and goes


@dataclass(frozen=True)
class Motion:
    """How a crowd moves. Persons swing arms and legs as they walk; other shapes rock and breathe a little.

    Attributes:
        speed: pixels per frame; half of the objects move right and half left, each +- 20 %.
        wander: pixels to which each strays from its straight way and back, in 20 to 60 frames.
        shake: pixels (sigma) by which the camera is jerked in each frame; it returns slowly. 0 for none.

    Raises:
        InputError: a value out of range.
    """

    speed: float = 2.0
    wander: float = 2.0
    shake: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("speed", self.speed), ("wander", self.wander), ("shake", self.shake)):
            if not 0 <= value <= 100:
                raise InputError(
                    f"synthetic video, {name}: expected 0 to 100 pixels, got {value}; correct it"
                )


@dataclass(frozen=True, eq=False)
class Video(Sequence[Scene]):
    """T frames, each rendered when asked for. A frame is a :class:`~delineate.data.synthetic.scene.Scene`.

    Its truth has ``ids``, one number per object for the whole video, and holds the objects of which at least
    one pixel shows, front to back. An object that strays out of the picture and back keeps its number.

    Attributes:
        settings: what each frame is like.
        motion: how the objects move.
        objects: all objects of the video before they stray, as in frame 0, front to back; object k has the
            identity k + 1.
        velocity: (N,) pixels per frame to the right.
        phase: (N, 3) turns at which its straying begins: across, down, and its outline.
        camera: (T, 2) where the camera has been jerked to, xy pixels.
        look: what all objects share.
        seed: what the sensor's noise starts from.
    """

    settings: SceneSettings
    motion: Motion
    objects: Layout
    velocity: Floats
    phase: Floats
    camera: Floats
    look: Style
    seed: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.camera)

    @overload
    def __getitem__(self, index: int) -> Scene: ...
    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...
    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        """Renders a frame, or several."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        t = range(len(self))[index]
        present, here, found, labels, shown = self._frame(t)
        rng = np.random.default_rng([*self.seed, 2, t])
        shake = (float(self.camera[t, 0]), float(self.camera[t, 1]))
        image = paint(here, found, self.look, self.settings, rng, shake)
        seen = here.take(shown)
        truth = visible_truth(labels, seen, present[shown] + 1)
        full = found.masks()[shown]
        return Scene(image, truth, f"{t + 1:06d}.png", NOWHERE, t + 1, (), full, seen)

    def layout(self, t: int) -> Layout:
        """Where all objects are in frame t, those outside the picture too, front to back."""
        o, moved = self.objects, self.velocity * t
        beat = 2 * np.pi * (self.phase + t / (20 + 40 * self.phase[:, ::-1]))  # (N, 3)
        stray = np.sin(beat)
        centers = o.centers + self.camera[t] + self.motion.wander * stray[:, :2]
        centers[:, 0] += moved
        upright = np.array([SHAPES[name].upright for name in o.shapes])[o.kinds]
        forms = o.forms + np.where(upright, 0, BREATH * stray[:, 2])[:, None]
        walked = STEPS * 20 / o.radii * abs(moved)
        forms[:, 0] += np.where(upright, walked, 0)
        angles = o.angles + np.where(upright, 0, ROCK * stray[:, 2])
        return replace(o, centers=centers, forms=forms, angles=angles)

    def _frame(self, t: int) -> tuple[Ints, Layout, Cover, NDArray[np.int32], Ints]:
        """Which objects are near the picture, they, their pixels, the visible labels, which of them show."""
        everything = self.layout(t)
        reach = 2 * everything.radii[:, None]
        limit = self.settings.size[::-1]
        near = (everything.centers > -reach) & (everything.centers < limit + reach)
        present = np.flatnonzero(near.all(axis=1))
        here = everything.take(present)
        found = cover(here, self.settings.size)
        return present, here, found, *front_to_back(found, 0, 1)

    def truth(self, t: int) -> tuple[Instances, Floats]:
        """The truth of frame t without painting it, and which part (N,) of each object shows."""
        present, here, found, labels, shown = self._frame(t)
        truth = visible_truth(labels, here.take(shown), present[shown] + 1)
        assert truth.masks is not None
        return truth, truth.masks.area / np.maximum(found.masks().area[shown], 1)

    def states(self, t: int) -> tuple[Ints, Ints, Ints]:
        """Every object in the picture of frame t, hidden ones too, front to back.

        Returns:
            Identities (M,); visible pixels (M,), 0 where it is wholly hidden; pixels of the whole mask (M,).
        """
        present, _, found, labels, shown = self._frame(t)
        whole = found.masks().area
        visible = np.zeros(len(present), dtype=np.int64)
        visible[shown] = np.bincount(labels.ravel(), minlength=len(shown) + 1)[1:]
        inside = whole > 0
        return present[inside] + 1, visible[inside], whole[inside]

    @cached_property
    def hidden(self) -> dict[int, list[tuple[int, int]]]:
        """Identity to the intervals (first, last frame) in which it is in the picture but wholly hidden."""
        result: dict[int, list[tuple[int, int]]] = {}
        for t in range(len(self)):
            ids, visible, _ = self.states(t)
            for identity in ids[visible == 0].tolist():
                spans = result.setdefault(identity, [])
                if spans and spans[-1][1] == t - 1:
                    spans[-1] = (spans[-1][0], t)
                else:
                    spans.append((t, t))
        return result


def crowd_video(
    seed: Seed = 0,
    settings: SceneSettings | None = None,
    frames: int = 60,
    motion: Motion | None = None,
) -> Video:
    """Two streams of objects that pass through each other, one to the right and one to the left.

    Each stream stands as close as ``settings.crowding`` says; where the streams meet they hide each other.
    The order of occlusion never changes. Objects enter and leave at the sides.

    Args:
        seed: an integer >= 0, or several.
        settings: what a frame is like; ``objects`` is how many are in the picture on average, half in each
            stream; ``min_visible`` plays no part, for nothing vanishes while it is in the picture.
        frames: T.
        motion: how they move; default :class:`Motion`.

    Returns:
        The frames, rendered when asked for.

    Raises:
        InputError: no frames, or so many that a stream would be longer than 16384 pixels.

    Example:
        >>> video = crowd_video(1, SceneSettings(size=(64, 96), objects=8), frames=20)
        >>> len(video), video[0].image.shape, sorted(set(video[3].truth.ids) & set(video[4].truth.ids)) != []
        (20, (64, 96, 3), True)
    """
    settings, motion = settings or SceneSettings(), motion or Motion()
    height, width = settings.size
    travel = int(np.ceil(1.2 * motion.speed * frames))
    if frames < 1 or width + travel > LONGEST:
        raise InputError(
            f"synthetic video: expected 1 to {int((LONGEST - width) / max(1.2 * motion.speed, 1e-9))} frames "
            f"at {motion.speed:g} pixels per frame, got {frames}; make it shorter or slower"
        )
    rng = np.random.default_rng([*numbers(seed), 0])
    look = style(settings, np.random.default_rng([*numbers(seed), 1]))
    strip = replace(settings, size=(height, width + travel))
    halves = (settings.objects // 2, settings.objects - settings.objects // 2)
    streams = [arrange(replace(strip, objects=round(half * (1 + travel / width))), rng) for half in halves]
    streams[0] = replace(streams[0], centers=streams[0].centers - (travel, 0))
    both = joined(streams)
    direction = np.repeat([1.0, -1.0], [len(s) for s in streams])
    velocity = direction * motion.speed * (0.8 + 0.4 * rng.random(len(both)))
    order = np.argsort(nearness(both, height), kind="stable")
    jerks = motion.shake * rng.standard_normal((frames, 2))
    camera = np.zeros((frames, 2))
    for t in range(1, frames):
        camera[t] = 0.8 * camera[t - 1] + jerks[t]
    phase = rng.random((len(both), 3))
    return Video(settings, motion, both.take(order), velocity[order], phase, camera, look, numbers(seed))
