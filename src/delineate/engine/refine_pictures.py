"""Pictures of refined outlines: old and new, on the images that changed most."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from delineate.apply.draw import display
from delineate.core.instances import Instances
from delineate.data.records import Dataset
from delineate.data.write import atomic

from .crowd_pictures import Color, outline
from .refine import Refined

NUMBER = 12
SIDE = 900
OLD: Color = (255, 150, 40)
NEW: Color = (70, 220, 255)


def draw_refined(image: np.ndarray, old: Instances, new: Instances) -> Image.Image:
    """The image as it is, and beside it the old outlines (orange) and the new ones (blue).

    Args:
        image: (H, W, 3) uint8.
        old: the objects as they were.
        new: as they are now.
    """
    scale = max(1.0, SIDE / max(image.shape[:2]))
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    plain = Image.fromarray(image).resize(size, Image.Resampling.NEAREST)
    marked = plain.copy()
    pen = ImageDraw.Draw(marked)
    for objects, tint in ((old, OLD), (new, NEW)):
        outline(pen, objects, tint, scale, 2)
    both = Image.new("RGB", (2 * size[0] + 4, size[1]))
    both.paste(plain, (0, 0))
    both.paste(marked, (size[0] + 4, 0))
    return both


def save_pictures(data: Dataset, made: Refined, folder: Path, number: int = NUMBER) -> list[Path]:
    """Writes the images that changed most, named by rank and image.

    Args:
        data: the dataset as it was.
        made: the refined one, after it was written.
        folder: made where it is missing.
        number: at most so many.

    Raises:
        InputError: nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changes = made.changes()
    ranked = sorted((k for k in range(len(data)) if k in changes), key=lambda k: (changes[k], k))
    files = []
    for rank, index in enumerate(ranked[:number], 1):
        sample = data[index]
        drawn = draw_refined(display(sample.image), sample.truth, made.data.truth(index))
        path = folder / f"{rank:02d}_{Path(sample.name).stem}.png"
        buffer = io.BytesIO()
        drawn.save(buffer, "PNG")
        with atomic(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
        files.append(path)
    return files
