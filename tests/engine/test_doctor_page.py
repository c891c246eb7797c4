"""The page of findings: pictures of the cases, every name escaped, nothing fetched."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from delineate.cli import main
from delineate.data.check import check
from delineate.engine.doctor_page import write_page

EVIL = "<script>alert(1)</script>"


class Page(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A duplicate, a box beside its mask, a bow tie, a leak and a class with a script for a name."""
    rings = [[10, 10, 30, 11, 28, 30, 13, 26], [60, 40, 80, 60, 80, 40, 60, 60]]
    for split, seed in (("train", 1), ("val", 1)):
        folder = tmp_path / split
        folder.mkdir()
        noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        cv2.imwrite(str(folder / "a.png"), cv2.resize(noise, (160, 120)))
        rows = [
            {"id": k + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [ring], "bbox": box}
            for k, (ring, box) in enumerate(
                [(rings[0], [10, 10, 20, 20]), (rings[0], [10, 10, 20, 31]), (rings[1], [60, 40, 20, 20])]
            )
        ]
        content = {
            "images": [{"id": 1, "file_name": "a.png", "width": 160, "height": 120}],
            "annotations": rows,
            "categories": [{"id": 1, "name": EVIL}],
        }
        (folder / "_annotations.coco.json").write_text(json.dumps(content))
    return tmp_path


def test_the_page_shows_each_kind(dataset: Path, tmp_path: Path) -> None:
    found = check(dataset)
    path = tmp_path / "pages" / "page.html"
    write_page(path, found)
    text = path.read_text()
    page = Page(text)
    assert {case.kind for case in found.findings} >= {"duplicate", "box", "crossing", "leak"}
    assert all(f'id="{case.kind}"' in text for case in found.findings)
    assert page.tags.count("img") >= 6 and "script" not in page.tags and EVIL not in text
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in page.sources)


def test_by_the_command(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.html"
    assert main(["doctor", str(dataset), "--out", str(path), "--quiet"]) == 1
    assert path.read_text().startswith("<!doctype html>")
    assert "wrote" in capsys.readouterr().err


def test_cases_whose_image_is_gone_have_no_picture(dataset: Path, tmp_path: Path) -> None:
    found = check(dataset)
    for image in dataset.rglob("*.png"):
        image.unlink()
    write_page(tmp_path / "page.html", found)
    assert "img" not in Page((tmp_path / "page.html").read_text()).tags
