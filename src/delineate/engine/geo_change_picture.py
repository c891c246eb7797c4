"""The picture of a map's changes: every finding in the colour of its state."""

from __future__ import annotations

import numpy as np
from PIL import Image

from delineate.apply.change import CHANGED, GONE, NEW, SAME

from .geo_change import MapChanges
from .geo_picture import Sheet, map_picture

TINTS = {SAME: (150, 150, 150), CHANGED: (255, 190, 40), GONE: (240, 70, 60), NEW: (60, 210, 90)}
WORDS = {SAME: "grey", CHANGED: "yellow", GONE: "red", NEW: "green"}


def change_picture(result: MapChanges, title: str, line: str) -> Image.Image:
    """Outlines on black, with grid, scale bar and north."""
    states = result.found.state
    tints = np.array([TINTS[state] for state in states], np.uint8).reshape(-1, 3)
    legend = ", ".join(f"{state}: {WORDS[state]}" for state in WORDS)
    sheet = Sheet(
        result.size,
        result.plane,
        result.shapes,
        tints,
        result.layer.table["number"].tolist(),
        [False] * len(states),
        [title, f"{line} ({legend})"],
    )
    return map_picture(sheet, None)
