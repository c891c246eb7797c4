"""Objects with identities over time: any model, or any stored detections, and a tracker.

Decoding, the network and the tracker run in threads of their own, as in :mod:`delineate.engine.video`, and
whoever receives the frames draws and writes meanwhile. A few frames wait between them, never more: memory
stays flat however long the source is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.video import Frame, frames
from delineate.tracking.choose import tracker as make_tracker
from delineate.tracking.tracked import Tracked, Tracker

from .track_journal import Journal
from .video import in_thread

WEAK = 0.1
"""Detections as sure as this are given to a tracker, whose second stage may use them."""
LEAST = 1e-3  # seconds from frame to frame


class Detections(NamedTuple):
    """What a model, or a file, says of one frame.

    Attributes:
        instances: N objects, weak ones too.
        features: (N, D) float32 of length one, alike for one object; None: no appearance.
    """

    instances: Instances
    features: NDArray[np.float32] | None = None


class FoundTracks(NamedTuple):
    """A frame, what was detected in it, and who that is.

    Attributes:
        number: the frame's, in the source, from 0.
        time: seconds from the start.
        frame: (H, W, 3) uint8 RGB; of a folder whatever its images hold.
        detections: N objects as detected.
        tracked: M of them with identities; see :class:`delineate.tracking.tracked.Tracked`.
    """

    number: int
    time: float
    frame: NDArray[Any]
    detections: Instances
    tracked: Tracked

    @property
    def instances(self) -> Instances:
        """The M tracked objects, with ``ids``."""
        return self.tracked.instances


class Detector(Protocol):
    """What says which objects a frame holds."""

    def __call__(self, frame: Frame, /) -> Detections: ...  # noqa: D102


def track(
    source: str | Path | Iterable[Frame],
    model: Any = None,
    *,
    tracker: str | Tracker = "masks",
    detections: str | Path | None = None,
    classes: Iterable[str] = (),
    appearance: bool = False,
    journal: Journal | None = None,
    ahead: int = 2,
    **settings: Any,
) -> Iterator[FoundTracks]:
    """The objects of each frame with identities, in order.

    Args:
        source: a video file, a folder of images, or any iterable of :class:`delineate.data.video.Frame`, such
            as :func:`delineate.data.capture.open_capture` gives for a camera.
        model: a loaded model, its name, a network, or any callable from image to :class:`Instances`.
            Default ``"nuclei"``.
        tracker: one of :data:`delineate.tracking.choose.TRACKERS`, or a tracker of your own.
        detections: a file or folder of results, in place of a model; see
            :func:`delineate.engine.track_detections.stored_detections`.
        classes: names of the classes to follow; none: all.
        appearance: whether objects are known by their looks too; see :mod:`delineate.engine.appearance`.
        journal: where detections are kept, and taken from, so that a run that was cut off can go on.
        ahead: how many frames wait between two stages at most; 0 does one thing after another, in the
            caller's thread.
        settings: of :func:`delineate.engine.predict.predict`, such as ``confidence``; default for it 0.1.

    Yields:
        A :class:`FoundTracks` for each frame that could be read. Leaving the loop early ends the threads.

    Raises:
        InputError: a source that is no video, an unknown tracker or class, or a setting out of range.
        MissingDependencyError: PyAV is not installed.

    Example:
        >>> blob = lambda image: Instances((8, 8), boxes=[[1, 1, 4, 4]])
        >>> film = [Frame(k, k / 25, np.zeros((8, 8, 3), np.uint8)) for k in range(3)]
        >>> [found.instances.ids.tolist() for found in track(film, blob)]
        [[1], [1], [1]]
    """
    follow = make_tracker(tracker) if isinstance(tracker, str) else tracker
    pictures = frames(source) if isinstance(source, str | Path) else source
    if detections is not None:
        if model is not None or settings:
            raise InputError(
                "track: expected a model or detections, got both; the file's objects are taken as they are"
            )
        from .track_detections import stored_detections

        detect: Detector = stored_detections(detections, source if isinstance(source, str | Path) else None)
    else:
        settings = {"confidence": WEAK, **settings}
        model = _loaded(model, settings)
        detect = _detector(model, settings)
    if appearance:
        from .appearance import looking

        detect = looking(model, settings, detect)
    if classes:
        detect = _chosen(detect, tuple(classes))
    if journal is not None:
        detect = partial(journal.detections, detect)
    return _overlapped(pictures, detect, follow, ahead)


def _loaded(model: Any, settings: dict[str, Any]) -> Any:
    from .load import load
    from .predict import check_settings

    check_settings(**{k: v for k, v in settings.items() if k in ("confidence", "iou", "max_det", "tile")})
    return load(model) if model is None or isinstance(model, str | Path) else model


def _detector(model: Any, settings: dict[str, Any]) -> Detector:
    """A model as a detector."""
    from delineate.core.image_model import ImageModel

    from .predict import predict

    find: Callable[..., Instances]
    if isinstance(model, ImageModel):
        find = partial(predict, model, **settings)
    elif hasattr(model, "predict"):
        find = partial(model.predict, **settings)
    else:
        find = model  # a plain function takes no settings
    return lambda frame: Detections(find(frame.pixels))


def _chosen(detect: Detector, names: tuple[str, ...]) -> Detector:
    """Objects of some classes alone; the others are no classes of the result."""

    def only(frame: Frame) -> Detections:
        found, features = detect(frame)
        kept = np.isin(found.labels, _places(found, names))
        return Detections(of_classes(found, names), None if features is None else features[kept])

    return only


def of_classes(found: Instances, names: tuple[str, ...]) -> Instances:
    """The objects whose class is one of ``names``, with these classes alone, in their order.

    Raises:
        InputError: a name that is none of the classes'.

    Example:
        >>> from delineate.core.labels import Labels
        >>> boxes, ab = [[0, 0, 1, 1], [1, 1, 2, 2]], Labels(("a", "b"))
        >>> two = Instances((4, 4), boxes=boxes, labels=[0, 1], classes=ab)
        >>> of_classes(two, ("b",)).names
        ['b']
    """
    keep = _places(found, names)
    index = np.full(len(found.classes), -1)
    index[keep] = np.arange(len(keep))
    inside = found[index[found.labels] >= 0]
    labels = type(found.classes)(
        tuple(found.classes.names[k] for k in keep),
        tuple(found.classes.ids[k] for k in keep),
        tuple(found.classes.things[k] for k in keep),
    )
    return inside.replace(labels=index[inside.labels], classes=labels)


def _places(found: Instances, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Which classes have these names, ascending."""
    known = {name.casefold(): k for k, name in enumerate(found.classes.names)}
    if unknown := [name for name in names if name.casefold() not in known]:
        shown = ", ".join(found.classes.names[:8]) + (", …" if len(known) > 8 else "")
        raise InputError(f"classes: expected some of {shown}, got {unknown[0]!r}; check the name")
    return np.array(sorted({known[name.casefold()] for name in names}), np.int64)


def _overlapped(
    pictures: Iterable[Frame], detect: Detector, follow: Tracker, ahead: int
) -> Generator[FoundTracks]:
    if not ahead:
        yield from _followed(_detected(pictures, detect), follow)
        return
    with (
        closing(in_thread(pictures, ahead)) as decoded,
        closing(in_thread(_detected(decoded, detect), ahead)) as found,
        closing(in_thread(_followed(found, follow), ahead)) as followed,
    ):
        yield from followed


def _detected(pictures: Iterable[Frame], detect: Detector) -> Generator[tuple[Frame, Detections]]:
    for frame in pictures:
        yield frame, detect(frame)


def _followed(found: Iterable[tuple[Frame, Detections]], follow: Tracker) -> Generator[FoundTracks]:
    last: float | None = None
    common: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
    for frame, (instances, features) in found:
        if features is not None:
            if common is None:
                from .appearance import Common  # torch, which boxes alone do without

                common = Common()
            features = common(features)
        last = frame.time if last is None else max(frame.time, last + LEAST)  # clocks of streams stumble
        tracked = follow.update(instances, frame.pixels, time=last, features=features)
        yield FoundTracks(frame.number, last, frame.pixels, instances, tracked)
