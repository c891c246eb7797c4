"""Objects kept, what lies behind them changed: one picture after another.

:class:`Compositor` takes the frames of a video in order, or one photograph, with the objects found in each,
by any tool, and gives the composed pictures. It holds the last frame's alpha, and with ``remove`` some
frames to look for the background in; nothing grows with the length of the video.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances

from . import effects as effect
from .draw import display
from .effects import Colour, Floats, Picture
from .inpaint import Backdrop, fill
from .matting import MatteSettings, clean_colours, soft_alpha
from .selection import Selection
from .steady import Flow, Held, Motion, Steady

EffectName = Literal["outline", "spotlight", "pixelate", "recolour", "remove"]
EFFECTS: tuple[EffectName, ...] = ("outline", "spotlight", "pixelate", "recolour", "remove")
DEFAULTS = {"outline": "yellow", "spotlight": "0.65", "pixelate": "0", "recolour": "teal", "remove": ""}


class Behind(Protocol):
    """What is put behind the kept objects."""

    def __call__(self, picture: Picture, alpha: Floats, time: float) -> Picture:
        """(H, W, 3) uint8 for a frame, the alpha of what is kept and the time in seconds."""


@dataclass(frozen=True)
class Blur:
    """The frame itself, out of focus.

    Attributes:
        strength: sigma of the blur as a share of the longer side.
    """

    strength: float = 0.012

    def __call__(self, picture: Picture, alpha: Floats, time: float) -> Picture:
        """See :class:`Behind`."""
        return effect.blurred(picture, max(1.0, self.strength * max(alpha.shape)), alpha)


@dataclass(frozen=True)
class Plain:
    """One colour."""

    tint: Colour

    def __call__(self, picture: Picture, alpha: Floats, time: float) -> Picture:
        """See :class:`Behind`."""
        return np.broadcast_to(np.array(self.tint, np.uint8), picture.shape)


@dataclass(frozen=True, eq=False)
class Scenery:
    """Another picture, or the frames of another video, scaled to cover.

    Attributes:
        at: from seconds to (H, W, 3) uint8.
    """

    at: Callable[[float], Picture]

    def __call__(self, picture: Picture, alpha: Floats, time: float) -> Picture:
        """See :class:`Behind`."""
        return effect.cover(self.at(time), (alpha.shape[0], alpha.shape[1]))


@dataclass(frozen=True)
class Effect:
    """One effect, on some objects.

    Attributes:
        name: "outline", "spotlight", "pixelate", "recolour" or "remove".
        value: a colour (outline, recolour), the darkness 0..1 (spotlight), the side of a block in pixels
            (pixelate; 0: a fortieth of the shorter side).
        on: which objects; None: those that are kept.

    Raises:
        InputError: an unknown effect or a value that does not fit.

    Example:
        >>> chosen = Effect.parse("pixelate=12:person")
        >>> chosen.name, chosen.value, chosen.on.names
        ('pixelate', '12', ('person',))
    """

    name: EffectName
    value: str = ""
    on: Selection | None = None

    def __post_init__(self) -> None:
        if self.name not in EFFECTS:
            raise InputError(f"effect: expected one of {', '.join(EFFECTS)}, got {self.name!r}; choose one")
        value = self.value or DEFAULTS[self.name]
        if self.name == "remove" and value:
            raise InputError(f"remove: expected no value, got {value!r}; as remove:person")
        if self.name in ("outline", "recolour"):
            effect.colour(value)
        limit = {"spotlight": 1.0, "pixelate": 500.0}.get(self.name)
        if limit is not None and not 0 <= _number(self.name, value) <= limit:
            raise InputError(f"{self.name}: expected a number from 0 to {limit:g}, got {value}; correct it")
        object.__setattr__(self, "value", value)

    @classmethod
    def parse(cls, text: str) -> Effect:
        """``NAME``, ``NAME=VALUE``, ``NAME:WHICH`` or ``NAME=VALUE:WHICH``, as ``outline=red:id:3``."""
        head, colon, which = text.partition(":")
        name, _, value = head.partition("=")
        chosen = Selection.parse(which) if colon else None
        return cls(name.strip().lower(), value.strip(), chosen)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Look:
    """What a composition shall look like.

    Attributes:
        behind: the new background; None keeps the frame's own.
        transparent: whether the background becomes transparent: pictures are then RGBA, straight alpha.
        keep: which objects stay in front.
        effects: in what order they are given does not matter: remove, recolour, pixelate, then the
        background,
            then spotlight and outline.
        matte: how edges are softened.
        steady: 0..1, how much of the last frame's alpha is carried along the optical flow to calm the edges
            of a video; 0 for none.
        hold: frames for which an object that was not found again is kept where the optical flow takes it.
    """

    behind: Behind | None = None
    transparent: bool = False
    keep: Selection = Selection(everything=True)  # noqa: RUF009
    effects: tuple[Effect, ...] = ()
    matte: MatteSettings = field(default_factory=MatteSettings)
    steady: float = 0.8
    hold: int = 2

    def __post_init__(self) -> None:
        if not 0 <= self.steady < 1:
            raise InputError(f"steady: expected 0 to below 1, got {self.steady}; 0.8 is usual")
        if not 0 <= self.hold <= 50:
            raise InputError(f"hold: expected 0 to 50 frames, got {self.hold}; 2 is usual")
        if self.behind is not None and self.transparent:
            raise InputError("background: expected one, got two; leave behind or transparent out")

    @property
    def selections(self) -> tuple[Selection, ...]:
        """All that are asked for: what is kept where that matters, and what effects are on."""
        backed = self.transparent or self.behind is not None
        return tuple(dict.fromkeys([*[self.keep] * backed, *(e.on or self.keep for e in self.effects)]))

    @property
    def removes(self) -> bool:
        """Whether something is to be removed."""
        return any(e.name == "remove" for e in self.effects)


class Compositor:
    """Composes the frames of one video, or single photographs.

    Args:
        look: what it shall look like.
        video: whether the frames follow each other in time; photographs do not.

    Example:
        >>> from delineate.core.masks import Masks
        >>> people = Instances((2, 4), masks=Masks.from_label_image([[0, 1, 1, 0]] * 2))
        >>> look = Look(Plain((255, 0, 0)), matte=MatteSettings("hard"))
        >>> Compositor(look, video=False).compose(np.zeros((2, 4, 3), np.uint8), people)[0, :, 0].tolist()
        [255, 0, 0, 255]
    """

    def __init__(self, look: Look, video: bool = True) -> None:
        self.look, self.video = look, video
        self._steady: dict[Selection, Steady] = {}
        self._held: dict[Selection, Held] = {}
        self._motion = Motion()
        self._backdrop = Backdrop() if video and look.removes else None
        self._seen = 0
        self._done = 0

    def see(self, image: ArrayLike, objects: Instances) -> None:
        """Shows a coming frame before its turn, so that ``remove`` finds the background in later frames too.

        Frames are shown in order, each once; :meth:`compose` shows a frame itself where this was not done.
        """
        self._seen += 1
        if self._backdrop is not None:
            hole = self._hole(objects)
            self._backdrop.see(display(image), hole, union(objects, np.ones(len(objects), np.bool_)) & ~hole)

    def compose(self, image: ArrayLike, objects: Instances, time: float = 0.0) -> Picture:
        """The next frame.

        Args:
            image: (H, W) or (H, W, 3) of any number type; all but uint8 are stretched for the eye.
            objects: what was found in it; without masks, the boxes are taken as such.
            time: seconds from the start, for a background that moves.

        Returns:
            (H, W, 3) uint8 RGB, or (H, W, 4) RGBA with straight alpha where it is transparent.

        Raises:
            InputError: objects of another size than the image.
        """
        if self._done == self._seen:
            self.see(image, objects)
        self._done += 1
        source = display(image)
        if source.shape[:2] != objects.size:
            raise InputError(
                f"compose: expected objects on an image of {source.shape[:2]}, got {objects.size}; "
                "give those that were found in it"
            )
        wanted = [self.look.keep] if self._shows_alpha else []
        wanted += [e.on or self.look.keep for e in self.look.effects if e.name != "remove"]
        flow = self._motion.step(source) if self.video and wanted else None
        alphas = {chosen: self._alpha(chosen, source, objects, flow) for chosen in dict.fromkeys(wanted)}
        picture = self._changed(source, objects, alphas)
        return self._lit(self._backed(picture, alphas, time), alphas)

    @property
    def _shows_alpha(self) -> bool:
        return self.look.transparent or self.look.behind is not None

    def _on(self, chosen: Effect) -> Selection:
        return chosen.on or self.look.keep

    def _changed(self, source: Picture, objects: Instances, alphas: dict[Selection, Floats]) -> Picture:
        """The frame with objects removed, recoloured and pixelated."""
        picture = source
        if self.look.removes:
            hole = self._hole(objects)
            picture = fill(source, hole) if self._backdrop is None else self._backdrop.fill(source, hole)
        for chosen in self._named("recolour"):
            picture = effect.recolour(picture, alphas[self._on(chosen)], effect.colour(chosen.value))
        for chosen in self._named("pixelate"):
            block = int(float(chosen.value)) or max(4, min(source.shape[:2]) // 40)
            picture = effect.pixelate(picture, alphas[self._on(chosen)] > 0.02, max(2, block))
        return picture

    def _backed(self, picture: Picture, alphas: dict[Selection, Floats], time: float) -> Picture:
        """The new background behind what is kept."""
        if not self._shows_alpha:
            return picture
        alpha = alphas[self.look.keep]
        front = clean_colours(picture, alpha)
        if self.look.behind is not None:
            return effect.over(front, alpha, self.look.behind(picture, alpha, time))
        shade = np.rint(alpha * 255).astype(np.uint8)
        front[shade == 0] = 0
        return np.dstack([front, shade])

    def _lit(self, picture: Picture, alphas: dict[Selection, Floats]) -> Picture:
        """Spotlight and outlines, on top of all."""
        for chosen in self._named("spotlight"):
            colours = effect.spotlight(picture[..., :3], alphas[self._on(chosen)], float(chosen.value))
            picture = np.dstack([colours, picture[..., 3:]])
        for chosen in self._named("outline"):
            alpha, tint = alphas[self._on(chosen)], effect.colour(chosen.value)
            width = max(2.0, max(alpha.shape) / 250)
            colours = effect.outline(picture[..., :3], alpha, tint, width)
            shade = picture[..., 3:]
            if shade.shape[2]:
                drawn = (colours != picture[..., :3]).any(axis=2, keepdims=True)
                shade = np.where(drawn, np.uint8(255), shade)
            picture = np.dstack([colours, shade])
        return picture

    def _named(self, name: EffectName) -> list[Effect]:
        return [e for e in self.look.effects if e.name == name]

    def _alpha(self, chosen: Selection, source: Picture, objects: Instances, flow: Flow | None) -> Floats:
        mask = union(objects, chosen.of(objects))
        if not self.video:
            return soft_alpha(mask, source, self.look.matte)
        if chosen not in self._steady:
            self._held[chosen] = Held(self.look.hold)
            self._steady[chosen] = Steady(self.look.steady, self.look.matte.reach(objects.size))
        alpha = soft_alpha(self._held[chosen].step(mask, flow), source, self.look.matte)
        return self._steady[chosen].step(alpha, flow)

    def _hole(self, objects: Instances) -> NDArray[np.bool_]:
        """(H, W) what is to be removed, a little more than the objects, for their soft edges."""
        hole = np.zeros(objects.size, np.bool_)
        for chosen in self._named("remove"):
            hole |= union(objects, self._on(chosen).of(objects))
        return grown(hole, self.look.matte.reach(objects.size) + 1)


def union(objects: Instances, chosen: NDArray[np.bool_] | Sequence[bool]) -> NDArray[np.bool_]:
    """(H, W) the pixels of the chosen objects; of boxes where there are no masks."""
    some = objects[np.asarray(chosen, np.bool_)]
    masks = some.masks
    if masks is not None:
        return np.asarray(masks.to_label_image() > 0) if len(masks) else np.zeros(objects.size, np.bool_)
    covered = np.zeros(objects.size, np.bool_)
    for x1, y1, x2, y2 in np.rint(some.boxes).astype(np.int64).clip(0).tolist():
        covered[y1:y2, x1:x2] = True
    return covered


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """The mask and all that is within so many pixels of it."""
    side = 2 * pixels + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"{name}: expected a number, got {value!r}; as {name}={DEFAULTS[name]}") from None


__all__ = ["EFFECTS", "Behind", "Blur", "Compositor", "Effect", "Look", "Plain", "Scenery", "grown", "union"]
