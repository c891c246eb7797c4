"""The Python on the first pages runs as it stands, one block after the other."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/quickstart.md", "docs/how-to/python-api.md"])
def test_first_pages(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "samples", "samples")
    picture = Image.open(ROOT / "samples/fluorescence.png").crop((0, 0, 128, 128))
    picture.save("image.tif")
    # what a reader of the page has at hand
    labels = np.kron(np.array([[1, 0], [0, 2]]), np.ones((64, 64), int))
    known: dict[str, object] = {"image": np.asarray(picture), "labels": labels}
    if "other" in "".join(blocks):
        import delineate as dl

        known["other"] = dl.Masks.from_label_image(labels[::-1])
    for block in blocks:
        exec(compile(block, page, "exec"), known)
    assert len(known["result"]) > 0  # type: ignore[arg-type]
