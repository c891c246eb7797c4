"""What is shown of a live frame: outlines, tracks with their trails, or a composition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from delineate.apply.composite import Compositor, Look
from delineate.apply.draw import display, overlay
from delineate.apply.draw_tracks import TrackDrawing

from .live import Live

Pixels = NDArray[np.uint8]


class LiveDrawing:
    """Draws one frame after another; keeps the last points of tracks and the last frame's alpha at most.

    Attributes:
        plain: show frames as they came; may be changed at any time.

    Args:
        look: how frames are composed; None: objects are outlined, tracks in steady colours.

    Example:
        >>> from delineate.core.instances import Instances
        >>> frame = np.zeros((8, 8, 3), np.uint8)
        >>> live = Live(0, 0.0, 0.0, frame, Instances((8, 8), boxes=[[1, 1, 4, 4]]), (), 0.0)
        >>> drawing = LiveDrawing()
        >>> bool(drawing.draw(live).any()), drawing.draw(live).shape
        (True, (8, 8, 3))
        >>> drawing.plain = True
        >>> bool(drawing.draw(live).any())
        False
    """

    def __init__(self, look: Look | None = None) -> None:
        self.plain = False
        self._look = look
        self._compositor: Compositor | None = None
        self._tracks = TrackDrawing()
        self._size = (0, 0)

    def draw(self, live: Live) -> Pixels:
        """(H, W, 3) uint8 RGB, a picture of its own."""
        if live.instances.size != self._size:  # a stream may come back in another size
            self._size = live.instances.size
            self._tracks = TrackDrawing()
            self._compositor = None if self._look is None else Compositor(self._look)
        if self.plain:
            return display(live.frame)
        if self._compositor is not None:
            return self._compositor.compose(live.frame, live.instances, live.time)
        if live.instances.ids is not None:
            return self._tracks.draw(live.instances, live.frame, live.ended)
        return np.asarray(overlay(live.instances, live.frame))
