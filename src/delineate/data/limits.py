"""How large an image may be before it is decoded."""

from __future__ import annotations

from delineate.core.errors import InputError

MAX_PIXELS = 200_000_000
"""Default limit, 200 megapixels (14,142 x 14,142): in RGB 0.6 GB decoded. A 50 KB file can claim more."""


def check_size(size: tuple[int, int], where: str, max_pixels: int, samples: int = 1) -> None:
    """Refuses an empty image, and one above the limit, from its header alone.

    Args:
        size: (height, width).
        where: the file's name for messages.
        max_pixels: the limit; up to 4 samples per pixel are free, more count by fours.
        samples: channels to be decoded.

    Raises:
        InputError: no pixels, or too many; the message names the limit and the flag to raise it.
    """
    height, width = size
    if height <= 0 or width <= 0:
        raise InputError(
            f"{where}: expected an image of at least 1 x 1 pixels, got {width} x {height}; save it again"
        )
    load = height * width * max(1, -(-samples // 4))
    if load > max_pixels:
        raise InputError(
            f"{where}: expected at most {max_pixels / 1e6:g} megapixels, got {width} x {height} "
            f"({load / 1e6:,.0f} megapixels); if you trust the file raise the limit: `--max-pixels {load}`"
        )
