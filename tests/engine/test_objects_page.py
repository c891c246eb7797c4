"""The page that ties rows to objects: whole, escaped, and alive in a real browser."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delineate
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.engine.objects_page import row_links, write_index, write_page

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def scene(count: int = 30) -> tuple[np.ndarray, Instances, pd.DataFrame]:
    """A grid of squares, all of them of one size but the last, which is one pixel."""
    labels = np.zeros((200, 300), np.int32)
    for i in range(count):
        y, x = divmod(i, 10)
        side = 1 if i == count - 1 else 12
        labels[10 + 20 * y : 10 + 20 * y + side, 10 + 28 * x : 10 + 28 * x + side] = i + 1
    masks = Masks.from_label_image(labels)
    classes = Labels(("cell", EVIL))
    objects = Instances(
        masks.size, masks=masks, labels=np.arange(count) % 2, classes=classes, scores=np.ones(count)
    )
    image = np.random.default_rng(0).integers(0, 255, (*labels.shape, 3), dtype=np.uint8)
    return image, objects, delineate.measure(objects, image)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


def test_page_holds_every_row_and_object_and_fetches_nothing(tmp_path: Path) -> None:
    image, objects, table = scene()
    entry = write_page(tmp_path / "a.html", image, objects, table, title=EVIL, told=[EVIL])
    page = entry.path.read_text("utf-8")
    assert EVIL not in page and page.count("<script") == 2 and "default-src &#x27;none&#x27;" in page
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert page.count("data-i=") == 30 and page.count("<text") == 30
    data = data_of(page)
    assert data["values"][data["key"]] == list(range(1, 31))
    area = next(i for i, c in enumerate(data["columns"]) if c["name"] == "area")
    assert data["values"][area] == table["area"].tolist()
    assert data["columns"][area] == {
        "name": "area",
        "unit": "px^2",
        "source": "as scikit-image regionprops: pixels of the mask",
        "kind": "number",
    }
    assert data["marked"] == table[["outlier", "blurred", "degenerate"]].any(axis=1).astype(int).tolist()
    assert data["marked"][-1] == 1


@pytest.mark.parametrize("objects", [Instances.empty((5, 7)), Instances((5, 7), boxes=np.zeros((0, 4)))])
def test_no_objects(objects: Instances, tmp_path: Path) -> None:
    entry = write_page(tmp_path / "none.html", None, objects, pd.DataFrame({"label": np.zeros(0, int)}))
    assert entry.objects == 0 and data_of(entry.path.read_text("utf-8"))["marked"] == []


def test_boxes_alone_and_rows_without_numbers(tmp_path: Path) -> None:
    objects = Instances((50, 60), boxes=np.array([[1, 2, 11, 12], [20, 20, 30, 40]]))
    table = pd.DataFrame({"x": [np.nan, np.inf], "name": ["a", None]})
    page = write_page(tmp_path / "b.html", None, objects, table).path.read_text("utf-8")
    data = data_of(page)
    assert data["values"] == [[1, 2], [None, None], ["a", None]] and "M1 2H11V12H1z" in page
    assert row_links(table, "b.html") == ["b.html#1", "b.html#2"]


def test_rows_of_other_objects_are_refused(tmp_path: Path) -> None:
    _, objects, table = scene()
    with pytest.raises(InputError, match="a row for each of 30 objects, got 29"):
        write_page(tmp_path / "c.html", None, objects, table[:29])


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, objects, table = scene()
    with pytest.raises(InputError, match="expected a place to write"):
        write_page(tmp_path / "file" / "c.html", None, objects, table)


def test_index_leads_to_the_pages(tmp_path: Path) -> None:
    image, objects, table = scene()
    name = 'a & b #1 "c".html'
    entry = write_page(tmp_path / "pages" / name, image, objects, table, title=EVIL)
    page = write_index(tmp_path / "index.html", [entry, entry]).read_text("utf-8")
    assert page.count('href="pages/a%20%26%20b%20%231%20%22c%22.html"') == 2
    assert EVIL not in page and "2 images, 60 objects" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium; the page of objects is looked at in one: apt-get install chromium")
    play = pytest.importorskip("playwright.sync_api", reason="the page is looked at by playwright")
    with play.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


def test_rows_and_objects_find_each_other(browser: Any, tmp_path: Path) -> None:
    image, objects, table = scene(count=80)
    table["class"] = [EVIL if i % 2 else "cell" for i in range(80)]
    write_page(tmp_path / "live.html", image, objects, table, title=EVIL)
    page = browser.new_page(viewport={"width": 1100, "height": 500})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_default_timeout(10_000)
    page.goto((tmp_path / "live.html").as_uri())
    assert page.title() == EVIL and page.locator("#shown").inner_text() == "80 rows"
    assert page.locator("tbody tr[data-i]").count() < 60  # those in sight
    page.locator("tbody tr[data-i='4']").click()
    assert page.locator("path.chosen").get_attribute("data-i") == "4" and page.url.endswith("#5")
    page.locator("path[data-i='70']").click()
    row = page.locator("tr[aria-selected=true]")
    assert row.get_attribute("data-i") == "70" and row.is_visible()
    assert row.locator("td").first.inner_text() == "71"
    page.get_by_role("button", name="area px^2", exact=True).click()
    assert page.locator("tbody tr[data-i]").first.get_attribute("data-i") == "79"  # of one pixel
    page.locator("#marked").check()
    assert page.locator("#shown").inner_text().endswith("of 80 rows")
    page.goto((tmp_path / "live.html").as_uri() + "#80")
    page.reload()
    assert page.locator("path.chosen").get_attribute("data-i") == "79"  # and the view has gone there
    assert float(page.locator("#picture").get_attribute("viewBox").split()[2]) < 100
    page.locator("#rows").press("ArrowUp")
    assert page.locator("path.chosen").get_attribute("data-i") == "78"
    page.locator("#find").fill("12")
    assert page.locator("tbody tr[data-i]").count() == 1
    assert not faults and "owned" not in page.title().replace(EVIL, "")
    page.close()
