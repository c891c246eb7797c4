"""Small datasets with faults that were put in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

Row = dict[str, Any]
Make = Callable[..., Path]


def picture(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """An image of coloured clouds, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def row() -> Callable[..., Row]:
    """Makes an annotation: an outline that is no rectangle, with its box; fields may be changed."""

    def make(x: float = 10, y: float = 10, side: float = 20, **changes: Any) -> Row:
        ring = [x, y, x + side, y + 1, x + side - 2, y + side, x + 3, y + side - 4]
        box = [x, y, side, side]
        return {"image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": box, "segmentation": [ring]} | changes

    return make


@pytest.fixture
def coco(tmp_path: Path) -> Make:
    """Writes ``annotations.json`` and its images, one for each seed."""

    def make(
        rows: Sequence[Row], seeds: Sequence[int] = (1, 2), names: Sequence[str] = ("cell",), at: str = "data"
    ) -> Path:
        folder = tmp_path / at
        folder.mkdir(parents=True)
        for k, seed in enumerate(seeds):
            cv2.imwrite(str(folder / f"{k + 1}.png"), picture(seed))
        content = {
            "images": [
                {"id": k + 1, "file_name": f"{k + 1}.png", "width": 160, "height": 120}
                for k in range(len(seeds))
            ],
            "annotations": [{"id": k + 1} | row for k, row in enumerate(rows)],
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
        }
        path = folder / "annotations.json"
        path.write_text(json.dumps(content))
        return path

    return make
