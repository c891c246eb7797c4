"""Readers report each bad entry to whoever listens, and to nobody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from delineate.data.dataset import open_dataset
from delineate.data.heard import listen, report


def test_nobody_listens() -> None:
    report(Path("a.json"), "is bad")  # nothing happens
    with listen() as heard:
        pass
    report(Path("a.json"), "is bad")
    assert heard == []


def test_the_innermost_hears() -> None:
    with listen() as outer:
        with listen() as inner:
            report(Path("a.json"), "one")
        report(Path("a.json"), "two", lost=False)
    assert [one.message for one in inner] == ["one"]
    assert [(one.message, one.lost) for one in outer] == [("two", False)]


@pytest.mark.parametrize("many", [1, 7])
def test_every_bad_entry_of_a_coco_file_is_heard(tmp_path: Path, many: int) -> None:
    good = {"id": 100, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 5, 1, 5, 5]], "iscrowd": 0}
    bad = [good | {"id": k + 1, "category_id": 9} for k in range(many)]
    path = tmp_path / "a.json"
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
        "annotations": [*bad, good | {"bbox": [1, 1, 4, 4], "area": 8}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    path.write_text(json.dumps(content))
    with listen() as heard:
        data = open_dataset(path, images=False, skip_invalid=True)
    assert [one.where for one in heard] == [f"annotations[{k}].category_id" for k in range(many)]
    assert all(one.lost and one.source == path for one in heard)
    assert len(data.truth(0)) == 1
