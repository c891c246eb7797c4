"""A lineage as a picture: a line for each track along the frames, forked where it divides."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from delineate.core.lineage import Lineage

from .draw_tracks import id_colors

PAPER, GRID, INK = (252, 252, 250), (228, 228, 224), (90, 90, 90)
MARGIN = 44
ROWS = (4, 16)  # least and most pixels between two lines
TALL = 1600  # lines come closer before the picture gets taller than that
WIDE = (480, 1200)  # pixels for the frames
NUMBERED = 11  # numbers are written where lines are so far apart


def lineage_tree(lineage: Lineage, frames: int | None = None) -> Image.Image:
    """Draws a lineage: time to the right, one line a track in its colour, families together.

    A mother's line ends in a fork to her daughters. A line that ends in a small stroke before the last frame
    is that of a cell that vanished or left the image. Colours are those of
    :class:`delineate.apply.draw_tracks.TrackDrawing`.

    Args:
        lineage: the tracks.
        frames: of the video; default up to the last track's end.

    Example:
        >>> lineage_tree(Lineage([1, 2, 3], [0, 5, 5], [4, 9, 9], [0, 1, 1])).size
        (568, 120)
    """
    place = rows(lineage)
    count = max(place.values(), default=0.0) + 1
    step = int(np.clip(TALL / count, *ROWS))
    last = int(max(lineage.end.max(initial=0) + 1, frames or 1))
    wide = int(np.clip(20 * last, *WIDE))
    picture = Image.new("RGB", (wide + 2 * MARGIN, round(step * count) + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    across = {t: MARGIN + round(wide * t / last) for t in range(last + 1)}
    down = {i: MARGIN + round(step * (row + 0.5)) for i, row in place.items()}
    font = ImageFont.load_default(11)
    _grid(draw, across, last, picture.height, font)
    divisions = lineage.divisions
    tints = {i: tuple(c) for i, c in zip(lineage.ids.tolist(), id_colors(lineage.ids).tolist(), strict=True)}
    for i, begin, end, parent in lineage.rows():
        x, until, y = across[begin], across[end + 1], down[i]
        if parent in down:
            left = across[int(lineage.end[lineage.ids == parent][0]) + 1]
            draw.line([(left, down[parent]), (left, y), (x, y)], fill=INK, width=1)
        draw.line([(x, y), (until, y)], fill=tints[i], width=max(2, step // 4))
        if i not in divisions and end + 1 < last:
            draw.line([(until, y - step // 4), (until, y + step // 4)], fill=INK, width=1)
        if step >= NUMBERED:
            label = str(i)
            draw.text((x + 3, y - step // 8), label, fill=INK, font=font, anchor="lb")
    return picture


def rows(lineage: Lineage) -> dict[int, float]:
    """The line of each track, from 0: daughters on either side of their mother, families one after another.

    Example:
        >>> rows(Lineage([1, 2, 3, 4], [0, 5, 5, 0], [4, 9, 9, 9], [0, 1, 1, 0]))
        {2: 0.0, 3: 1.0, 1: 0.5, 4: 2.0}
    """
    children = lineage.divisions
    order = np.lexsort((lineage.ids, lineage.begin))
    roots = [int(i) for i in lineage.ids[order] if not lineage.parent[lineage.ids == i][0]]
    place: dict[int, float] = {}
    free = 0
    for root in roots:
        waiting = [root]
        while waiting:  # no recursion: lineages may be deep
            i = waiting[-1]
            missing = [c for c in children.get(i, ()) if c not in place]
            if missing:
                waiting += missing[::-1]
                continue
            waiting.pop()
            own = [place[c] for c in children.get(i, ())]
            place[i] = sum(own) / len(own) if own else float(free)
            free += not own
    return place


def _grid(
    draw: ImageDraw.ImageDraw,
    across: dict[int, int],
    last: int,
    height: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Upright lines with the frames' numbers."""
    step = next(s * 10**k for k in range(9) for s in (1, 2, 5) if last <= 12 * s * 10**k)
    for t in range(0, last, step):
        draw.line([(across[t], MARGIN - 8), (across[t], height - MARGIN + 8)], fill=GRID, width=1)
        draw.text((across[t], height - MARGIN + 12), str(t), fill=INK, font=font, anchor="mt")
    draw.text((across[0], MARGIN - 14), "frame", fill=INK, font=font, anchor="lb")
