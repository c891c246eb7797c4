"""Videos and photographs composed anew: objects found by any model or stored in any file, a new look.

Decoding, the network and composing run in threads of their own; whoever receives the pictures writes them
meanwhile. With ``remove`` some frames wait until later ones have shown what is behind; else none do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.apply.composite import Compositor, Look
from delineate.apply.inpaint import AHEAD
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.data.find import find
from delineate.data.formats.label_image import read_ids
from delineate.data.images import read
from delineate.data.limits import MAX_PIXELS
from delineate.data.video import Frame, Frames
from delineate.data.video_part import Part

from .track_detections import stored_detections
from .video import in_thread

Finder = Callable[[Frame], Instances]
CONFIDENCE = 0.5  # least score of what a model finds


class Composed(NamedTuple):
    """A composed frame.

    Attributes:
        number: the frame's, in the source, from 0.
        time: seconds on the source's clock.
        picture: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA with straight alpha.
        objects: what was found in the frame.
    """

    number: int
    time: float
    picture: NDArray[np.uint8]
    objects: Instances


@dataclass(frozen=True)
class Objects:
    """Who says what is in a frame: a model, or a file of results.

    Attributes:
        find: a frame's objects.
        classes: theirs, where known before the first frame.
        tracked: whether they have ids.
        name: what to call it.
    """

    find: Finder
    classes: Labels | None
    tracked: bool
    name: str

    @classmethod
    def of_model(cls, model: Any, **settings: Any) -> Objects:
        """What a model finds; ``settings`` are those of :func:`delineate.engine.predict.predict`."""
        settings = {"confidence": CONFIDENCE, **settings}
        look = model.predict if hasattr(model, "predict") else model

        def find_in(frame: Frame) -> Instances:
            found: Instances = look(frame.pixels, **(settings if hasattr(model, "predict") else {}))
            return found

        name = getattr(model, "name", type(model).__name__)
        return cls(find_in, getattr(model, "classes", None), False, str(name))

    @classmethod
    def of_file(cls, path: str | Path, source: str | Path) -> Objects:
        """What a file or folder of results has for a video, a folder of images, or one image.

        See :func:`delineate.engine.track_detections.stored_detections`; for one image also a label image.

        Raises:
            InputError: no results.
        """
        path, source = Path(path), Path(source)
        if path.suffix.lower() in (".png", ".tif", ".tiff") and path.is_file():
            return cls(_labels(path), Labels(("object",)), True, str(path))
        stored = stored_detections(path, source)

        def find_in(frame: Frame) -> Instances:
            found = stored.find(frame)
            size = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
            if found is None or not len(found):
                return Instances.empty(size, stored.classes)
            found = found if found.masks is not None else found.replace(size=size)
            if found.size != size:
                raise InputError(
                    f"{path}: frame {frame.number}: expected objects on {size[0]} x {size[1]} pixels, got "
                    f"{found.size[0]} x {found.size[1]}; give the results of this very source"
                )
            return found

        return cls(find_in, stored.classes, True, str(path))

    def check(self, look: Look, followed: bool = False) -> None:
        """Refuse selections that can never be fulfilled; ``followed``: a tracker will give ids.

        Raises:
            InputError: a class that these objects do not have, or an id where there are none.
        """
        for chosen in look.selections:
            if self.classes is not None:
                chosen.check(self.classes, self.tracked or followed)


def _labels(path: Path) -> Finder:
    from delineate.core.masks import Masks

    ids = read_ids(path)
    numbers = np.unique(ids[ids > 0]).astype(np.int64)
    masks = Masks.from_label_image(ids)
    found = Instances(masks.size, masks=masks, ids=numbers, classes=Labels(("object",)))

    def find_in(frame: Frame) -> Instances:
        if frame.pixels.shape[:2] != found.size:
            raise InputError(
                f"{path}: expected labels of {frame.pixels.shape[:2]} pixels, got {found.size}; "
                "give those of this image"
            )
        return found

    return find_in


def composite_video(
    source: Frames | Part | Iterable[Frame],
    objects: Objects,
    look: Look,
    *,
    tracker: Any = None,
    ahead: int = 2,
) -> Iterator[Composed]:
    """The frames of a video composed anew, in order.

    Args:
        source: the frames.
        objects: who finds or knows the objects.
        look: what it shall look like.
        tracker: a :class:`delineate.tracking.tracked.Tracker` that gives ids to what is found, or None.
        ahead: how many frames wait between two stages at most; 0 does one thing after another.

    Yields:
        A :class:`Composed` for each frame that could be read. Leaving the loop early ends the threads.

    Raises:
        InputError: a selection that these objects cannot fulfil, a source that is no video.
    """
    objects.check(look, tracker is not None)
    compositor = Compositor(look)
    if not ahead:
        return _composed(_found(source, objects.find, tracker), compositor)
    return _overlapped(source, objects.find, tracker, compositor, ahead)


def composite_image(pixels: NDArray[Any], objects: Instances, look: Look) -> NDArray[np.uint8]:
    """One photograph composed anew: (H, W, 3) uint8 RGB, or (H, W, 4) RGBA.

    Args:
        pixels: (H, W) or (H, W, 3) of any number type.
        objects: what is in it.
        look: what it shall look like.
    """
    return Compositor(look, video=False).compose(pixels, objects)


def photographs(
    source: str | Path, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[Path, Frame | InputError]]:
    """The images of a folder, or one image, each as a frame with its number in the folder, or its error."""
    source = Path(source)
    files = {path: number for number, path in enumerate(find([source if source.is_dir() else source.parent]))}
    if not source.is_dir():
        same = [path for path in files if path.name == source.name]
        files = {source: files[same[0]] if same else 0}
    for path, number in files.items():
        try:
            frame: Frame | InputError = Frame(number, 0.0, read(path, max_pixels=max_pixels).pixels)
        except InputError as error:
            frame = error
        yield path, frame


def _overlapped(
    source: Iterable[Frame], find_in: Finder, tracker: Any, compositor: Compositor, ahead: int
) -> Generator[Composed]:
    with (
        closing(in_thread(source, ahead)) as decoded,
        closing(in_thread(_found(decoded, find_in, tracker), ahead)) as found,
        closing(in_thread(_composed(found, compositor), ahead)) as composed,
    ):
        yield from composed


def _found(source: Iterable[Frame], find_in: Finder, tracker: Any) -> Generator[tuple[Frame, Instances]]:
    for frame in source:
        found = find_in(frame)
        if tracker is not None:
            found = tracker.update(found, frame.pixels, time=frame.time).instances
        yield frame, found


def _composed(found: Iterable[tuple[Frame, Instances]], compositor: Compositor) -> Generator[Composed]:
    waiting: deque[tuple[Frame, Instances]] = deque()
    delay = AHEAD if compositor.look.removes else 0
    first: float | None = None
    for frame, objects in found:
        first = frame.time if first is None else first
        compositor.see(frame.pixels, objects)
        waiting.append((frame, objects))
        if len(waiting) > delay:
            yield _compose(compositor, *waiting.popleft(), first)
    while waiting:
        yield _compose(compositor, *waiting.popleft(), first or 0.0)


def _compose(compositor: Compositor, frame: Frame, objects: Instances, first: float) -> Composed:
    picture = compositor.compose(frame.pixels, objects, frame.time - first)
    return Composed(frame.number, frame.time, picture, objects)


__all__ = ["Composed", "Objects", "composite_image", "composite_video", "photographs"]
