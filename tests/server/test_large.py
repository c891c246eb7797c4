"""The cache of a large image is made once, however many ask for it at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tifffile

from delineate.server.large import open_large


def test_those_who_ask_at_once_get_the_same_image(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (1200, 900), np.uint8)
    tifffile.imwrite(tmp_path / "scan.tif", image, tile=(256, 256))
    with ThreadPoolExecutor(6) as askers:
        found = list(
            askers.map(lambda _: open_large(tmp_path / "scan.tif", None, tmp_path / "cache"), range(6))
        )
    small = [each.window(1, 0, 0, 450, 600) for each in found]
    assert all(np.array_equal(each, small[0]) for each in small) and small[0].shape == (600, 450, 1)
    assert len(list((tmp_path / "cache").iterdir())) == 1
