"""The frames of videos on which a tracker did worst, with truth and results drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from PIL import Image, ImageDraw

from delineate.apply.draw import display
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.images import read
from delineate.data.track_dataset import numbered_images
from delineate.data.tracks import TrackSequence

from .crowd_pictures import Color, outline
from .illustrations import to_jpeg
from .track_timeline import Timeline

WORST = 6
"""Pictures of worst frames, of all sequences."""
TRUE, FOUND = (60, 190, 255), (255, 170, 40)


class WorstFrame(NamedTuple):
    """A frame with many errors, as a picture.

    Attributes:
        sequence: of the video.
        number: of the frame.
        told: its errors in words.
        jpeg: truth and results drawn on it.
    """

    sequence: str
    number: int
    told: str
    jpeg: bytes


def drawn(pixels: NDArray[Any], truth: Instances, found: Instances) -> bytes:
    """The outlines of truth and results on a frame, as the bytes of a JPEG file."""
    canvas = Image.fromarray(display(pixels))
    scale = max(1.0, 640 / max(canvas.size))
    canvas = canvas.resize((round(canvas.width * scale), round(canvas.height * scale)))
    pen = ImageDraw.Draw(canvas)
    sides: tuple[tuple[Instances, Color, int], ...] = ((truth[~truth.crowd], TRUE, 3), (found, FOUND, 1))
    for objects, tint, line in sides:
        outline(pen, objects, tint, scale, line)
    return to_jpeg(canvas)


def worst_frames(
    timelines: Sequence[Timeline], pairs: dict[str, tuple[TrackSequence, TrackSequence]], images: Path
) -> tuple[WorstFrame, ...]:
    """Pictures of the worst frames of each sequence, as far as there are images of them."""
    found: list[WorstFrame] = []
    for line in timelines:
        result, reference = pairs[line.sequence]
        files = frame_images(images, line.sequence, many=len(timelines) > 1)
        for k in line.worst(max(2, WORST // len(timelines))):
            number = int(line.numbers[k])
            if number not in files:
                continue
            pixels = read(files[number]).pixels
            size = (int(pixels.shape[0]), int(pixels.shape[1]))
            sides = [side.get(number) for side in (reference, result)]
            objects = [Instances.empty(size) if s is None else s.objects.replace(size=size) for s in sides]
            errors = (("missed", line.missed), ("false", line.false), ("changed id", line.switched))
            told = ", ".join(f"{int(many[k])} {word}" for word, many in errors)
            found.append(WorstFrame(line.sequence, number, told, drawn(pixels, *objects)))
    return tuple(found)


def frame_images(folder: Path, sequence: str, many: bool = False) -> dict[int, Path]:
    """The images of a sequence's frames by number: in ``folder/SEQUENCE[/img1]``, or in ``folder`` itself.

    Args:
        folder: where to look.
        sequence: its name.
        many: whether there are other sequences, so that ``folder`` itself is not this one's.

    Raises:
        InputError: no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder with the frames' images, got none; check the path")
    places = [folder / sequence / "img1", folder / sequence] + ([] if many else [folder / "img1", folder])
    return next((found for place in places if (found := numbered_images(place))), {})
