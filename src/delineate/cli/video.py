"""What `delineate predict` does with a video: an MP4 with outlines and a COCO file of its frames."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from delineate.apply.draw import overlay
from delineate.core.errors import InputError
from delineate.data.video import VideoWriter, frames
from delineate.engine.batch_sources import Reading
from delineate.engine.frames_file import FramesFile
from delineate.engine.video import predict_video

from .outputs import VIDEO_ENDINGS, Outputs


class Clip:
    """One video of a run.

    Attributes:
        done: frames written.

    Args:
        source: the file.
        name: what it is called in the results.
        stem: what its files are called, without ending.
        outputs: where they go.
        reading: how images are read; a video takes ``max_pixels`` of it.

    Raises:
        InputError: the file is no video, or what is asked for does not fit one.
    """

    def __init__(self, source: str, name: str, stem: str, outputs: Outputs, reading: Reading) -> None:
        self.kinds = [k for k in outputs.kinds if k in VIDEO_ENDINGS]
        if outputs.kinds and not self.kinds:
            raise InputError(
                f"{source}: expected --save overlay, coco or none for a video, "
                f"got {','.join(outputs.kinds)}; add one of them"
            )
        if reading.channels is not None or reading.page is not None or reading.z is not None:
            raise InputError(
                f"{source}: expected an image for --channels, --page or --z, got a video; leave them"
            )
        self.source, self.name = source, name
        self.frames = frames(source, max_pixels=reading.max_pixels)
        self.files = {k: outputs.folder / (stem + VIDEO_ENDINGS[k]) for k in self.kinds}
        if self.kinds:
            outputs.make_folder()
        self.done, self.size = 0, (0, 0)
        self.counts: Counter[str] = Counter()
        self.begin = time.monotonic()

    def predict(self, model: Any, tick: Any, **settings: Any) -> None:
        """All frames, drawn and written while the next ones are decoded and looked at."""
        with ExitStack() as stack:
            movie, coco = self._open(stack, "overlay"), self._open(stack, "coco")
            for found in predict_video(model, self.frames, **settings):
                if movie is not None:
                    movie.add(np.asarray(overlay(found.instances, found.frame)), found.time)
                if coco is not None:
                    coco.add(found)
                self.done, self.size = self.done + 1, found.instances.size
                self.counts.update(found.instances.names)
                tick(found.number + 1, self.frames.count)
        tick(0, 0)

    def _open(self, stack: ExitStack, kind: str) -> Any:
        """The writer of a kind of file; what it wrote is moved into place when ``stack`` ends."""
        if kind not in self.kinds:
            return None
        path = self.files[kind]
        part = path.with_name(f".{path.name}.part")
        stack.callback(self._settle, part, path)
        if kind == "overlay":
            return stack.enter_context(VideoWriter(part, self.frames.rate))
        return stack.enter_context(FramesFile(part, self.name))

    def _settle(self, part: Path, path: Path) -> None:
        if self.done:
            part.replace(path)
        else:
            part.unlink(missing_ok=True)

    def lost(self) -> str:
        """What could not be read, in words; empty where all was."""
        return self.frames.notes()

    def record(self) -> dict[str, Any]:
        """The video as ``--json`` tells it; ``count`` is of objects in all frames together."""
        return {
            "file": self.source,
            "page": None,
            "frames": self.done,
            "width": self.size[1],
            "height": self.size[0],
            "count": self.counts.total(),
            "classes": dict(self.counts.most_common()),
            "files": {k: str(p) for k, p in self.files.items()},
            "damaged": list(self.frames.damaged),
            "seconds": round(time.monotonic() - self.begin, 3),
            "notes": [n for n in [self.lost()] if n],
        }

    def line(self) -> str:
        """``clip.mp4: 120 frames, 3,000 objects on 640 x 480 (12.1 s, 9.9 frames/s)``."""
        seconds = time.monotonic() - self.begin
        return (
            f"{self.source}: {self.done} frame{'s'[: self.done != 1]}, {self.counts.total()} objects on "
            f"{self.size[1]} x {self.size[0]} ({seconds:.1f} s, {self.done / seconds:.1f} frames/s)"
        )
