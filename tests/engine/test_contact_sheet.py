"""The contact sheet: which images it shows, what it draws, and what a bad image does to it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shapely import Polygon, unary_union

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data import Sample, open_dataset
from delineate.data.formats import coco
from delineate.data.images import write_png
from delineate.data.records import Dataset
from delineate.data.synthetic import SyntheticDataset
from delineate.engine.contact_sheet import contact_sheet
from delineate.engine.contact_sheet_page import Card, thumbnail

CLASSES = Labels(("<b>cell</b>", "ring"))


def dataset(folder: Path) -> Dataset:
    """Three images: two cells; one ring, twice as wide as high; nothing."""
    pictures = {"a&b.png": (40, 40), "wide.png": (30, 60), "none.png": (20, 20)}
    samples = []
    for number, (name, size) in enumerate(pictures.items(), 1):
        ids = np.zeros(size, int)
        if number == 1:
            ids[5:15, 5:15], ids[20:30, 20:38] = 1, 2
        if number == 2:
            ids[5:25, 10:40], ids[10:20, 20:30] = 1, 0
        masks = Masks.from_label_image(ids)
        labels = np.full(len(masks), number - 1)
        write_png(folder / name, np.full(size, 90 * number - 80, np.uint8))
        truth = Instances(size, masks=masks, labels=labels, classes=CLASSES)
        samples.append(Sample(np.zeros(size, np.uint8), truth, name, folder / name, number))
    coco.write(folder / "annotations.json", samples)
    return open_dataset(folder)


def names(page: Path) -> list[str]:
    return re.findall(r'data-name="([^"]*)"', page.read_text("utf-8"))


@pytest.mark.parametrize(
    ("given", "shown", "objects"),
    [
        ({}, ["a&amp;b.png", "wide.png", "none.png"], 3),
        ({"classes": ["ring"]}, ["wide.png"], 1),
        ({"classes": ["ring", "<b>cell</b>"]}, ["a&amp;b.png", "wide.png"], 3),
        ({"empty": True}, ["none.png"], 0),
        ({"sort": "name"}, ["a&amp;b.png", "none.png", "wide.png"], 3),
        ({"sort": "fewest"}, ["none.png", "wide.png", "a&amp;b.png"], 3),
    ],
)
def test_which_images(tmp_path: Path, given: dict[str, object], shown: list[str], objects: int) -> None:
    out = tmp_path / "view.html"
    sheet = contact_sheet(dataset(tmp_path), out, **given)  # type: ignore[arg-type]
    assert (names(out), sheet.images, sheet.objects, sheet.pages) == (shown, len(shown), objects, (out,))
    page = out.read_text("utf-8")
    assert "<b>cell</b>" not in page and page.count("<path ") == objects
    assert 'href="a%26b.png"' in page or "a&amp;b.png" not in shown
    assert not re.search(r'(src|href)="(https?:)?//', page)  # nothing is fetched


def test_pages(tmp_path: Path, crowd: SyntheticDataset) -> None:
    steps: list[int] = []
    out = tmp_path / "sheet.html"
    sheet = contact_sheet(crowd, out, per_page=5, tick=lambda: steps.append(1))
    assert [p.name for p in sheet.pages] == ["sheet.html", "sheet-2.html", "sheet-3.html"]
    assert [name for page in sheet.pages for name in names(page)] == crowd.names
    assert len(steps) == 2 * len(crowd)
    assert '<a href="sheet-3.html">3</a>' in out.read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in sheet.pages)


@pytest.mark.parametrize("side", [40, 200])
def test_outlines_lie_on_the_objects(side: int) -> None:
    rows, columns = np.mgrid[:160, :200]
    disc = (rows - 80) ** 2 + (columns - 90) ** 2 < 60**2
    hole = (rows - 80) ** 2 + (columns - 90) ** 2 < 20**2
    truth = Instances((160, 200), masks=Masks.from_dense((disc & ~hole)[None]))
    card = thumbnail(Card("a", None, {}), np.zeros((160, 200), np.uint8), truth, side)
    path = re.search(r'd="([^"]*)"', card.paths)
    assert path is not None
    rings = []
    for first, steps in re.findall(r"M([\d ]+)l([-\d ]+)z", path[1]):
        moves = np.array(steps.split(), float).reshape(-1, 2)
        rings.append(np.cumsum([np.array(first.split(), float), *moves], axis=0))
    drawn = Polygon(rings[0], rings[1:])
    exact = [Polygon(p.exterior, p.holes) for parts in truth.to_polygons() for p in parts]
    scale = side / 200
    assert drawn.symmetric_difference(unary_union(exact)).area * scale**2 < 0.75 * drawn.length * scale
    assert len(path[1]) < 700


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    browser = next((b for b in map(shutil.which, ("chromium", "google-chrome", "chrome")) if b), None)
    if browser is None:
        pytest.skip("no Chromium; install the package chromium to test the page's script")
    contact_sheet(dataset(tmp_path), tmp_path / "view.html")
    script = """
      const told = [];
      const seen = () => figures.filter((f) => !f.hidden).map((f) => f.dataset.name).join(" ");
      const ring = buttons.find((b) => b.dataset.class === "ring");
      ring.click(); told.push(seen()); ring.click();
      $("search").value = "NONE"; $("search").dispatchEvent(new Event("input")); told.push(seen());
      $("search").value = ""; filter(); told.push(seen());
      enlarge(figures[0]); go(1); told.push(large.querySelector("figure").dataset.name);
      large.click(); told.push(String(large.open));
      document.body.dataset.told = JSON.stringify(told);
    """
    page = (tmp_path / "view.html").read_text("utf-8")
    (tmp_path / "tried.html").write_text(
        page.replace("</body>", f"<script>{script}</script></body>"), "utf-8"
    )
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    ]
    found = subprocess.run(
        [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         (tmp_path / "tried.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    told = re.search(r'<body data-told="([^"]*)"', found.stdout)
    assert told is not None
    assert json.loads(html.unescape(told[1])) == [
        "wide.png", "none.png", "a&b.png wide.png none.png", "wide.png", "false",
    ]  # fmt: skip


def test_boxes_alone_and_crowds() -> None:
    boxes = np.array([[1, 2, 11, 12], [0, 0, 5, 5]], np.float32)
    truth = Instances((20, 20), boxes=boxes, crowd=np.array([False, True]))
    card = thumbnail(Card("a", None, {}), np.zeros((20, 20, 3), np.uint8), truth, 64)
    assert 'd="M1 2H11V12H1z"' in card.paths and 'class="crowd"' in card.paths


def test_a_bad_image_stands_on_the_page_with_its_reason(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    (tmp_path / "wide.png").write_bytes(b"no picture")
    sheet = contact_sheet(data, tmp_path / "view.html")
    assert [name for name, _ in sheet.failed] == ["wide.png"] and sheet.images == 3
    assert "cannot be shown" in (tmp_path / "view.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"classes": ["dog"]}, "class 'dog': expected one of"),
        ({"sort": "size"}, "sort: expected one of given"),
        ({"side": 5}, "thumbnails of 32..2048"),
        ({"per_page": 0}, "1..2000 on a page"),
    ],
)
def test_wrong_settings(tmp_path: Path, given: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        contact_sheet(dataset(tmp_path), tmp_path / "view.html", **given)  # type: ignore[arg-type]
    assert not (tmp_path / "view.html").exists()


def test_nothing_to_show(tmp_path: Path, crowd: SyntheticDataset) -> None:
    with pytest.raises(InputError, match="images without objects, got none"):
        contact_sheet(crowd, tmp_path / "view.html", empty=True)
    with pytest.raises(InputError, match="expected images, got none"):
        contact_sheet(replace(crowd, records=()), tmp_path / "view.html")
    with pytest.raises(InputError, match=r"ending in \.html"):
        contact_sheet(crowd, tmp_path / "view.png")
    with pytest.raises(InputError, match="expected to write here"):
        contact_sheet(crowd, tmp_path / "nowhere" / "view.html")
