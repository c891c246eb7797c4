"""Objects of every frame of a video, while decoding, network and drawing overlap.

Three stages run at once: a thread decodes, a thread runs the network, and the caller, who receives the frames
in order, draws and writes. Between them wait a few frames, never more, so memory stays flat however long the
video is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol, TypeVar

from numpy.typing import NDArray

from delineate.core.image_model import ImageModel
from delineate.core.instances import Instances
from delineate.data.video import Frame, Frames, frames

from .predict import predict

T = TypeVar("T")


class Predictor(Protocol):
    """What finds objects in an image, such as :class:`delineate.engine.load.Model`."""

    def predict(self, source: Any, /, **settings: Any) -> Instances: ...  # noqa: D102


class Found(NamedTuple):
    """A frame and what is in it.

    Attributes:
        number: the frame's, in the source, from 0; damaged frames keep theirs.
        time: seconds from the start.
        frame: (H, W, 3) uint8 RGB; of a folder whatever its images hold.
        instances: N objects, in the pixels of the frame.
    """

    number: int
    time: float
    frame: NDArray[Any]
    instances: Instances


def predict_video(
    predictor: Predictor | ImageModel | Callable[[NDArray[Any]], Instances],
    source: str | Path | Frames,
    *,
    ahead: int = 2,
    **settings: Any,
) -> Iterator[Found]:
    """The objects of each frame, in order; the next frames are decoded and looked at meanwhile.

    Args:
        predictor: a loaded model, a network, or any callable from image to :class:`Instances`.
        source: a video file, a folder of images, or :func:`delineate.data.video.frames` of one, whose
            ``damaged`` lists what could not be read.
        ahead: how many frames wait between two stages at most; 0 does one thing after another, in the
            caller's thread.
        settings: of :func:`delineate.engine.predict.predict`, such as ``confidence``.

    Yields:
        A :class:`Found` for each frame that could be read. Leaving the loop early ends the threads.

    Raises:
        InputError: a source that is no video, or a setting out of range.
        MissingDependencyError: PyAV is not installed.
    """
    pictures = source if isinstance(source, Frames) else frames(source)
    find: Callable[..., Instances]
    if isinstance(predictor, ImageModel) or not hasattr(predictor, "predict"):
        find = partial(predict, predictor)
    else:
        find = predictor.predict

    look = partial(_look, partial(find, **settings))
    return _overlapped(pictures, look, ahead) if ahead else look(pictures)


def _look(find: Callable[[NDArray[Any]], Instances], decoded: Iterable[Frame]) -> Iterator[Found]:
    for frame in decoded:
        yield Found(frame.number, frame.time, frame.pixels, find(frame.pixels))


def _overlapped(
    pictures: Frames, look: Callable[[Iterable[Frame]], Iterator[Found]], ahead: int
) -> Iterator[Found]:
    with (
        closing(in_thread(pictures, ahead)) as decoded,
        closing(in_thread(look(decoded), ahead)) as found,
    ):
        yield from found


def in_thread(items: Iterable[T], ahead: int) -> Generator[T]:
    """The same items in the same order, made by a thread of its own.

    What the thread raises is raised here, after the items before it. Closing the iterator, as the end of a
    function that loops over it does, ends the thread and then ``items``.

    Args:
        items: what is to be made.
        ahead: how many are made before they are asked for, at most.
    """
    room = threading.Semaphore(ahead)
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()  # True and an item, or False and an error or None
    left = threading.Event()

    def work() -> None:
        last: BaseException | None = None
        source = iter(items)
        try:
            while room.acquire() and not left.is_set():
                made.put((True, next(source)))
        except StopIteration:
            pass
        except BaseException as error:
            last = error
        finally:
            if isinstance(source, Generator):
                source.close()
            made.put((False, last))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            more, item = made.get()
            if not more:
                if item is not None:
                    raise item
                return
            room.release()
            yield item
    finally:
        left.set()
        room.release()
        thread.join()
