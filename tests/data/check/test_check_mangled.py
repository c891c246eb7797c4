"""Whatever is wrong with an annotation file, the doctor says it or refuses it in one line."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delineate.core.errors import DelineateError
from delineate.data.check import check
from delineate.engine.doctor import as_json, lines
from delineate.engine.doctor_settings import suggest

STRANGE = [
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    float("nan"),
    "",
    "7",
    "../x",
    "\0",
    [],
    {},
    [[]],
    [1],
    {"id": 1},
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("mangled")
    for k in (1, 2):
        noise = np.random.default_rng(k).integers(0, 255, (40, 50, 3), np.uint8)
        cv2.imwrite(str(folder / f"{k}.png"), noise)
    row = {"category_id": 1, "iscrowd": 0, "bbox": [5, 5, 20, 20], "area": 300}
    rings = [[5, 5, 25, 6, 24, 25, 7, 22]]
    counts = {"size": [40, 50], "counts": [100, 20, 1880]}
    return folder, {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 50, "height": 40} for k in (1, 2)],
        "annotations": [
            row | {"id": 1, "image_id": 1, "segmentation": rings},
            row | {"id": 2, "image_id": 2, "segmentation": counts},
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }


def mangle(content: Any, rng: random.Random) -> None:
    """Puts something strange in one place of a nested value."""
    at: Any = content
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = rng.choice(keys)
        inner = at[key]
        if not (isinstance(inner, dict | list) and inner) or rng.random() < 0.2:
            break
        at = inner
    if isinstance(at, dict) and rng.random() < 0.2:
        del at[key]
    else:
        at[key] = copy.deepcopy(rng.choice(STRANGE))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_any_mangled_coco_file(sound: tuple[Path, dict[str, Any]], seed: int, times: int) -> None:
    folder, content = sound
    changed, rng = copy.deepcopy(content), random.Random(seed)
    for _ in range(times):
        mangle(changed, rng)
    path = folder / "annotations.json"
    path.write_text(json.dumps(changed))
    try:
        found = check(path, workers=1)
    except DelineateError as error:
        assert "\n" not in str(error)
        return
    told = list(lines(found, suggest(found), shown=None))
    assert told and json.dumps(as_json(found, suggest(found), 1), allow_nan=False)
